//! What is written to a terminal, and what only to a terminal.

use std::path::Path;
use std::process::Command;

use super::{clean, run, text};
use crate::kafka::say;

const FNHOST: &str = env!("CARGO_BIN_EXE_fnhost");

/// What the binary writes to a terminal, by util-linux's `script`; `None` where that is not.
fn on_terminal(variables: &[(&str, &str)], line: &str) -> Option<String> {
    let has_script = Command::new("script").arg("--version").output().is_ok_and(|said| said.status.success());
    if !has_script {
        say("NOT RUN: what is written to a terminal, for want of util-linux's script");
        return None;
    }
    let mut script = clean(Command::new("script"));
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        script.env_remove(variable);
    }
    script.env("TERM", "xterm-256color").envs(variables.iter().copied());
    let output = script.args(["--quiet", "--command", &format!("{FNHOST} {line}"), "/dev/null"]).output().unwrap();
    Some(text(&output.stdout))
}

/// Help, a command line that cannot be read, and what a verb says.
const LINES: [&str; 3] = ["--help", "run --nonsense", "check /nowhere"];

#[test]
fn terminals_are_written_to_without_colour_where_it_is_not_wanted() {
    let unwanted: [&[(&str, &str)]; 4] = [
        &[("NO_COLOR", "1")],
        &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")],
        &[("CLICOLOR", "0")],
        &[("TERM", "dumb"), ("CLICOLOR", "1"), ("CI", "true")],
    ];
    for line in LINES {
        for variables in unwanted {
            let Some(said) = on_terminal(variables, line) else { return };
            assert!(said.len() > 20 && !said.contains('\x1b'), "{variables:?} {line}: {said:?}");
        }
    }
    // Otherwise there would be some, so the above says something.
    assert!(on_terminal(&[], "--help").is_none_or(|said| said.contains("\x1b[")));
}

#[test]
fn what_is_no_terminal_sees_no_colour() {
    for line in LINES {
        let output = run(Path::new("/"), line);
        let said = text(&[output.stdout, output.stderr].concat());
        assert!(said.len() > 20 && !said.contains('\x1b'), "{line}: {said:?}");
    }
}
