//! Wrong things that newcomers do, and what each is told: what failed, why, and what mends it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use fnhost::broker::embedded::{Embedded, Options};
use tempfile::TempDir;

use crate::cli::{fnhost, text};
use crate::embedded::raw;
use crate::guests::guest;
use crate::order_path::FNHOST;

mod interrupt;

const APP: &str = r#"name = "shop"

[topics.in]

[topics.out]

[topics.error]

[functions.script]
source = "script.wasm"
input = ["in"]
output = ["out"]
"#;

/// An app whose one function does what its event says.
fn app() -> TempDir {
    app_of(&guest("guest"), APP)
}

fn app_of(component: &Path, manifest: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.toml"), manifest).unwrap();
    fs::copy(component, folder.path().join("script.wasm")).unwrap();
    folder
}

/// An app whose one function is a crate that needs no others.
fn unbuilt() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.toml"), APP.replace("script.wasm", "script")).unwrap();
    fs::create_dir_all(folder.path().join("script/src")).unwrap();
    let manifest = "[package]\nname = \"script\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                    [lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    fs::write(folder.path().join("script/Cargo.toml"), manifest).unwrap();
    fs::write(folder.path().join("script/src/lib.rs"), "").unwrap();
    folder
}

/// Puts a program into a folder.
fn program(folder: &Path, name: &str, script: &str) {
    fs::create_dir_all(folder).unwrap();
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// `folders`, and then where programs are found otherwise.
fn path(folders: &[&Path]) -> std::ffi::OsString {
    let others = std::env::var_os("PATH").unwrap();
    let others = std::env::split_paths(&others).collect::<Vec<_>>();
    std::env::join_paths(folders.iter().map(|folder| folder.to_path_buf()).chain(others)).unwrap()
}

fn shown(output: &Output, folder: &Path) -> String {
    let all = format!("{}{}exit {}", text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1));
    all.replace(&folder.canonicalize().unwrap().display().to_string(), "HERE")
}

/// What a command line prints, and how it ends.
fn told(folder: &TempDir, line: &str) -> String {
    shown(&fnhost(folder.path(), line).output().unwrap(), folder.path())
}

#[test]
fn without_the_wasm_target_it_is_said_how_to_get_it() {
    let (folder, bin) = (unbuilt(), tempfile::tempdir().unwrap());
    program(bin.path(), "rustc", "echo /nowhere");
    program(bin.path(), "rustup", "echo 'error: could not download' >&2; exit 1");
    let build = fnhost(folder.path(), "build .").env("PATH", path(&[bin.path()])).output().unwrap();
    insta::assert_snapshot!(shown(&build, folder.path()), @r"
    the target wasm32-wasip2 is missing: rustup target add wasm32-wasip2
    error: could not download
    error: this Rust cannot build for wasm32-wasip2, and rustup could not add it

    hint: rustup target add wasm32-wasip2, or install the wasm32-wasip2 standard library of the Rust in use
    exit 1
    ");
}

#[test]
fn without_cargo_it_is_said_where_it_comes_from() {
    let folder = unbuilt();
    let build = fnhost(folder.path(), "build .").env("PATH", "/nowhere").output().unwrap();
    insta::assert_snapshot!(shown(&build, folder.path()), @r"
    error: cargo cannot be run
      caused by: No such file or directory (os error 2)

    hint: it comes with Rust: https://rustup.rs; is its folder, ~/.cargo/bin, on the PATH?
    exit 1
    ");
}

#[test]
fn cargo_component_is_not_missed() {
    let (folder, bin) = (unbuilt(), tempfile::tempdir().unwrap());
    let found = |name: &str| {
        let all = std::env::var_os("PATH").unwrap();
        std::env::split_paths(&all).map(|folder| folder.join(name)).find(|file| file.exists()).unwrap()
    };
    for name in ["cargo", "rustc", "cc"] {
        symlink(found(name), bin.path().join(name)).unwrap();
    }
    let has_it =
        Command::new(bin.path().join("cargo")).args(["component", "--version"]).env("PATH", bin.path()).output();
    if !has_it.unwrap().status.success() {
        let build = fnhost(folder.path(), "build .").env("PATH", bin.path()).output().unwrap();
        assert_eq!(build.status.code(), Some(0), "{}", shown(&build, folder.path()));
    }
}

#[test]
fn port_that_is_taken_is_named_with_one_to_take_instead() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = app();
    let say = |line: String| {
        let said = told(&folder, &line)
            .replace(&port.to_string(), "PORT")
            .replace(&port.checked_add(100).unwrap_or_default().to_string(), "FREE");
        // What it logs before that is not what failed.
        said.lines().filter(|line| !line.contains("Z  ")).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(say(format!("dev . --http 127.0.0.1:{port} --admin 127.0.0.1:0")), @r"
    error: nothing can be served on 127.0.0.1:PORT
      caused by: Address already in use (os error 98)

    hint: end what listens there, perhaps another fnhost, or choose another address: --http 127.0.0.1:FREE
    exit 1
    ");
    let admin = format!("run . --embedded b.redb --apply-topics --http 127.0.0.1:0 --admin 127.0.0.1:{port}");
    insta::assert_snapshot!(say(admin).split_once("error:").unwrap().1, @r"
     nothing can be served on 127.0.0.1:PORT
      caused by: Address already in use (os error 98)

    hint: end what listens there, perhaps another fnhost, or choose another address: --admin 127.0.0.1:FREE
    exit 1
    ");
}

#[test]
fn mistakes_in_app_toml_are_shown_where_they_are() {
    let component = guest("guest");
    let told = |from: &str, to: &str| told(&app_of(&component, &APP.replace(from, to)), "dev .");
    insta::assert_snapshot!(told("output =", "ouput ="), @r#"
    error: function `script` has no key `ouput`
      --> ./app.toml:12:1
       |
    12 | ouput = ["out"]
       | ^^^^^ did you mean `output`?

    hint: the keys here are `source`, `input`, `output`, `config`, `limits`, `retry`, `group`, `from`
    exit 1
    "#);
    insta::assert_snapshot!(told("input = [\"in\"]", "input = [\"inn\"]"), @r#"
    error: function `script` reads topic `inn`, which app.toml does not declare
      --> ./app.toml:11:10
       |
    11 | input = ["inn"]
       |          ^^^^^ did you mean `in`?

    hint: declare it with `[topics.inn]`, or correct the name
    exit 1
    "#);
    insta::assert_snapshot!(told("[topics.in]", "[topics.in]\nschema = \"order\""), @r#"
    error: there is no schema `order`
     --> ./app.toml:4:10
      |
    4 | schema = "order"
      |          ^^^^^^^ there is no schema at all

    hint: write ./schemas/order.schema.json; the folder of schemas is `schemas = "…"` at the top
    exit 1
    "#);
}

#[test]
fn function_that_panics_ends_with_what_it_said() {
    let folder = app();
    fs::write(folder.path().join("event.json"), r#"{ "value": "panic the shelves are empty" }"#).unwrap();
    let said = told(&folder, "invoke script event.json");
    let version = fnhost::event::Digest::of(&fs::read(folder.path().join("script.wasm")).unwrap()).short();
    // Where in the component it was says nothing to anybody without names.
    let (before, after) = said.split_once("; at 0x").unwrap();
    let said = format!("{before}…\n{}", after.split_once('\n').unwrap().1);
    insta::assert_snapshot!(said.replace(&version, "VERSION"), @r"
    script VERSION: failed, trapped
      wasm trap: wasm `unreachable` instruction executed; stderr: thread '<unnamed>' (1) panicked at host/tests/guest/src/misbehave.rs:15:20:\nthe shelves are empty\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace…

    log
      debug  stderr: thread '<unnamed>' (1) panicked at host/tests/guest/src/misbehave.rs:15:20:
      debug  stderr: the shelves are empty
      debug  stderr: note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
    exit 0
    ");
}

#[test]
fn component_of_another_contract_is_told_from_one_of_this() {
    let other = r#"(component (instance $i) (export "fnhost:function/handler@0.2.0" (instance $i)))"#;
    let folder = app();
    fs::write(folder.path().join("script.wasm"), wat::parse_str(other).unwrap()).unwrap();
    insta::assert_snapshot!(told(&folder, "check ."), @r#"
    error: function `script` does not load: it does not export fnhost:function/handler@0.1.0, but fnhost:function/handler@0.2.0
      --> ./app.toml:10:10
       |
    10 | source = "script.wasm"
       |          ^^^^^^^^^^^^^ ./script.wasm

    hint: build it against wit/function.wit of this host, or with its fnhost-sdk
    exit 1
    "#);
    insta::assert_snapshot!(told(&folder, "dev . --http 127.0.0.1:0 --admin 127.0.0.1:0"), @r#"
    error: function `script` does not load: it does not export fnhost:function/handler@0.1.0, but fnhost:function/handler@0.2.0
      --> ./app.toml:10:10
       |
    10 | source = "script.wasm"
       |          ^^^^^^^^^^^^^ ./script.wasm

    hint: build it against wit/function.wit of this host, or with its fnhost-sdk
    exit 1
    "#);
}

#[test]
fn kafka_that_is_not_there_is_asked_for() {
    let folder = app();
    // What librdkafka logs before that comes in time or not.
    let without_log = |line| told(&folder, line).split_once("error: ").unwrap().1.to_owned();
    let planned = without_log("topics plan . --brokers 127.0.0.1:1");
    insta::assert_snapshot!(planned, @r#"
    the broker at 127.0.0.1:1 is away
      caused by: reading topics: Meta data fetch error: BrokerTransportFailure (Local: Broker transport failure) (BrokerTransportFailure)

    hint: is Kafka running at 127.0.0.1:1, and does it advertise an address that can be reached from here? kafka-broker-api-versions.sh --bootstrap-server 127.0.0.1:1 asks it; without a Kafka, take --embedded FILE in place of --brokers
    exit 1
    "#);
    assert_eq!(without_log("demo . --brokers 127.0.0.1:1"), planned);
    insta::assert_snapshot!(told(&folder, "run ."), @r"
    error: the following required arguments were not provided:
      <--brokers <HOST:PORT,…>|--embedded <FILE>>

    Usage: fnhost run <--brokers <HOST:PORT,…>|--embedded <FILE>> <APP>

    For more information, try '--help'.
    exit 2
    ");
}

#[test]
fn data_of_a_newer_fnhost_are_left_alone() {
    let folder = app();
    let file = folder.path().join(".fnhost/broker.redb");
    drop(Embedded::open(&file, &Options::default()).unwrap());
    raw::set_format(&file, 9);
    insta::assert_snapshot!(told(&folder, "dev ."), @r"
    error: ./.fnhost/broker.redb was written by a newer fnhost: it has format 9, this fnhost knows 1

    hint: use the newer fnhost again, or begin with an empty file: mv ./.fnhost/broker.redb ./.fnhost/broker.redb.newer
    exit 1
    ");
}

#[test]
fn folder_that_cannot_be_written_is_named() {
    let folder = app();
    let bin = tempfile::tempdir().unwrap();
    let put = |file: &str, text: &str| {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    put("script/tests/a/input.json", r#"{ "value": "" }"#);
    // Root may write everywhere, so it is somebody else then, who needs a binary within reach.
    let is_root = rustix::process::getuid().is_root();
    let binary = bin.path().join("fnhost");
    if is_root {
        fs::copy(FNHOST, &binary).unwrap();
        fs::set_permissions(bin.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for within in ["script/tests/a", "script/tests", "script", ""] {
        fs::set_permissions(folder.path().join(within), fs::Permissions::from_mode(0o555)).unwrap();
    }
    let told = |line: &str| {
        let mut command = Command::new(if is_root { binary.as_path() } else { Path::new(FNHOST) });
        command.args(line.split(' ')).current_dir(folder.path());
        if is_root {
            command.uid(65534).gid(65534);
        }
        shown(&crate::cli::clean(command).output().unwrap(), folder.path())
    };
    let said = told("new app more");
    // The folder that it works in has another name each time.
    let (before, after) = said.split_once("/./.fnhost-new-").unwrap();
    insta::assert_snapshot!(format!("{before}{}", &after[6..]), @r#"
    error: more cannot be written
      caused by: Permission denied (os error 13) at path "HERE"

    hint: let the user who runs fnhost write there: ls -ld .
    exit 1
    "#);
    insta::assert_snapshot!(told("build ."), @r"
    error: ./build cannot be made
      caused by: Permission denied (os error 13)

    hint: let the user who runs fnhost write there: ls -ld .
    exit 1
    ");
    insta::assert_snapshot!(told("dev ."), @r"
    error: ./.fnhost cannot be made
      caused by: Permission denied (os error 13)

    hint: let the user who runs fnhost write there: ls -ld .; or keep it elsewhere: --data DIR
    exit 1
    ");
    insta::assert_snapshot!(told("test . --bless"), @r"
    error: the expected.json of ./script/tests/a cannot be written
      caused by: Permission denied (os error 13)

    hint: let the user who runs fnhost write there: ls -ld ./script/tests/a
    exit 1
    ");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}
