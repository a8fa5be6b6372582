//! `fnhost test`, on an app whose one function is the test guest.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, SystemTime};

use crate::cli::{run, text};
use crate::guests::guest;

const APP: &str = r#"name = "shop"

[topics.in]

[topics.out]

[topics.error]

[functions.script]
source = "script.wasm"
input = ["in"]
output = ["out"]
config = { colour = "blue" }
"#;

/// The app, with a component and no scenario.
pub(super) fn app() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.toml"), APP).unwrap();
    fs::copy(guest("guest"), folder.path().join("script.wasm")).unwrap();
    folder
}

/// Writes a file, and the folders that it is in.
pub(super) fn put(folder: &Path, file: &str, text: &str) {
    let file = folder.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// What a run printed, with the time that it took taken out.
pub(super) fn printed(output: &Output) -> String {
    let out = text(&output.stdout);
    let line = |line: &str| line.split_once("; finished in").map_or(line, |(before, _)| before).to_owned();
    let lines: Vec<String> = out.lines().map(line).collect();
    format!("{}\n{}exit {}", lines.join("\n"), text(&output.stderr), output.status.code().unwrap())
}

#[test]
fn a_new_scenario_is_blessed_then_passes_and_fails_once_something_else_comes_out() {
    let folder = app();
    put(
        folder.path(),
        "script/tests/greets/input.json",
        r#"{ "key": "k", "value": "emit out hello; set k seen; log 1" }"#,
    );
    insta::assert_snapshot!(printed(&run(folder.path(), "test .")), @r#"
    test script/greets ... FAILED

    ---- script/greets (./script/tests/greets) ----
    it has no expected.json; what came out:
    {
      "outputs": [{ "topic": "out", "key": "k", "value": "hello" }],
      "changes": [{ "key": "k", "value": "seen" }]
    }
    log
      info   guest: line 0

    0 passed; 1 failed; 0 filtered out

    hint: where what came out is right, make it the expectation: fnhost test . --bless
    exit 1
    "#);
    insta::assert_snapshot!(printed(&run(folder.path(), "test . --bless")), @r"
    test script/greets ... ok, wrote ./script/tests/greets/expected.json

    1 passed; 0 failed; 0 filtered out
    exit 0
    ");
    insta::assert_snapshot!(printed(&run(folder.path(), "test .")), @r"
    test script/greets ... ok

    1 passed; 0 failed; 0 filtered out
    exit 0
    ");
    insta::assert_snapshot!(printed(&run(folder.path(), "test . --bless")), @r"
    test script/greets ... ok

    1 passed; 0 failed; 0 filtered out
    exit 0
    ");

    put(
        folder.path(),
        "script/tests/greets/input.json",
        r#"{ "key": "k", "value": "emit out hallo; set k seen; log 1" }"#,
    );
    insta::assert_snapshot!(printed(&run(folder.path(), "test .")), @r#"
    test script/greets ... FAILED

    ---- script/greets (./script/tests/greets) ----
    --- expected.json
    +++ what came out
    @@ -1,4 +1,4 @@
     {
    -  "outputs": [{ "topic": "out", "key": "k", "value": "hello" }],
    +  "outputs": [{ "topic": "out", "key": "k", "value": "hallo" }],
       "changes": [{ "key": "k", "value": "seen" }]
     }
    log
      info   guest: line 0

    0 passed; 1 failed; 0 filtered out

    hint: where what came out is right, make it the expectation: fnhost test . --bless
    exit 1
    "#);
}

#[test]
fn scenarios_are_chosen_by_function_by_folder_and_by_name() {
    let folder = app();
    for name in ["script/tests/one", "script/tests/two", "tests/flow"] {
        put(folder.path(), &format!("{name}/input.json"), r#"{ "topic": "in", "value": "emit out x" }"#);
    }
    assert_eq!(run(folder.path(), "test . --bless").status.code(), Some(0));
    let chosen = |path: &Path, line: &str| {
        let output = run(path, line);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let out = text(&output.stdout);
        let names =
            out.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... ok").map(str::to_owned));
        names.collect::<Vec<_>>().join(" ")
    };
    let script = folder.path().join("script");
    assert_eq!(chosen(folder.path(), "test ."), "script/one script/two flow");
    assert_eq!(chosen(folder.path(), "test app.toml --filter o"), "script/one script/two flow");
    assert_eq!(chosen(folder.path(), "test script"), "script/one script/two");
    assert_eq!(chosen(folder.path(), "test script --filter two"), "script/two");
    assert_eq!(chosen(folder.path(), "test script/tests/one/"), "script/one");
    assert_eq!(chosen(folder.path(), "test script/tests/one/input.json"), "script/one");
    assert_eq!(chosen(folder.path(), "test script/tests"), "script/one script/two");
    assert_eq!(chosen(folder.path(), "test tests"), "flow");
    assert_eq!(chosen(folder.path(), "test tests/flow"), "flow");
    assert_eq!(chosen(&script, "test ."), "script/one script/two");
    assert_eq!(chosen(&script, "test tests/two"), "script/two");
}

#[test]
fn one_json_document_has_every_scenario_and_why_it_failed() {
    let folder = app();
    put(folder.path(), "script/tests/faulty/input.json", "{");
    put(folder.path(), "script/tests/new/input.json", r#"{ "value": "reject no; log 1" }"#);
    put(folder.path(), "script/tests/old/input.json", r#"{ "value": "log 1; reject no" }"#);
    put(folder.path(), "script/tests/old/expected.json", "{}");
    put(folder.path(), "script/tests/same/input.json", r#"{ "value": "" }"#);
    put(folder.path(), "script/tests/same/expected.json", "{}");
    let output = run(folder.path(), "test script --format json --filter e");
    let output_of_all = run(folder.path(), "test script --format json");
    assert_eq!((output.status.code(), output_of_all.status.code()), (Some(1), Some(1)));
    let json: serde_json::Value = serde_json::from_slice(&output_of_all.stdout).unwrap();
    assert_eq!((&json["app"], &json["passed"], &json["failed"]), (&"shop".into(), &1.into(), &3.into()));
    let scenarios = json["scenarios"].as_array().unwrap();
    assert_eq!(scenarios[0]["faults"][0]["line"], 1);
    assert_eq!(scenarios[1]["cameOut"], "{ \"failure\": { \"class\": \"rejected\", \"reason\": \"no\" } }\n");
    assert!(scenarios[2]["difference"].as_str().unwrap().contains("+{ \"failure\""), "{}", scenarios[2]);
    assert_eq!(scenarios[2]["log"][0]["message"], "line 0");
    assert_eq!((&scenarios[3]["name"], &scenarios[3]["passed"]), (&"script/same".into(), &true.into()));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["filteredOut"], 2);
}

#[test]
fn function_that_traps_or_runs_too_long_is_an_expectation_like_any_other() {
    let folder = app();
    put(
        folder.path(),
        "script/tests/ends-badly/input.json",
        r#"[{ "value": "panic oh no" }, { "value": "loop" }, { "value": "emit other x" }]"#,
    );
    assert_eq!(run(folder.path(), "test . --bless").status.code(), Some(0));
    let expected = fs::read_to_string(folder.path().join("script/tests/ends-badly/expected.json")).unwrap();
    insta::assert_snapshot!(expected, @r#"
    [
      {
        "failure": {
          "class": "trapped",
          "reason": "wasm trap: wasm `unreachable` instruction executed; stderr: thread '<unnamed>' (1) panicked at host/tests/guest/src/misbehave.rs:15:20:\\noh no\\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"
        }
      },
      { "failure": { "class": "timed-out", "reason": "it ran longer than 250ms (`limits.time`)" } },
      {
        "failure": {
          "class": "undeclared-topic",
          "reason": "it published to `other`, which its `output` does not name"
        }
      }
    ]
    "#);
    assert_eq!(run(folder.path(), "test .").status.code(), Some(0));
}

#[test]
fn component_that_is_older_than_its_sources_is_said_to_be() {
    let folder = app();
    put(folder.path(), "app.toml", &APP.replace("script.wasm", "script"));
    put(folder.path(), "script/tests/a/input.json", r#"{ "value": "" }"#);
    put(folder.path(), "script/tests/a/expected.json", "{}");
    put(folder.path(), "script/Cargo.toml", "");
    put(folder.path(), "script/src/parts/part.rs", "");
    fs::create_dir(folder.path().join("build")).unwrap();
    fs::rename(folder.path().join("script.wasm"), folder.path().join("build/script.wasm")).unwrap();
    let of = |file: &str, seconds: u64| {
        let file = fs::File::options().append(true).open(folder.path().join(file)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)).unwrap();
    };
    for (file, seconds) in [("script/Cargo.toml", 1), ("script/src/parts/part.rs", 2), ("build/script.wasm", 3)] {
        of(file, seconds);
    }
    let output = run(folder.path(), "test .");
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    of("script/src/parts/part.rs", 4);
    insta::assert_snapshot!(text(&run(folder.path(), "test .").stderr), @r"warning: function `script` was changed after its component was built; --build builds it first");
}
