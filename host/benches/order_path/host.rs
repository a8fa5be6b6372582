//! A `fnhost run` process.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::app::{FNHOST, Stage};
use crate::ground::Ground;
use crate::kafka::{PATIENCE, eventually};
use crate::measure::Pid;

/// A host, killed when dropped.
pub(crate) struct Host {
    child: Child,
    log: PathBuf,
    _folder: tempfile::TempDir,
    /// When its process was started.
    pub(crate) started: Instant,
}

impl Host {
    /// Starts a host on free ports for the application under this name, with what it compiled kept in `cache`.
    pub(crate) fn start(stage: &Stage, ground: &Ground<'_>, name: &str, cache: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = stage.copy(name, folder.path());
        let log = folder.path().join("log");
        let stderr = File::create(&log).unwrap();
        let started = Instant::now();
        let child = Command::new(FNHOST)
            .arg("run")
            .arg(app)
            .args(ground.option())
            .args(["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cache"])
            .arg(cache)
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
        let banner = self.said("fnhost app=");
        banner.split_once(of).unwrap().1.split_whitespace().next().unwrap().to_owned()
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

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until somebody listens there.
pub(crate) fn listening(address: &str) {
    eventually("the host listens", || TcpStream::connect(address).ok());
}
