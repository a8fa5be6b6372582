//! A `fnhost run` process.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::app::{FNHOST, Stage};
use crate::ground::Ground;
use crate::kafka::{PATIENCE, eventually, say};
use crate::measure::Pid;

/// How much of its log a host leaves when something went wrong, in bytes.
const LOG_END: usize = 4000;

/// A host, killed when dropped.
pub(crate) struct Host {
    child: Child,
    log: PathBuf,
    _folder: tempfile::TempDir,
    /// When its process was started.
    pub(crate) started: Instant,
}

impl Host {
    /// Starts a host on free ports for the application under this name, with what it compiled kept in `cache`; `more` are
    /// further arguments.
    pub(crate) fn start(stage: &Stage, ground: &Ground<'_>, name: &str, cache: &Path, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = stage.copy(name, folder.path());
        Self::run_in(folder, &app, &ground.option(), cache, more)
    }

    /// The same for any application.
    pub(crate) fn run(app: &Path, broker: &[String], cache: &Path, more: &[&str]) -> Self {
        Self::run_in(tempfile::tempdir().unwrap(), app, broker, cache, more)
    }

    fn run_in(folder: tempfile::TempDir, app: &Path, broker: &[String], cache: &Path, more: &[&str]) -> Self {
        let log = folder.path().join("log");
        let stderr = File::create(&log).unwrap();
        let started = Instant::now();
        let child = Command::new(FNHOST)
            .arg("run")
            .arg(app)
            .args(broker)
            .args(["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cache"])
            .arg(cache)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self { child, log, _folder: folder, started }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::of(&self.child.id().to_string())
    }

    /// `host:port` of the public listener, once the host runs.
    pub(crate) fn http(&self) -> String {
        self.said("state restored, running");
        self.address("http=")
    }

    /// `host:port` of the admin listener.
    pub(crate) fn admin(&self) -> String {
        self.address("admin=")
    }

    fn address(&self, of: &str) -> String {
        address_in(&self.said("fnhost app="), of)
    }

    /// What its admin listener is asked with by whoever does not hold the host.
    pub(crate) fn asker(&self) -> Asker {
        Asker { log: self.log.clone() }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(mut self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "the host did not drain:\n{}", self.log());
    }

    /// Waits until the log has a line with `what`, and gives that line.
    fn said(&self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log().lines().find(|line| line.contains(what)) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "the host never said `{what}`:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Asks the admin listener of a host, which may not run yet, or no more.
#[derive(Clone)]
pub(crate) struct Asker {
    log: PathBuf,
}

impl Asker {
    /// `host:port` of the admin listener, once it has one.
    pub(crate) fn admin(&self) -> Option<String> {
        let log = fs::read_to_string(&self.log).ok()?;
        // A line that is not written to its end may lack a part of the address.
        let banner = log.split_inclusive('\n').find(|line| line.contains("fnhost app=") && line.ends_with('\n'))?;
        Some(address_in(banner, "admin="))
    }

    /// Waits until the host is ready.
    pub(crate) fn await_ready(&self, deadline: Instant) {
        while let Some(reason) = self.unready() {
            assert!(Instant::now() < deadline, "a host is not ready: {reason}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Why the host is not ready, or nothing when it is.
    fn unready(&self) -> Option<String> {
        let Some(admin) = self.admin() else { return Some("it says nothing".to_owned()) };
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        match agent.get(format!("http://{admin}/readyz")).call() {
            Ok(answer) if answer.status() == 200 => None,
            Ok(mut answer) => Some(answer.body_mut().read_to_string().unwrap_or_default()),
            Err(error) => Some(format!("{error}\n{}", fs::read_to_string(&self.log).unwrap_or_default())),
        }
    }
}

fn address_in(banner: &str, of: &str) -> String {
    banner.split_once(of).unwrap().1.split_whitespace().next().unwrap().to_owned()
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let begin = log.len().saturating_sub(LOG_END);
            say(&format!("the end of a host's log:\n{}", log.get(begin..).unwrap_or(&log)));
        }
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until somebody listens there.
pub(crate) fn listening(address: &str) {
    eventually("the host listens", || TcpStream::connect(address).ok());
}
