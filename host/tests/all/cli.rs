//! The binary, as a shell sees it: what goes where, and how it ends.

use std::path::Path;
use std::process::{Command, Output};

mod new;
mod terminal;

pub(crate) use new::ONE_AT_A_TIME as ONE_NEW_APP_AT_A_TIME;

const APP: &str = r#"name = "shop"

[topics.orders]

[topics.error]

[functions.stock]
source = "stock"
input = ["orders"]
"#;

/// An app in a folder of its own.
fn app(manifest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("app.toml"), manifest).unwrap();
    folder
}

/// The binary, with nothing of this process' environment but what finds programs.
pub(crate) fn fnhost(folder: &Path, line: &str) -> Command {
    let mut command = clean(Command::new(env!("CARGO_BIN_EXE_fnhost")));
    command.args(line.split_whitespace()).current_dir(folder);
    command
}

/// The command, without options of fnhost in its environment.
pub(crate) fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FNHOST_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn run(folder: &Path, line: &str) -> Output {
    fnhost(folder, line).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn function_without_component_is_told_to_be_built() {
    let folder = app(APP);
    let output = run(folder.path(), "check .");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    insta::assert_snapshot!(text(&output.stderr), @r#"
    error: function `stock` has no component yet
     --> ./app.toml:8:10
      |
    8 | source = "stock"
      |          ^^^^^^^ ./build/stock.wasm is not there

    hint: fnhost build .
    "#);
}

#[test]
fn component_that_does_not_load_is_shown_where_its_source_is_named() {
    let folder = app(APP);
    std::fs::create_dir(folder.path().join("build")).unwrap();
    std::fs::write(folder.path().join("build/stock.wasm"), "nonsense").unwrap();
    let output = run(folder.path(), "check app.toml");
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(text(&output.stderr), @r#"
    error: function `stock` does not load: it is no WebAssembly
     --> app.toml:8:10
      |
    8 | source = "stock"
      |          ^^^^^^^ build/stock.wasm

    hint: build it as a component: cargo build --release --target wasm32-wasip2
    "#);
}

#[test]
fn faults_as_json_go_to_stdout() {
    let folder = app(&APP.replace("input = [\"orders\"]", "input = [\"order\"]"));
    let output = run(folder.path(), "check . --format json");
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), ""));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let fault = &json["faults"][0];
    assert_eq!((&fault["file"], &fault["line"], &fault["column"]), (&"./app.toml".into(), &9.into(), &10.into()));
    assert_eq!(fault["note"], "did you mean `orders`?");
}

#[test]
fn explained_values_are_printed_even_before_the_first_build() {
    let folder = app(APP);
    let output = run(folder.path(), "check . --explain");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("limits = { time = \"250ms\", memory = \"32MiB\", output = \"256KiB\" }"));
}

#[test]
fn odd_command_line_ends_with_2_and_help_with_0() {
    let folder = app(APP);
    assert_eq!(run(folder.path(), "check . --colour").status.code(), Some(2));
    assert_eq!(run(folder.path(), "topics plan .").status.code(), Some(2));
    assert_eq!(run(folder.path(), "").status.code(), Some(2));
    for line in ["--help", "help check", "--version"] {
        let output = run(folder.path(), line);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{line}");
    }
}

#[test]
fn option_can_come_from_the_environment() {
    let folder = app(APP);
    let output = fnhost(folder.path(), "check --explain").env("FNHOST_APP", ".").output().unwrap();
    assert!(text(&output.stdout).starts_with("name = \"shop\""), "{output:?}");
    let output = fnhost(folder.path(), "check .").env("FNHOST_LOG", "a=b=c").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: FNHOST_LOG cannot be read\n"), "{output:?}");
}

#[test]
fn refused_property_is_named_before_any_broker_is_asked() {
    let folder = app(APP);
    let output = run(folder.path(), "topics plan . --brokers localhost:1 --kafka isolation.level=read_uncommitted");
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(text(&output.stderr), @r"
    error: client property `isolation.level` cannot be set: events of transactions that were aborted would be handled

    hint: leave it out; the host sets it
    ");
}

#[test]
fn reader_that_goes_away_is_no_error() {
    let folder = app(APP);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = fnhost(folder.path(), "check . --explain").stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

/// A crate that is a component and needs no others.
fn stock(folder: &Path, crate_type: &str) {
    let source = folder.join("stock/src");
    std::fs::create_dir_all(&source).unwrap();
    let manifest = format!(
        "[package]\nname = \"stock\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [{crate_type}]\n[workspace]\n"
    );
    std::fs::write(folder.join("stock/Cargo.toml"), manifest).unwrap();
    std::fs::write(source.join("lib.rs"), "").unwrap();
}

#[test]
fn crate_becomes_a_component_in_the_build_folder() {
    let folder = app(APP);
    stock(folder.path(), "\"cdylib\"");
    let output = run(folder.path(), "build .");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let bytes = std::fs::read(folder.path().join("build/stock.wasm")).unwrap();
    assert!(bytes.starts_with(b"\0asm"));
    let line = text(&output.stdout);
    let fields: Vec<&str> = line.split_whitespace().collect();
    let digest = fnhost::event::Digest::of(&bytes).short();
    assert_eq!(fields, ["stock", &digest, &bytes.len().to_string(), "bytes", "./build/stock.wasm"]);
    assert!(text(&output.stderr).contains("Compiling stock"), "{}", text(&output.stderr));
    let files = std::fs::read_dir(folder.path().join("build")).unwrap().count();
    assert_eq!(files, 1, "nothing but the component is left in build");
}

#[test]
fn crate_that_makes_no_component_is_told_how() {
    let folder = app(APP);
    stock(folder.path(), "\"rlib\"");
    let output = run(folder.path(), "build .");
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    let said = stderr.split("error: ").nth(1).unwrap_or_default();
    let said = said.replace(&folder.path().canonicalize().unwrap().display().to_string(), "FOLDER");
    insta::assert_snapshot!(said, @r#"
    crate `stock` of function `stock` made no component

    hint: add to FOLDER/stock/Cargo.toml:

    [lib]
    crate-type = ["cdylib", "rlib"]
    "#);
}

#[test]
fn crate_that_is_not_there_is_named() {
    let folder = app(APP);
    let output = run(folder.path(), "build .");
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(text(&output.stderr), @r"
    error: function `stock` has no crate that cargo can read
      caused by: ./stock/Cargo.toml is not there
      caused by: No such file or directory (os error 2)

    hint: `source` in app.toml names the crate's folder, beside app.toml
    ");
}
