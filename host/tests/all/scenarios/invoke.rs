//! `fnhost invoke`, with the test guest.

use std::io::Write as _;
use std::process::Stdio;

use super::verb::{app, printed, put};
use crate::cli::{fnhost, run, text};

#[test]
fn all_that_becomes_of_an_event_is_printed() {
    let folder = app();
    let script = "emit out {\\\"id\\\": 1}; null out; config out colour; get out before; set k seen; delete old; log 1; eprint 20";
    put(folder.path(), "event.json", &format!(r#"{{ "key": "k", "value": "{script}" }}"#));
    put(folder.path(), "state.json", r#"[{ "key": "before", "valueBase64": "/w==" }]"#);
    let output = run(folder.path(), "invoke script event.json --state state.json --config colour=green");
    let digest = fnhost::event::Digest::of(&std::fs::read(folder.path().join("script.wasm")).unwrap());
    insta::assert_snapshot!(printed(&output).replace(&digest.short(), "VERSION"), @r#"
    script VERSION: applied

    output to out
      key: k
      value: { "id": 1 }

    output to out
      key: null
      header h: 1
      header h: 2
      header h: null
      header h: 
      value: null

    output to out
      key: k
      value: green

    output to out
      key: k
      value: /w== (Base64)

    state
      k = seen
      old = deleted

    log
      info   guest: line 0
      debug  stderr: xxxxxxxxxxxxxxxxxxxx
    exit 0
    "#);

    let output = run(folder.path(), "invoke script event.json --state state.json --format json");
    insta::assert_snapshot!(printed(&output).replace(&digest.to_string(), "VERSION"), @r#"
    {
      "function": "script",
      "version": "VERSION",
      "verdict": "applied",
      "outputs": [
        { "topic": "out", "key": "k", "value": { "id": 1 } },
        {
          "topic": "out",
          "headers": [
            { "name": "h", "value": "1" },
            { "name": "h", "value": "2" },
            { "name": "h", "value": null },
            { "name": "h", "value": "" }
          ],
          "value": null
        },
        { "topic": "out", "key": "k", "value": "blue" },
        { "topic": "out", "key": "k", "valueBase64": "/w==" }
      ],
      "changes": [{ "key": "k", "value": "seen" }, { "key": "old", "value": null }],
      "failure": null,
      "log": [
        { "level": "info", "from": "guest", "message": "line 0" },
        { "level": "debug", "from": "stderr", "message": "xxxxxxxxxxxxxxxxxxxx" }
      ]
    }
    exit 0
    "#);
}

#[test]
fn event_that_fails_is_no_failure_of_the_verb() {
    let folder = app();
    for (value, said) in [
        ("reject no such thing", "failed, rejected\n  no such thing"),
        ("retry later", "failed after 5 attempts, retries-exhausted\n  later"),
        ("unknown", "failed, rejected\n  unknown step `unknown`"),
    ] {
        put(folder.path(), "event.json", &format!(r#"{{ "value": "{value}" }}"#));
        let output = run(folder.path(), "invoke ./script event.json");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).trim_end().ends_with(said), "{}", text(&output.stdout));
    }
}

#[test]
fn event_comes_from_stdin_and_a_cloud_event_is_one_as_it_is() {
    let folder = app();
    let manifest = std::fs::read_to_string(folder.path().join("app.toml")).unwrap();
    put(folder.path(), "app.toml", &manifest.replace("input = [\"in\"]", "input = [\"in\", \"out\"]"));
    let mut command = fnhost(folder.path(), "invoke script - --topic out");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let event = r#"{ "specversion": "1.0", "subject": "k", "do": "see out" }"#;
    child.stdin.take().unwrap().write_all(event.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let seen = r#"topic=out timestamp=none key="k" value="{\"specversion\":\"1.0\""#;
    assert!(text(&output.stdout).contains(seen), "{}", text(&output.stdout));
}
