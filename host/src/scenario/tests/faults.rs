//! What is wrong in a scenario's files, and how it is told.

use std::fmt::Write as _;

use super::*;

impl World {
    /// What is wrong with a scenario of `stock` that has these files.
    #[track_caller]
    fn faults(&self, files: &[(&str, &str)]) -> String {
        drop(fs::remove_dir_all(self.folder.path().join("stock")));
        self.put("stock/tests/a", files);
        let faults = match self.bench.test(&self.scenario("stock/a")) {
            Err(faults) => faults,
            Ok(Ran { expected: Err(faults), .. }) => faults,
            Ok(ran) => panic!("no fault: {ran:?}"),
        };
        faults.to_string().replace(&self.folder.path().display().to_string(), "APP")
    }
}

#[test]
fn whatever_is_wrong_in_a_file_is_shown_where_it_stands() {
    let world = world(nothing);
    let good = ("input.json", r#"{ "value": null }"#);
    let cases: [&[(&str, &str)]; 14] = [
        &[("expected.json", "{}")],
        &[good, ("inputs.json", "")],
        &[("input.json", "{\n  \"value\": {\"id\": }\n}")],
        &[("input.json", "[]")],
        &[("input.json", "{\n  \"topic\": \"order\",\n  \"vale\": null\n}")],
        &[(
            "input.json",
            r#"{ "key": ["a"], "keyBase64": "", "valueBase64": "?", "headers": {}, "timestamp": "now" }"#,
        )],
        &[("input.json", r#"{ "value": 1, "value": 2, "headers": [{ "name": 1 }] }"#)],
        &[good, ("state.json", r#"[{ "key": null, "value": "1" }, { "key": "a", "value": null }]"#)],
        &[good, ("config.json", r#"{ "limit": 3 }"#)],
        &[good, ("expected.json", r#"{ "output": [], "changes": [{ "value": "1" }] }"#)],
        &[good, ("expected.json", "{\n  \"outputs\": [{ \"topic\": \"pakced\", \"value\": null }]\n}")],
        &[good, ("expected.json", r#"{ "failure": { "class": "reject", "attempts": 0 } }"#)],
        &[good, ("expected.json", r#"{ "outputs": [{ "topic": "packed" }] }"#)],
        &[good, ("expected.json", "")],
    ];
    let mut all = String::new();
    for files in cases {
        writeln!(all, "{}\n", world.faults(files)).unwrap();
    }
    insta::assert_snapshot!(all, @r#"
    error: APP/stock/tests/a/input.json is not there

    hint: put an event into it, such as { "key": "a", "value": { } }

    error: a scenario of a function has no `inputs.json`
     --> APP/stock/tests/a/inputs.json: did you mean `input.json`?

    error: this is no JSON: expected value
     --> APP/stock/tests/a/input.json:2:19
      |
    2 |   "value": {"id": }
      |                   ^

    error: there is no event in the list
     --> APP/stock/tests/a/input.json:1:1
      |
    1 | []
      | ^

    error: an event has no `value`
     --> APP/stock/tests/a/input.json:1:1
      |
    1 | {
      | ^

    hint: Kafka's null is `"value": null`

    error: function `stock` does not read topic `order`
     --> APP/stock/tests/a/input.json:2:12
      |
    2 |   "topic": "order",
      |            ^^^^^^^ did you mean `orders`?

    error: an event has no `vale`
     --> APP/stock/tests/a/input.json:3:3
      |
    3 |   "vale": null
      |   ^^^^^^ did you mean `value`?

    hint: what can stand here is `topic`, `key`, `keyBase64`, `timestamp`, `headers`, `value`, `valueBase64`

    error: an event has both `key` and `keyBase64`
     --> APP/stock/tests/a/input.json:1:30
      |
    1 | { "key": ["a"], "keyBase64": "", "valueBase64": "?", "headers": {}, "timestamp": "now" }
      |                              ^^ one of them is too much

    error: `valueBase64` is no Base64
     --> APP/stock/tests/a/input.json:1:49
      |
    1 | { "key": ["a"], "keyBase64": "", "valueBase64": "?", "headers": {}, "timestamp": "now" }
      |                                                 ^^^ RFC 4648, with padding

    error: `headers` must be a list
     --> APP/stock/tests/a/input.json:1:65
      |
    1 | { "key": ["a"], "keyBase64": "", "valueBase64": "?", "headers": {}, "timestamp": "now" }
      |                                                                 ^ this is an object

    error: `timestamp` must be a time of RFC 3339, in UTC
     --> APP/stock/tests/a/input.json:1:82
      |
    1 | { "key": ["a"], "keyBase64": "", "valueBase64": "?", "headers": {}, "timestamp": "now" }
      |                                                                                  ^^^^^ such as 2026-11-21T06:43:01.003Z

    error: `value` stands twice in an event
     --> APP/stock/tests/a/input.json:1:15
      |
    1 | { "value": 1, "value": 2, "headers": [{ "name": 1 }] }
      |               ^^^^^^^ again here

    error: a header has no `value`
     --> APP/stock/tests/a/input.json:1:39
      |
    1 | { "value": 1, "value": 2, "headers": [{ "name": 1 }] }
      |                                       ^

    hint: Kafka's null is `"value": null`

    error: `name` of a header must be a string
     --> APP/stock/tests/a/input.json:1:49
      |
    1 | { "value": 1, "value": 2, "headers": [{ "name": 1 }] }
      |                                                 ^ this is a number

    error: a pair has no `key`
     --> APP/stock/tests/a/state.json:1:2
      |
    1 | [{ "key": null, "value": "1" }, { "key": "a", "value": null }]
      |  ^

    error: a pair has a value
     --> APP/stock/tests/a/state.json:1:56
      |
    1 | [{ "key": null, "value": "1" }, { "key": "a", "value": null }]
      |                                                        ^^^^ leave the pair out

    error: `limit` must be a string
     --> APP/stock/tests/a/config.json:1:12
      |
    1 | { "limit": 3 }
      |            ^ this is a number

    error: the end of an event has no `output`
     --> APP/stock/tests/a/expected.json:1:3
      |
    1 | { "output": [], "changes": [{ "value": "1" }] }
      |   ^^^^^^^^ did you mean `outputs`?

    hint: what can stand here is `outputs`, `changes`, `failure`

    error: a change has no `key`
     --> APP/stock/tests/a/expected.json:1:29
      |
    1 | { "output": [], "changes": [{ "value": "1" }] }
      |                             ^

    error: function `stock` writes to no topic `pakced`
     --> APP/stock/tests/a/expected.json:2:26
      |
    2 |   "outputs": [{ "topic": "pakced", "value": null }]
      |                          ^^^^^^^^ did you mean `packed`?

    error: a failure has no `reason`
     --> APP/stock/tests/a/expected.json:1:14
      |
    1 | { "failure": { "class": "reject", "attempts": 0 } }
      |              ^

    error: no failure is of class `reject`
     --> APP/stock/tests/a/expected.json:1:25
      |
    1 | { "failure": { "class": "reject", "attempts": 0 } }
      |                         ^^^^^^^^ did you mean `rejected`?

    error: `attempts` must be a whole number of at least 1
     --> APP/stock/tests/a/expected.json:1:47
      |
    1 | { "failure": { "class": "reject", "attempts": 0 } }
      |                                               ^ this is a number

    error: an output has no `value`
     --> APP/stock/tests/a/expected.json:1:15
      |
    1 | { "outputs": [{ "topic": "packed" }] }
      |               ^

    hint: Kafka's null is `"value": null`

    error: this is no JSON: EOF while parsing a value
     --> APP/stock/tests/a/expected.json:1:1
      |
    1 |
      | ^
    "#);
}

#[test]
fn an_event_says_its_topic_where_a_function_reads_more_than_one() {
    let world = world(nothing);
    world.put("clerk/tests/a", &[("input.json", "[{ \"value\": null },\n{ \"specversion\": \"1.0\" }]")]);
    world.put("tests/a", &[("input.json", "{ \"topic\": \"error\", \"value\": null }")]);
    let faults = |name: &str| {
        let faults = world.bench.test(&world.scenario(name)).unwrap_err().to_string();
        faults.replace(&world.folder.path().display().to_string(), "APP")
    };
    insta::assert_snapshot!(format!("{}\n\n{}", faults("clerk/a"), faults("a")), @r#"
    error: an event has no `topic`
     --> APP/clerk/tests/a/input.json:1:2
      |
    1 | [{ "value": null },
      |  ^

    hint: say from which one it is: `packed`, `returns`

    error: nobody says from which topic this CloudEvent is
     --> APP/clerk/tests/a/input.json:2:18
      |
    2 | { "specversion": "1.0" }]
      |                  ^^^^^

    hint: write it as { "topic": "…", "key": "…", "value": { … } }; the topics are `packed`, `returns`

    error: no function reads topic `error`
     --> APP/tests/a/input.json:1:12
      |
    1 | { "topic": "error", "value": null }
      |            ^^^^^^^ known: `orders`, `packed`, `returns`
    "#);
}

#[test]
fn bytes_that_are_no_text_are_shown_where_they_begin() {
    let world = world(nothing);
    world.put("stock/tests/a", &[("input.json", "")]);
    fs::write(world.folder.path().join("stock/tests/a/input.json"), b"{\n  \"value\": \"\xff\"\n}").unwrap();
    let faults = world.bench.test(&world.scenario("stock/a")).unwrap_err().to_string();
    assert!(faults.starts_with("error: this is no UTF-8\n") && faults.contains("input.json:2:13\n"), "{faults}");
    assert!(faults.ends_with("hint: write bytes as Base64, in `valueBase64`"), "{faults}");
}
