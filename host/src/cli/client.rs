//! The client of a running host's admin listener, for the verbs that operate it.
//!
//! Plain HTTP on purpose: the listener has no TLS and is for private networks. What a host refuses (problem details, RFC
//! 9457) becomes a [`Failure`] that says the same. Bounded: 5 s to connect, 40 s a request, 128 MiB an answer.

use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::StatusCode;

use super::{AdminToken, Failure};
use crate::config::Token;

/// How long a host may take to take a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take: longer than a host waits for its broker.
const REQUEST: Duration = Duration::from_secs(40);
/// The largest answer: a page of events, each byte of them written with six characters.
const ANSWER_BYTES_MAX: u64 = 128 << 20;

/// Which host.
#[derive(Clone, Debug, Args)]
pub(super) struct AdminArg {
    /// The host: where it serves operators, as its own --admin says
    #[arg(long, env = "FNHOST_ADMIN", value_name = "HOST:PORT", default_value = "127.0.0.1:9090", value_parser = address)]
    pub(super) admin: String,
    #[command(flatten)]
    token: AdminToken,
}

fn address(text: &str) -> Result<String, String> {
    let legal = |host: &str| !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
    match text.rsplit_once(':') {
        Some((host, port)) if legal(host) && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("it is to be HOST:PORT, such as 127.0.0.1:9090".to_owned()),
    }
}

/// What asks hosts, with this long for a request.
pub(super) fn agent(within: Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        // A host is near; the environment's proxies are for what is not.
        .proxy(None)
        .max_redirects(0)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(within))
        .user_agent(concat!("fnhost/", env!("CARGO_PKG_VERSION")));
    config.build().into()
}

/// Waits before the next question, unless nobody reads what is printed any more: that would be noticed only with what comes next.
pub(super) fn pause(wait: Duration) -> Result<(), Failure> {
    let stdout = io::stdout();
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut watched, Some(&at_once)).is_ok()
        && watched.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP))
    {
        return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
    }
    std::thread::park_timeout(wait);
    Ok(())
}

/// Asks one host.
pub(super) struct Client {
    agent: ureq::Agent,
    admin: String,
    /// As the header has it; empty when there is none.
    authorization: String,
}

/// What a host answered.
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    body: String,
    admin: String,
}

/// What a host refuses with, as far as it is printed.
#[derive(Debug, Deserialize)]
struct Problem {
    title: String,
    detail: Option<String>,
}

impl Client {
    /// A client of the host at `arg`. Asks nothing yet.
    ///
    /// # Errors
    /// A token that cannot be had.
    pub(super) fn new(arg: &AdminArg) -> Result<Self, Failure> {
        Self::patient(arg, REQUEST)
    }

    /// One that waits longer for an answer.
    pub(super) fn patient(arg: &AdminArg, within: Duration) -> Result<Self, Failure> {
        let token = Token::resolve(arg.token.admin_token_file.as_deref())?;
        let authorization = token.map(|token| token.authorization()).unwrap_or_default();
        Ok(Self { agent: agent(within), admin: arg.admin.clone(), authorization })
    }

    /// Gets a path with these parameters.
    pub(super) fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Answer, Failure> {
        let request = self.agent.get(self.url(path)).query_pairs(parameters.iter().copied());
        self.answer(self.shown(request).call()).map_err(|error| self.unanswered(error))
    }

    /// Deletes what is at a path, as these parameters say.
    pub(super) fn delete(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Answer, Failure> {
        let request = self.agent.delete(self.url(path)).query_pairs(parameters.iter().copied());
        self.answer(self.shown(request).call()).map_err(|error| self.in_doubt(path, error))
    }

    /// Posts bytes to a path, with these parameters and headers.
    pub(super) fn upload(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        headers: &[(&str, &str)],
        bytes: &[u8],
    ) -> Result<Answer, Failure> {
        let request = self.agent.post(self.url(path)).query_pairs(parameters.iter().copied());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        // What is refused for what it is, or for who sends it, is not sent at all.
        let request = request.header("expect", "100-continue");
        self.answer(self.shown(request).send(bytes)).map_err(|error| self.in_doubt(path, error))
    }

    /// With the token, if there is one.
    fn shown<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match self.authorization.as_str() {
            "" => request,
            shown => request.header("authorization", shown),
        }
    }

    /// Posts JSON to a path.
    pub(super) fn post(&self, path: &str, json: &str) -> Result<Answer, Failure> {
        let request = self.agent.post(self.url(path)).header("content-type", "application/json");
        self.answer(self.shown(request).send(json)).map_err(|error| self.in_doubt(path, error))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    fn answer(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, ureq::Error> {
        let mut answer = answer?;
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string()?;
        Ok(Answer { status: answer.status(), body, admin: self.admin.clone() })
    }

    fn unanswered(&self, error: ureq::Error) -> Failure {
        let hint = "is it running (fnhost run APP)? --admin HOST:PORT, or FNHOST_ADMIN, is where it serves operators";
        Failure::fault(caused(error).context(format!("no host answers at {}", self.admin))).hint(hint)
    }

    /// What was sent may have been done, unless it was not.
    fn in_doubt(&self, path: &str, error: ureq::Error) -> Failure {
        use ureq::{Error, Timeout};
        let kinds = [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::AddrNotAvailable,
        ];
        let is_unsent = match &error {
            // A name that is unknown has no kind of its own.
            Error::Io(error) => kinds.contains(&error.kind()) || self.admin.to_socket_addrs().is_err(),
            Error::HostNotFound | Error::ConnectionFailed | Error::Timeout(Timeout::Resolve | Timeout::Connect) => true,
            _ => false,
        };
        if is_unsent {
            return self.unanswered(error);
        }
        let error = caused(error).context(format!("the host at {} took it and does not answer", self.admin));
        let look = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", "functions", function, ..] => format!("fnhost versions {function}"),
            ["", "events", topic] => format!("fnhost events tail {topic}"),
            _ => "fnhost status".to_owned(),
        };
        Failure::fault(error).hint(format!("it may have been done all the same: look before you ask again ({look})"))
    }
}

fn caused(error: ureq::Error) -> anyhow::Error {
    match error {
        ureq::Error::Io(error) => error.into(),
        error => error.into(),
    }
}

impl Answer {
    /// What it says, if it is a good one.
    ///
    /// # Errors
    /// What the host refuses; or that this is none.
    pub(super) fn good<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if !self.status.is_success() {
            return Err(self.refused());
        }
        self.read()
    }

    /// What it says, whatever its status.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.body).map_err(|error| {
            self.stranger().unwrap_or_else(|| {
                Failure::fault(anyhow::Error::from(error).context("the host's answer cannot be read"))
                    .hint("are the host and this command of one version? fnhost --version")
            })
        })
    }

    /// What it says, as it is.
    pub(super) fn text(&self) -> &str {
        &self.body
    }

    /// Why the host has not done it.
    pub(super) fn refused(&self) -> Failure {
        let Ok(Problem { title, detail }) = serde_json::from_str(&self.body) else {
            return self
                .stranger()
                .unwrap_or_else(|| Failure::fault(anyhow::anyhow!("the host answers {}", self.status)));
        };
        let failure = Failure::fault(anyhow::anyhow!("{title}"));
        match detail {
            Some(detail) => failure.hint(detail),
            None => failure,
        }
    }

    /// Somebody else answers there, when it is no JSON at all.
    fn stranger(&self) -> Option<Failure> {
        let stranger = serde_json::from_str::<serde::de::IgnoredAny>(&self.body).is_err();
        stranger.then(|| {
            Failure::fault(anyhow::anyhow!("what answers at {} is no fnhost host", self.admin))
                .hint("--admin HOST:PORT, or FNHOST_ADMIN, is where a host serves operators")
        })
    }
}
