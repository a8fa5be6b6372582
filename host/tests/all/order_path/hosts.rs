//! Hosts as processes, which end with the test whatever happens to it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::world::{FNHOST, World, bounded, fnhost};
use crate::kafka::{PATIENCE, eventually};

/// Runs `$@` until its standard input ends; says its process id first and how it ended last.
pub(crate) const SUPERVISOR: &str = r#"
exec 3<&0
"$@" 3<&- &
host=$!
echo $host
( cat <&3; kill -9 $host ) >/dev/null 2>&1 &
guard=$!
wait $host 2>/dev/null
code=$?
kill $guard
echo "ended $code"
"#;

/// A host under test.
pub(crate) struct Host {
    supervisor: Mutex<Child>,
    _pipe: ChildStdin,
    said: BufReader<std::process::ChildStdout>,
    pid: String,
    log: Arc<Mutex<String>>,
    /// `host:port` of the public listener.
    pub(crate) http: String,
    /// `host:port` of the admin listener.
    pub(crate) admin: String,
}

impl Host {
    /// Starts a host on free ports; `more` are further arguments.
    pub(crate) fn start(world: &World, more: &[&str]) -> Self {
        Self::start_on(world, "127.0.0.1:0", more)
    }

    /// Starts a host whose public listener has this address.
    pub(crate) fn start_on(world: &World, http: &str, more: &[&str]) -> Self {
        Self::start_over(&world.app, &["--brokers", &world.kafka().brokers], http, more)
    }

    /// Starts a host of an app over the broker that an option names.
    pub(crate) fn start_over(app: &Path, broker: &[&str], http: &str, more: &[&str]) -> Self {
        Self::start_in(&[], app, broker, http, more)
    }

    /// The same with these variables beside those of the test.
    pub(crate) fn start_in(variables: &[(&str, &str)], app: &Path, broker: &[&str], http: &str, more: &[&str]) -> Self {
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh", FNHOST, "run"])
            .arg(app)
            .args(broker)
            .args(["--http", http, "--admin", "127.0.0.1:0"])
            .args(more)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let pipe = supervisor.stdin.take().unwrap();
        let mut said = BufReader::new(supervisor.stdout.take().unwrap());
        let mut pid = String::new();
        said.read_line(&mut pid).unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (written, stderr) = (Arc::clone(&log), supervisor.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let (http, admin) = (String::new(), String::new());
        let mut host = Self {
            supervisor: Mutex::new(supervisor),
            _pipe: pipe,
            said,
            pid: pid.trim().to_owned(),
            log,
            http,
            admin,
        };
        let banner = host.said_in_log("fnhost app=");
        host.http = field(&banner, "http=");
        host.admin = field(&banner, "admin=");
        host
    }

    /// Waits until the log has a line with `what`, and gives that line.
    pub(crate) fn said_in_log(&self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let has_ended = self.supervisor.lock().unwrap().try_wait().unwrap().is_some();
            let found = self.log().lines().find(|line| line.contains(what)).map(str::to_owned);
            match found {
                Some(line) => return line,
                None if has_ended || Instant::now() > deadline => {
                    panic!("the host never said `{what}`:\n{}", self.log())
                }
                None => std::thread::yield_now(),
            }
        }
    }

    /// All that it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Status and body of a path of the admin listener.
    pub(crate) fn admin(&self, path: &str) -> (u16, String) {
        get(&format!("http://{}{path}", self.admin))
    }

    /// Waits until it is ready.
    pub(crate) fn ready(self) -> Self {
        eventually("a host becomes ready", || (self.admin("/readyz").0 == 200).then_some(()));
        self
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(self) {
        Command::new("kill").args(["-9", &self.pid]).status().unwrap();
        self.wait();
    }

    /// Asks it to end, and gives its exit code and log.
    pub(crate) fn terminate(self) -> (i32, String) {
        self.signal("TERM");
        self.wait()
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        Command::new("kill").args([&format!("-{name}"), &self.pid]).status().unwrap();
    }

    /// Waits until it has ended by itself; kills it, which is exit code 137, when that takes too long.
    pub(crate) fn wait(mut self) -> (i32, String) {
        let mut last = String::new();
        bounded(&self.pid, || self.said.read_to_string(&mut last).unwrap());
        self.supervisor.lock().unwrap().wait().unwrap();
        let code = last.trim().rsplit(' ').next().unwrap().parse().unwrap();
        (code, self.log())
    }
}

/// A GET of our own: status and body. 0 when nobody answers.
pub(crate) fn get(url: &str) -> (u16, String) {
    let agent: ureq::Agent = agent();
    match agent.get(url).call() {
        Ok(mut answer) => (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap_or_default()),
        Err(_) => (0, String::new()),
    }
}

/// An HTTP client that takes every status for an answer.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(40)))
        .build()
        .into()
}

fn field(line: &str, name: &str) -> String {
    line.split_once(name).unwrap().1.split_whitespace().next().unwrap().trim_matches('"').to_owned()
}

/// A verb that asks a host and must work, and what it prints.
pub(crate) fn told(host: &Host, verb: &[&str]) -> String {
    let (code, out, err) = fnhost(&[verb, &["--admin", &host.admin]].concat());
    assert_eq!(code, 0, "{verb:?}: {out}{err}");
    out
}
