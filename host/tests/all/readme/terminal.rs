//! A shell as a newcomer has it: it stays in the folder it was led to, and something may run in another.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::cli::clean;
use crate::kafka::PATIENCE;
use crate::order_path::{SUPERVISOR, bounded};

/// A shell between two commands.
pub(super) struct Terminal {
    home: PathBuf,
    folder: PathBuf,
    path: String,
    target: PathBuf,
    /// What stands for the addresses that the README has.
    addresses: Vec<(&'static str, String)>,
}

impl Terminal {
    /// A shell in a folder of `home`; crates are built into `target`, without the network.
    pub(super) fn new(home: &Path, folder: &str, target: &Path, brokers: &str) -> Self {
        // Two at once, so that they differ.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [http, admin] = free.map(|listener| listener.local_addr().unwrap().to_string());
        // Progress is for those who look on.
        fs::write(home.join(".curlrc"), "silent\nshow-error\n").unwrap();
        Self {
            home: home.to_owned(),
            folder: home.join(folder),
            path: std::env::var_os("PATH").unwrap().into_string().unwrap(),
            target: target.to_owned(),
            addresses: vec![
                ("127.0.0.1:8080", http.clone()),
                ("localhost:8080", http),
                ("localhost:9090", admin),
                ("localhost:9092", brokers.to_owned()),
            ],
        }
    }

    fn bash(&self, script: &str) -> Command {
        let address = |of: &str| self.addresses.iter().find(|(name, _)| *name == of).unwrap().1.clone();
        let script = self.addresses.iter().fold(script.to_owned(), |text, (from, to)| text.replace(from, to));
        let mut bash = clean(Command::new("bash"));
        bash.args(["-euo", "pipefail", "-c", &format!("exec 2>&1\n{script}")]).current_dir(&self.folder);
        bash.env("PATH", &self.path)
            .env("CURL_HOME", &self.home)
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TARGET_DIR", &self.target)
            // A tool lives for a second.
            .env("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
            .env("FNHOST_HTTP", address("localhost:8080"))
            .env("FNHOST_ADMIN", address("localhost:9090"));
        bash
    }

    /// Runs commands to their end: how the last ended, and all that they printed.
    pub(super) fn run(&mut self, commands: &str) -> (i32, String) {
        let state = self.home.join(".state");
        let script = format!("trap 'printf \"%s\\n\" \"$PWD\" \"$PATH\" >{}' EXIT\n{commands}", state.display());
        let child = self.bash(&script).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let pid = child.id().to_string();
        let output = bounded(&pid, || child.wait_with_output().unwrap());
        let left = fs::read_to_string(state).unwrap();
        let (folder, path) = left.trim_end().split_once('\n').unwrap();
        (self.folder, self.path) = (folder.into(), path.to_owned());
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).replace('\r', ""))
    }

    /// Starts a command in another terminal.
    pub(super) fn start(&self, command: &str) -> Lasting {
        let bash = self.bash(&format!("exec {command}"));
        let mut supervisor = Command::new("sh");
        supervisor.args(["-c", SUPERVISOR, "sh"]).arg(bash.get_program()).args(bash.get_args());
        for (name, value) in bash.get_envs() {
            match value {
                Some(value) => supervisor.env(name, value),
                None => supervisor.env_remove(name),
            };
        }
        supervisor.current_dir(&self.folder).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        Lasting::of(supervisor.spawn().unwrap())
    }
}

/// A command that runs until it is interrupted, or the test ends.
pub(super) struct Lasting {
    supervisor: Child,
    _pipe: ChildStdin,
    pid: String,
    said: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Lasting {
    fn of(mut supervisor: Child) -> Self {
        let pipe = supervisor.stdin.take().unwrap();
        let mut output = BufReader::new(supervisor.stdout.take().unwrap());
        let mut pid = String::new();
        output.read_line(&mut pid).unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let reader = std::thread::spawn({
            let said = Arc::clone(&said);
            move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = output.read(&mut bytes) {
                    said.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
                }
            }
        });
        Self { supervisor, _pipe: pipe, pid: pid.trim().to_owned(), said, reader }
    }

    /// All that it has printed.
    pub(super) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said something so many times.
    pub(super) fn says(&self, what: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.said().matches(what).count() < times {
            let over = self.said().contains("\nended ") || Instant::now() > deadline;
            assert!(!over, "it never said `{what}`, or not {times} times:\n{}", self.said());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Ctrl-C: how it ended, and all that it printed.
    pub(super) fn interrupt(mut self) -> (i32, String) {
        Command::new("kill").args(["-INT", &self.pid]).status().unwrap();
        bounded(&self.pid, || self.supervisor.wait().unwrap());
        self.reader.join().unwrap();
        let said = self.said.lock().unwrap();
        let (printed, code) = said.trim_end().rsplit_once("ended ").unwrap();
        (code.parse().unwrap(), printed.to_owned())
    }
}
