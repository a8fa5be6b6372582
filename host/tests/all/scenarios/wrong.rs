//! What people do wrong with `fnhost test` and `fnhost invoke`, and what they are told.

use std::fmt::Write as _;
use std::fs;

use super::verb::{app, printed, put};
use crate::cli::run;

/// What each command line prints, in an app of which `change` made something else.
fn told(lines: &[&str], change: impl FnOnce(&std::path::Path)) -> String {
    let folder = app();
    change(folder.path());
    let mut all = String::new();
    for line in lines {
        let output = run(folder.path(), line);
        writeln!(all, "$ fnhost {line}\n{}\n", printed(&output).trim_start()).unwrap();
    }
    all.replace(&folder.path().canonicalize().unwrap().display().to_string(), "APP")
}

#[test]
fn what_is_not_there_is_named_with_what_could_be_meant() {
    let lines = [
        "test .",
        "test nowhere",
        "test /nowhere",
        "test ../",
        "test script/tests/nowhere",
        "test scrip",
        "invoke . event.json",
        "invoke script event.json",
        "invoke ./scrip event.json",
    ];
    insta::assert_snapshot!(told(&lines, |folder| put(folder, "scrip/Cargo.toml", "")), @r"
    $ fnhost test .
    error: . has no scenario

    hint: put an event into ./script/tests/NAME/input.json, and run this with --bless
    exit 1

    $ fnhost test nowhere
    error: `nowhere` is no function of app `shop`: known: `script`

    hint: name a function as ./NAME
    exit 1

    $ fnhost test /nowhere
    error: /nowhere is not there

    hint: name an app or a function: the folder of an app.toml, or a folder of one of its functions
    exit 1

    $ fnhost test ../
    error: ../ is in no app

    hint: name an app or a function: the folder of an app.toml, or a folder of one of its functions
    exit 1

    $ fnhost test script/tests/nowhere
    error: script/tests/nowhere has no scenario

    hint: put an event into ./script/tests/NAME/input.json, and run this with --bless
    exit 1

    $ fnhost test scrip
    error: `scrip` is no function of app `shop`: did you mean `script`?

    hint: name a function as ./NAME
    exit 1

    $ fnhost invoke . event.json
    error: . is an app, and one function is wanted

    hint: name one of ./script
    exit 1

    $ fnhost invoke script event.json
    error: event.json cannot be read
      caused by: No such file or directory (os error 2)

    hint: name the file of an event, or `-` for stdin
    exit 1

    $ fnhost invoke ./scrip event.json
    error: `scrip` is no function of app `shop`: did you mean `script`?

    hint: name a function as ./NAME
    exit 1
    ");
    let lines = ["test . --filter good"];
    insta::assert_snapshot!(told(&lines, |folder| put(folder, "script/tests/a/input.json", "{}")), @r"
    $ fnhost test . --filter good
    error: no scenario has `good` in its name

    hint: leave --filter out to see their names
    exit 1
    ");
}

#[test]
fn component_that_is_not_there_or_does_not_load_ends_it_before_a_scenario_runs() {
    let scenario = |folder: &std::path::Path| put(folder, "script/tests/a/input.json", "{}");
    let missing = told(&["test .", "invoke script -"], |folder| {
        scenario(folder);
        let manifest = fs::read_to_string(folder.join("app.toml")).unwrap();
        put(folder, "app.toml", &manifest.replace("script.wasm", "script"));
    });
    insta::assert_snapshot!(missing, @r#"
    $ fnhost test .
    error: function `script` has no component yet
      --> ./app.toml:10:10
       |
    10 | source = "script"
       |          ^^^^^^^^ ./build/script.wasm is not there

    hint: fnhost build ., or run this with --build
    exit 1

    $ fnhost invoke script -
    error: function `script` has no component yet
      --> ./app.toml:10:10
       |
    10 | source = "script"
       |          ^^^^^^^^ ./build/script.wasm is not there

    hint: fnhost build ., or run this with --build
    exit 1
    "#);
    let nonsense = told(&["test ."], |folder| {
        scenario(folder);
        put(folder, "script.wasm", "nonsense");
    });
    insta::assert_snapshot!(nonsense, @r#"
    $ fnhost test .
    error: function `script` does not load: it is no WebAssembly
      --> ./app.toml:10:10
       |
    10 | source = "script.wasm"
       |          ^^^^^^^^^^^^^ ./script.wasm

    hint: build it as a component: cargo build --release --target wasm32-wasip2
    exit 1
    "#);
}

#[test]
fn event_that_is_none_is_shown_where_it_is_wrong() {
    let lines = [
        "invoke script not-json.json",
        "invoke script list.json",
        "invoke script typo.json",
        "invoke script topic.json",
        "invoke script good.json --topic on",
        "invoke script good.json --state typo.json",
        "invoke script good.json --state nowhere.json",
        "invoke script good.json --config colour",
    ];
    let files = |folder: &std::path::Path| {
        put(folder, "not-json.json", "hello");
        put(folder, "list.json", "[]");
        put(folder, "typo.json", "{ \"vale\": \"\" }");
        put(folder, "topic.json", "{ \"topic\": \"orders\", \"value\": \"\" }");
        put(folder, "good.json", "{ \"value\": \"\" }");
    };
    insta::assert_snapshot!(told(&lines, files), @r#"
    $ fnhost invoke script not-json.json
    error: this is no JSON: expected value
     --> not-json.json:1:1
      |
    1 | hello
      | ^
    exit 1

    $ fnhost invoke script list.json
    error: an event must be an object
     --> list.json:1:1
      |
    1 | []
      | ^ this is a list
    exit 1

    $ fnhost invoke script typo.json
    error: an event has no `value`
     --> typo.json:1:1
      |
    1 | { "vale": "" }
      | ^

    hint: Kafka's null is `"value": null`

    error: an event has no `vale`
     --> typo.json:1:3
      |
    1 | { "vale": "" }
      |   ^^^^^^ did you mean `value`?

    hint: what can stand here is `topic`, `key`, `keyBase64`, `timestamp`, `headers`, `value`, `valueBase64`
    exit 1

    $ fnhost invoke script topic.json
    error: function `script` does not read topic `orders`
     --> topic.json:1:12
      |
    1 | { "topic": "orders", "value": "" }
      |            ^^^^^^^^ known: `in`
    exit 1

    $ fnhost invoke script good.json --topic on
    error: function `script` does not read topic `on`
     --> good.json:1:1
      |
    1 | { "value": "" }
      | ^ did you mean `in`?
    exit 1

    $ fnhost invoke script good.json --state typo.json
    error: the state must be a list
     --> typo.json:1:1
      |
    1 | { "vale": "" }
      | ^ this is an object
    exit 1

    $ fnhost invoke script good.json --state nowhere.json
    error: nowhere.json is not there
    exit 1

    $ fnhost invoke script good.json --config colour
    error: invalid value 'colour' for '--config <KEY=VALUE>': this is no KEY=VALUE

    For more information, try '--help'.
    exit 2
    "#);
}

#[test]
fn scenario_with_a_fault_fails_and_the_others_run() {
    let lines = ["test .", "test . --bless"];
    let files = |folder: &std::path::Path| {
        put(folder, "script/tests/a/input.json", "{\n  \"topik\": \"in\",\n  \"value\": \"\"\n}");
        put(folder, "script/tests/b/input.json", "{ \"value\": \"\" }");
        put(folder, "script/tests/b/expected.json", "{ \"output\": [] }");
        put(folder, "script/tests/c/input.json", "{ \"value\": \"\" }");
        put(folder, "script/tests/c/expected.json", "{}");
    };
    insta::assert_snapshot!(told(&lines, files), @r#"
    $ fnhost test .
    test script/a ... FAILED
    test script/b ... FAILED
    test script/c ... ok

    ---- script/a (./script/tests/a) ----
    error: an event has no `topik`
     --> ./script/tests/a/input.json:2:3
      |
    2 |   "topik": "in",
      |   ^^^^^^^ did you mean `topic`?

    hint: what can stand here is `topic`, `key`, `keyBase64`, `timestamp`, `headers`, `value`, `valueBase64`

    ---- script/b (./script/tests/b) ----
    error: the end of an event has no `output`
     --> ./script/tests/b/expected.json:1:3
      |
    1 | { "output": [] }
      |   ^^^^^^^^ did you mean `outputs`?

    hint: what can stand here is `outputs`, `changes`, `failure`

    1 passed; 2 failed; 0 filtered out

    hint: where what came out is right, make it the expectation: fnhost test . --bless
    exit 1

    $ fnhost test . --bless
    test script/a ... FAILED
    test script/b ... ok, wrote ./script/tests/b/expected.json
    test script/c ... ok

    ---- script/a (./script/tests/a) ----
    error: an event has no `topik`
     --> ./script/tests/a/input.json:2:3
      |
    2 |   "topik": "in",
      |   ^^^^^^^ did you mean `topic`?

    hint: what can stand here is `topic`, `key`, `keyBase64`, `timestamp`, `headers`, `value`, `valueBase64`

    2 passed; 1 failed; 0 filtered out
    exit 1
    "#);
}
