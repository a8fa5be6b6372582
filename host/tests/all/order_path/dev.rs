//! `fnhost dev`, with an app that `fnhost new` made: what is saved is what runs.

use std::io::BufReader;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::hosts::agent;
use super::world::{FNHOST, run, workspace};
use crate::kafka::PATIENCE;

/// A first build has everything compiled that a function stands on, beside whatever else is being compiled.
const BUILD_PATIENCE: Duration = Duration::from_secs(600);

/// A `dev` that ends with the test.
struct Dev {
    child: Child,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
}

impl Dev {
    fn start(app: &Path, target: &Path) -> Self {
        let mut child = Command::new(FNHOST)
            .arg("dev")
            .arg(app)
            .args(["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .env("CARGO_TARGET_DIR", target)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, err) = (Arc::default(), Arc::default());
        collect(BufReader::new(child.stdout.take().unwrap()), &out);
        collect(BufReader::new(child.stderr.take().unwrap()), &err);
        Self { child, out, err }
    }

    /// Waits until the `nth` line of stderr or stdout has `what`, and gives it.
    fn said(&self, what: &str, nth: usize) -> String {
        self.said_within(PATIENCE, what, nth)
    }

    fn said_within(&self, patience: Duration, what: &str, nth: usize) -> String {
        let deadline = Instant::now() + patience;
        loop {
            let all = format!("{}{}", self.err.lock().unwrap(), self.out.lock().unwrap());
            if let Some(line) = all.lines().filter(|line| line.contains(what)).nth(nth) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "it never said `{what}`:\n{all}");
            std::thread::yield_now();
        }
    }

    /// Ctrl-C; its exit code.
    fn interrupt(mut self) -> Option<i32> {
        Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn collect(lines: impl std::io::BufRead + Send + 'static, to: &Arc<Mutex<String>>) {
    let to = Arc::clone(to);
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let mut to = to.lock().unwrap();
            to.push_str(&line);
            to.push('\n');
        }
    });
}

#[test]
fn what_is_saved_is_what_handles_the_next_event_and_what_does_not_build_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    run(Command::new(FNHOST).args(["new", "app", "shop"]).current_dir(folder.path()));
    let (app, target) = (folder.path().join("shop"), workspace().join("target/tmp/dev"));
    let source = app.join("greeter/src/lib.rs");
    let code = std::fs::read_to_string(&source).unwrap();

    let dev = Dev::start(&app, &target);
    let banner = dev.said_within(BUILD_PATIENCE, "shop runs: http://", 0);
    let http = banner.split_once("http://").unwrap().1.split_whitespace().next().unwrap().to_owned();
    let tried = dev.said("try: curl", 0);
    let path = tried.split_once(&http).unwrap().1.split_whitespace().next().unwrap().to_owned();
    let post = || {
        let request = agent().post(format!("http://{http}{path}")).header("content-type", "application/json");
        let mut answer = request.send(br#"{"name":"Ada"}"#.as_slice()).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    let (status, body) = post();
    assert_eq!(status, 202, "{body}");
    dev.said("greeter       applied", 0);

    std::fs::write(&source, format!("{code}\nfn broken( {{\n")).unwrap();
    dev.said("what ran before goes on running", 0);
    assert_eq!(post().0, 202);
    dev.said("greeter       applied", 1);
    std::fs::write(&source, &code).unwrap();
    dev.said("it builds again, and is what ran all the time", 0);

    let changed = code.replace("if name.is_empty()", "if !name.is_empty()");
    assert_ne!(changed, code);
    std::fs::write(&source, changed).unwrap();
    dev.said("handles the next batch", 0);
    assert_eq!(post().0, 202);
    dev.said("error event: rejected, there is nobody to greet", 0);

    std::fs::write(&source, &code).unwrap();
    dev.said("handles the next batch", 1);
    assert_eq!(post().0, 202);
    dev.said("greeter       applied", 2);
    let admin = banner.rsplit_once("http://").unwrap().1.split_whitespace().next().unwrap();
    let mut answer = agent().get(format!("http://{admin}/metrics")).call().unwrap();
    let metrics = answer.body_mut().read_to_string().unwrap();
    assert!(metrics.contains("\nfnhost_swaps_total{function=\"greeter\"} 2\n"), "{metrics}");
    let versions = metrics.matches("\nfnhost_invocation_seconds_count{function=\"greeter\",version=").count();
    assert_eq!(versions, 2, "{metrics}");

    let manifest = std::fs::read_to_string(app.join("app.toml")).unwrap();
    std::fs::write(app.join("none.wasm"), "this is none").unwrap();
    let second = "[functions.second]\nsource = \"none.wasm\"\ninput = [\"greeted\"]\n";
    std::fs::write(app.join("app.toml"), format!("{manifest}\n{second}")).unwrap();
    dev.said("function `second` does not load", 0);
    dev.said("what ran before goes on running", 1);
    assert_eq!(post().0, 202);
    dev.said("greeter       applied", 3);
    std::fs::write(&source, format!("{code}\n")).unwrap();
    dev.said("function `second` does not load", 1);

    assert!(app.join(".fnhost/broker.redb").is_file(), "the broker is kept");
    assert_eq!(dev.interrupt(), Some(0));
}
