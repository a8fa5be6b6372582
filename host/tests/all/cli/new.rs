//! `fnhost new`: what it makes builds and passes its tests, and what it refuses.
//!
//! Everything is built offline, with the crates that this workspace has, and into its target folder: what both build is
//! built once.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::{fnhost, run, text};

/// Apps that share a target folder, and whose crates have the same names.
pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a command line in a folder, which must succeed. What it printed.
fn succeeds(folder: &Path, line: &str) -> String {
    let (program, arguments) = line.split_once(' ').unwrap();
    let mut command = match program {
        "fnhost" => fnhost(folder, arguments),
        program => {
            let mut command = Command::new(program);
            command.args(arguments.split_whitespace()).current_dir(folder);
            command
        }
    };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let output = command.env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", target).output().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{line}:\n{stdout}{stderr}");
    stdout
}

/// The same, with stderr too.
fn said(folder: &Path, line: &str) -> (String, String) {
    let output = run(folder, line);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{line}:\n{stdout}{stderr}");
    (stdout, stderr)
}

/// What is said when a command line is refused; nothing is to be left behind.
fn refusal(folder: &Path, line: &str) -> String {
    let list = || fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let before = list();
    let output = run(folder, line);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{line}");
    assert_eq!(list(), before, "{line} left something behind");
    text(&output.stderr).replace(&folder.canonicalize().unwrap().display().to_string(), "HERE")
}

/// Builds the app, checks it and runs its own tests.
fn works(app: &Path) -> (String, String) {
    succeeds(app, "fnhost build .");
    let checked = succeeds(app, "fnhost check .");
    (checked, succeeds(app, "cargo test --quiet"))
}

#[test]
fn new_app_and_its_new_functions_build_and_pass_their_tests() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let (written, next) = said(folder.path(), "new app shop");
    insta::assert_snapshot!(written, @r"
    shop/.cargo/config.toml
    shop/.gitignore
    shop/Cargo.toml
    shop/README.md
    shop/app.toml
    shop/greeter/Cargo.toml
    shop/greeter/src/lib.rs
    shop/greeter/tests/greetings.rs
    shop/greeter/tests/new-greeting/expected.json
    shop/greeter/tests/new-greeting/input.json
    shop/rust-toolchain.toml
    shop/schemas/examples/greeting/valid/ada.json
    shop/schemas/greeting.schema.json
    shop/vendor/fnhost-sdk
    ");
    insta::assert_snapshot!(next.trim_start(), @r"
    next:
        cd shop
        cargo test
        fnhost dev .
    ");

    let app = folder.path().join("shop");
    let (checked, tested) = works(&app);
    assert!(checked.starts_with("greeter ") && checked.trim_end().ends_with("greeting -> greeted"), "{checked}");
    assert!(tested.contains("3 passed"), "{tested}");

    let (written, next) = said(&app, "new function audit --input greeted --output audited --output copied");
    insta::assert_snapshot!(written, @r"
    audit/Cargo.toml
    audit/src/lib.rs
    audit/tests/counts.rs
    audit/tests/first-event/expected.json
    audit/tests/first-event/input.json
    ");
    insta::assert_snapshot!(next.trim_start(), @r"
    added to ./app.toml: [functions.audit], [topics.audited], [topics.copied]

    next:
        cargo test --package audit
        fnhost build .
    ");
    // From a folder inside the app.
    said(&app.join("audit"), "new function dead-end");
    let (checked, tested) = works(&app);
    let flows: Vec<&str> = checked.lines().map(|line| line.split(" bytes  ").nth(1).unwrap()).collect();
    assert_eq!(flows, ["greeting -> greeted", "greeted -> audited, copied", "dead-end"]);
    assert_eq!(tested.matches("2 passed").count(), 2, "{tested}");
    succeeds(&app, "cargo fmt --check");
}

#[test]
fn new_app_inside_the_repository_uses_the_sdk_that_is_there() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (written, _) = said(folder.path(), "new app shop");
    assert!(!written.contains("vendor") && !written.contains("toolchain"), "{written}");
    let app = folder.path().join("shop");
    let manifest = fs::read_to_string(app.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("/functions/sdk\" }") && !manifest.contains("exclude"), "{manifest}");
    succeeds(&app, "fnhost build .");
    succeeds(&app, "fnhost check .");
}

#[test]
fn folder_may_be_there_when_it_is_empty_and_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("apps/shop")).unwrap();
    let (written, next) = said(folder.path(), "new app apps/shop");
    assert!(written.contains("apps/shop/app.toml\n") && next.contains("cd apps/shop\n"), "{written}{next}");
    let manifest = fs::read_to_string(folder.path().join("apps/shop/app.toml")).unwrap();
    assert!(manifest.contains("name = \"shop\""), "{manifest}");
}

#[test]
fn app_that_cannot_be_made_is_refused_in_a_line_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("full")).unwrap();
    fs::write(folder.path().join("full/notes"), "").unwrap();
    let refusal = |line| refusal(folder.path(), line);
    insta::assert_snapshot!(refusal("new app My_Shop"), @r"
    error: `My_Shop` cannot name an app

    hint: a name is 1 to 64 small letters, digits and `-`: fnhost new app my-shop
    ");
    insta::assert_snapshot!(refusal("new app .."), @r"
    error: `..` cannot name an app

    hint: a name is 1 to 64 small letters, digits and `-`: fnhost new app shop
    ");
    insta::assert_snapshot!(refusal("new app full"), @r"
    error: full is there already, and is no empty folder

    hint: take another name, or move it away: nothing is written over
    ");
    insta::assert_snapshot!(refusal("new app nowhere/shop"), @r"
    error: nowhere/shop cannot be made
      caused by: No such file or directory (os error 2)

    hint: mkdir -p nowhere
    ");
}

#[test]
fn function_that_cannot_be_made_is_refused_in_a_line_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(refusal(folder.path(), "new function audit"), @r"
    error: there is no app.toml in HERE or above it

    hint: run it in the folder of an app; fnhost new app shop makes one
    ");
    said(folder.path(), "new app shop");
    let app = folder.path().join("shop");
    fs::create_dir(app.join("notes")).unwrap();
    fs::write(app.join("notes/today"), "").unwrap();
    let before = fs::read_to_string(app.join("app.toml")).unwrap();
    let refusal = |line| refusal(&app, line);
    insta::assert_snapshot!(refusal("new function Audit"), @r"
    error: `Audit` cannot name a function

    hint: a name is 1 to 64 small letters, digits and `-`: fnhost new function audit
    ");
    insta::assert_snapshot!(refusal("new function match"), @r"
    error: `match` cannot name a function

    hint: take another name: it is the name of a crate too, and means something else to Rust
    ");
    insta::assert_snapshot!(refusal("new function 2nd"), @r"
    error: `2nd` cannot name a function

    hint: begin it with a letter: it is the name of a crate too
    ");
    insta::assert_snapshot!(refusal("new function schemas"), @r"
    error: `schemas` cannot name a function

    hint: take another name: it is the name of a folder too, and an app keeps something else there
    ");
    insta::assert_snapshot!(refusal("new function greeter"), @r"
    error: app `shop` has a function `greeter` already

    hint: it stands in ./app.toml; give this one another name
    ");
    insta::assert_snapshot!(refusal("new function notes"), @r"
    error: notes is there already, and is no empty folder

    hint: take another name, or move it away: nothing is written over
    ");
    insta::assert_snapshot!(refusal("new function audit --output a/b"), @r"
    error: `a/b` cannot name a topic

    hint: Kafka takes letters, digits, `.`, `_` and `-`
    ");
    assert_eq!(fs::read_to_string(app.join("app.toml")).unwrap(), before);

    let output = run(&app, "new function audit --lang go");
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(text(&output.stderr), @r#"
    error: invalid value 'go' for '--lang <LANG>': there is a template for rust; in any other language, build a component of the contract fnhost:function yourself, and name its file in app.toml: source = "NAME.wasm"

    For more information, try '--help'.
    "#);

    fs::write(app.join("Cargo.toml"), "[workspace]\n").unwrap();
    insta::assert_snapshot!(refusal("new function audit"), @r#"
    error: the Cargo workspace in HERE does not know the SDK

    hint: add to HERE/Cargo.toml:

    [workspace.dependencies]
    fnhost-sdk = { path = "…/fnhost-sdk" }

    `fnhost new app` puts it into the app's folder `vendor`
    "#);
    fs::remove_file(app.join("Cargo.toml")).unwrap();
    insta::assert_snapshot!(refusal("new function audit"), @r"
    error: the app in HERE is in no Cargo workspace

    hint: take Cargo.toml, .cargo and vendor from an app that `fnhost new app` makes
    ");
}

#[test]
fn shells_learn_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (script, _) = said(folder.path(), &format!("completions {shell}"));
        assert!(script.contains("apply-topics") && script.contains("completions"), "{shell}");
    }
}
