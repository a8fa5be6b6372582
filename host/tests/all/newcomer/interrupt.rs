//! Ctrl-C at each stage of `demo` and `dev`: it ends soon, says no more than it must, and leaves nothing behind.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::{app, path, program, unbuilt};
use crate::cli::fnhost;
use crate::kafka::eventually;
use crate::order_path::bounded;

/// Starts a command line as a terminal does, in a group of its own; presses Ctrl-C when it has said `when`. All that it said
/// after that, and how it ended.
fn interrupted(fnhost: &Command, when: &str) -> (String, i32) {
    // Who runs the tests in the background has Ctrl-C ignored, and what they start inherits it.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(fnhost.get_program()).args(fnhost.get_args());
    command.current_dir(fnhost.get_current_dir().unwrap());
    for (name, value) in fnhost.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.process_group(0).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (pid, group) = (child.id().to_string(), Pid::from_child(&child));
    let printed = Arc::new(Mutex::new(String::new()));
    let stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn({
        let printed = Arc::clone(&printed);
        move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                printed.lock().unwrap().push_str(&line);
            }
        }
    });
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut before = String::new();
    let (code, after) = bounded(&pid, || {
        while !before.contains(when) && !printed.lock().unwrap().contains(when) {
            let end = said.read_line(&mut before).unwrap() == 0;
            assert!(!end, "it never said `{when}`:\n{before}");
        }
        // Not by kill(1): that of procps takes the -1 of -1234 for a process id, and that means everybody.
        kill_process_group(group, Signal::INT).unwrap();
        let mut after = String::new();
        said.read_to_string(&mut after).unwrap();
        (child.wait().unwrap().code().unwrap_or(-1), after)
    });
    reader.join().unwrap();
    // Nobody of its group is left.
    eventually("its children end", || test_kill_process_group(group).is_err().then_some(()));
    (after, code)
}

/// A command line whose temporary files are in a folder that must be empty when it has ended.
fn ends(folder: &Path, line: &str, bin: Option<&Path>, when: &str) -> (String, i32) {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = fnhost(folder, line);
    command.env("TMPDIR", temporary.path());
    if let Some(bin) = bin {
        command.env("PATH", path(&[bin]));
    }
    let ended = interrupted(&command, when);
    let left: Vec<_> = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{line}, interrupted at `{when}`, left {left:?}");
    ended
}

/// A folder with a cargo that never has done with building.
fn slow_cargo() -> tempfile::TempDir {
    let bin = tempfile::tempdir().unwrap();
    let others = std::env::var_os("PATH").unwrap().into_string().unwrap();
    let script = format!(
        "if [ \"$1\" = build ]; then echo '   Compiling script' >&2; exec sleep 60; fi\nPATH='{others}' exec cargo \"$@\""
    );
    program(bin.path(), "cargo", &script);
    bin
}

#[test]
fn demo_ends_at_once_and_leaves_nothing_behind() {
    const INTERRUPTED: &str = "interrupted, before everything was seen\n";
    let (unbuilt, cargo) = (unbuilt(), slow_cargo());
    let building = ends(unbuilt.path(), "demo .", Some(cargo.path()), "Compiling script");
    assert_eq!(building, (INTERRUPTED.to_owned(), 130));
    let app = app();
    let connecting = ends(app.path(), "demo . --brokers 127.0.0.1:1", None, "script.wasm");
    assert_eq!(connecting, (INTERRUPTED.to_owned(), 130));
    let starting = ends(app.path(), "demo .", None, "script.wasm");
    assert_eq!(starting, (INTERRUPTED.to_owned(), 130));
    // The app has no route for orders, so nothing flows, and the demo waits for it.
    let flowing = ends(app.path(), "demo .", None, "ready on ");
    assert_eq!(flowing.1, 130, "{}", flowing.0);
}

#[test]
fn dev_ends_in_order() {
    const ENDING: &str = "ending: the open batches are finished first\n";
    let line = "dev . --http 127.0.0.1:0 --admin 127.0.0.1:0";
    let (unbuilt, cargo) = (unbuilt(), slow_cargo());
    let building = ends(unbuilt.path(), line, Some(cargo.path()), "Compiling script");
    assert_eq!(building, (ENDING.to_owned(), 0));
    fs::write(unbuilt.path().join("script/src/lib.rs"), "this is no Rust").unwrap();
    let waiting = ends(unbuilt.path(), line, None, "waiting for a change that builds");
    assert_eq!(waiting, (ENDING.to_owned(), 0));
    let app = app();
    let running = ends(app.path(), line, None, "shop runs: ");
    assert_eq!(running, (ENDING.to_owned(), 0));
    let (embedded, again) = (app.path().join(".fnhost/broker.redb"), ends(app.path(), line, None, "shop runs: "));
    assert!(embedded.is_file(), "what it keeps is kept");
    assert_eq!(again, (ENDING.to_owned(), 0));
}
