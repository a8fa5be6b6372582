//! Scenarios of functions that are native code: what is read, what is run, what is compared.

use std::fs;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::app::manifest;
use crate::app::schemas::Schemas;
use crate::deploy::Versions;
use crate::event::{Class, Digest, Effects, Failure, Header, Outcome, Output};
use crate::invocation::{Call, Handler};

mod faults;

const APP: &str = r#"
name = "shop"

[topics.orders]
[topics.returns]
[topics.packed]
[topics.error]

[functions.stock]
source = "stock.wasm"
input = ["orders"]
output = ["packed"]
config = { limit = "3", colour = "blue" }

[functions.clerk]
source = "clerk.wasm"
input = ["packed", "returns"]
output = ["packed", "orders"]
"#;

/// A function as native code.
struct Native(fn(&Call<'_>) -> Outcome);

impl Handler for Native {
    fn handle(&self, call: Call<'_>) -> Outcome {
        (self.0)(&call)
    }

    fn digest(&self) -> Digest {
        Digest::of(b"native")
    }

    fn state_format(&self) -> &str {
        "1"
    }
}

struct World {
    folder: tempfile::TempDir,
    bench: Bench,
}

/// An app whose functions both do `handle`.
fn world(handle: fn(&Call<'_>) -> Outcome) -> World {
    world_of(APP, handle)
}

/// The app of a manifest, whose functions all do `handle`.
fn world_of(manifest: &str, handle: fn(&Call<'_>) -> Outcome) -> World {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.toml"), manifest).unwrap();
    let app = manifest::load(folder.path()).unwrap_or_else(|faults| panic!("{faults}"));
    let native = |function: &Arc<Function>| (function.name.clone(), Arc::new(Native(handle)) as Arc<dyn Handler>);
    let versions: Versions = app.functions.iter().map(native).collect();
    World { bench: Bench::new(app, Schemas::default(), versions).unwrap(), folder }
}

impl World {
    fn put(&self, folder: &str, files: &[(&str, &str)]) -> &Self {
        let folder = self.folder.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        self
    }

    fn scenario(&self, name: &str) -> Scenario {
        let found = find(self.bench.app()).unwrap_or_else(|faults| panic!("{faults}"));
        let names: Vec<String> = found.iter().map(|scenario| scenario.name.clone()).collect();
        found.into_iter().find(|scenario| scenario.name == name).unwrap_or_else(|| panic!("{name} is not in {names:?}"))
    }

    #[track_caller]
    fn ran(&self, name: &str) -> Ran {
        self.bench.test(&self.scenario(name)).unwrap_or_else(|faults| panic!("{faults}"))
    }
}

/// Publishes the event as it is, and keeps its key.
fn echo(call: &Call<'_>) -> Outcome {
    tracing::info!(target: "function", function = call.function.name, context = "echo", "said");
    let Event { key, value, headers, .. } = call.event.clone();
    let changes = key.clone().map(|key| (key, Some(b"seen".to_vec()))).into_iter().collect();
    Outcome::Completed(Effects { outputs: vec![Output { topic: "packed".into(), key, value, headers }], changes })
}

fn nothing(_: &Call<'_>) -> Outcome {
    Outcome::Completed(Effects::default())
}

#[test]
fn what_came_out_passes_once_it_is_the_expectation_and_what_differs_is_shown() {
    let world = world(echo);
    world.put("stock/tests/one", &[("input.json", r#"{ "key": "o-1", "value": { "id": 1.0 } }"#)]);
    let (scenario, ran) = (world.scenario("stock/one"), world.ran("stock/one"));
    assert!(matches!(ran.unmet(), Some(Unmet::NothingExpected)));
    let file = scenario.bless(&ran).unwrap();
    assert!(world.ran("stock/one").unmet().is_none());
    let expected = fs::read_to_string(&file).unwrap();
    insta::assert_snapshot!(expected, @r#"
    {
      "outputs": [{ "topic": "packed", "key": "o-1", "value": { "id": 1.0 } }],
      "changes": [{ "key": "o-1", "value": "seen" }]
    }
    "#);

    // How it is laid out does not count.
    fs::write(&file, expected.replace([' ', '\n'], "")).unwrap();
    assert!(world.ran("stock/one").unmet().is_none());

    fs::write(&file, expected.replace("1.0", "2")).unwrap();
    let Some(Unmet::Differs(difference)) = world.ran("stock/one").unmet() else { panic!("it passed") };
    insta::assert_snapshot!(difference, @r#"
    --- expected.json
    +++ what came out
    @@ -1,4 +1,4 @@
     {
    -  "outputs": [{ "topic": "packed", "key": "o-1", "value": { "id": 2 } }],
    +  "outputs": [{ "topic": "packed", "key": "o-1", "value": { "id": 1.0 } }],
       "changes": [{ "key": "o-1", "value": "seen" }]
     }
    "#);
}

#[test]
fn every_kind_of_bytes_has_a_form_and_what_functions_say_is_kept() {
    let world = world(echo);
    let input = r#"[
        { "value": null },
        { "key": "", "value": "" },
        { "keyBase64": "/w==", "value": "text \" and\nlines" },
        { "key": { "a": [1,  2] }, "valueBase64": "AAECgA==" },
        { "key": 7, "value": "[1, 2 ]", "headers": [{ "name": "h", "value": null }, { "name": "h", "valueBase64": "gA==" }] }
    ]"#;
    world.put("stock/tests/bytes", &[("input.json", input)]);
    let ran = world.ran("stock/bytes");
    insta::assert_snapshot!(ran.came_out, @r#"
    [
      { "outputs": [{ "topic": "packed", "value": null }] },
      { "outputs": [{ "topic": "packed", "key": "", "value": "" }], "changes": [{ "key": "", "value": "seen" }] },
      {
        "outputs": [{ "topic": "packed", "keyBase64": "/w==", "value": "text \" and\nlines" }],
        "changes": [{ "keyBase64": "/w==", "value": "seen" }]
      },
      {
        "outputs": [{ "topic": "packed", "key": { "a": [1, 2] }, "valueBase64": "AAECgA==" }],
        "changes": [{ "key": { "a": [1, 2] }, "value": "seen" }]
      },
      {
        "outputs": [
          {
            "topic": "packed",
            "key": "7",
            "headers": [{ "name": "h", "value": null }, { "name": "h", "valueBase64": "gA==" }],
            "value": [1, 2]
          }
        ],
        "changes": [{ "key": "7", "value": "seen" }]
      }
    ]
    "#);
    world.scenario("stock/bytes").bless(&ran).unwrap();
    assert!(world.ran("stock/bytes").unmet().is_none());
    let said: Vec<String> = ran.log.iter().map(Line::to_string).collect();
    assert_eq!(said, vec!["info   echo: said"; 5]);
}

#[test]
fn a_cloud_event_as_it_is_has_its_subject_as_key_and_its_time_as_timestamp() {
    let world = world(|call| {
        let event = call.event;
        let seen = (event.partition.topic.to_string(), event.timestamp_ms, event.key.clone(), event.value.clone());
        Outcome::Failed(Failure::new(Class::Rejected, format!("{seen:?}")))
    });
    let input = r#"{ "specversion": "1.0", "subject": "o-1", "time": "1970-01-01T00:00:01.500Z", "value": [ 1e2 ] }"#;
    world.put("stock/tests/a", &[("input.json", input)]);
    let value = input.replace(' ', "").into_bytes();
    let seen = ("orders", Some(1500_u64), Some(b"o-1".to_vec()), Some(value));
    assert!(world.ran("stock/a").came_out.contains(&format!("{seen:?}").replace('"', "\\\"")));
}

#[test]
fn later_events_see_the_state_that_earlier_ones_left_and_a_failure_leaves_none() {
    let world = world(|call| {
        let count = call.state.get(b"count").map_or(0, |value| value[0] - b'0');
        let limit = call.function.config.get("limit").map_or(1, |limit| limit.parse().unwrap());
        let colour = call.function.config.get("colour").map_or("none", String::as_str);
        if count >= limit {
            return Outcome::Failed(Failure::new(Class::Rejected, format!("{count} is the most, {colour}")));
        }
        let changes = vec![(b"count".to_vec(), Some(vec![count + b'1']))];
        Outcome::Completed(Effects { outputs: vec![], changes })
    });
    let input = r#"[{ "value": null }, { "value": null }, { "value": null }]"#;
    let config = r#"{ "limit": "2", "colour": null }"#;
    let state = r#"[{ "key": "count", "value": 1 }]"#;
    world.put("stock/tests/a", &[("input.json", input), ("config.json", config), ("state.json", state)]);
    insta::assert_snapshot!(world.ran("stock/a").came_out, @r#"
    [
      { "changes": [{ "key": "count", "value": "2" }] },
      { "failure": { "class": "rejected", "reason": "2 is the most, none" } },
      { "failure": { "class": "rejected", "reason": "2 is the most, none" } }
    ]
    "#);
}

#[test]
fn waits_before_retries_take_no_time_and_attempts_are_told() {
    let world = world(|_| Outcome::RetryAsked("later".to_owned()));
    world.put("stock/tests/a", &[("input.json", r#"{ "value": null }"#)]);
    let came_out = world.ran("stock/a").came_out;
    assert_eq!(
        came_out,
        "{ \"failure\": { \"class\": \"retries-exhausted\", \"reason\": \"later\", \"attempts\": 5 } }\n"
    );
}

#[test]
fn places_in_machine_code_are_no_part_of_an_expectation() {
    let world =
        world(|_| Outcome::Failed(Failure::new(Class::Trapped, "unreachable; stderr: panicked; at 0: 0x12 - <wasm>")));
    world.put("stock/tests/a", &[("input.json", r#"{ "value": null }"#)]);
    world.put("tests/flow", &[("input.json", r#"{ "topic": "orders", "value": null }"#)]);
    for name in ["stock/a", "flow"] {
        let came_out = world.ran(name).came_out;
        assert!(came_out.contains(r#""reason": "unreachable; stderr: panicked""#), "{came_out}");
    }
}

#[test]
fn a_flow_goes_through_every_function_and_error_events_stand_beside_what_was_published() {
    let world = world(|call| match &*call.event.partition.topic {
        "orders" => echo(call),
        "packed" => Outcome::Failed(Failure::new(Class::Rejected, "not ours")),
        _ => nothing(call),
    });
    let input =
        r#"[{ "topic": "orders", "key": "a", "value": "x" }, { "topic": "returns", "key": "b", "value": null }]"#;
    let expected = r#"{ "packed": [{ "key": "a", "value": "x" }], "orders": [], "error": [
        { "key": "a", "topic": "packed", "function": "clerk", "class": "rejected", "reason": "not ours" }] }"#;
    world.put("tests/flow", &[("input.json", input), ("expected.json", expected)]);
    let ran = world.ran("flow");
    insta::assert_snapshot!(ran.came_out, @r#"
    {
      "packed": [{ "key": "a", "value": "x" }],
      "error": [
        { "function": "clerk", "topic": "packed", "key": "a", "class": "rejected", "reason": "not ours" }
      ]
    }
    "#);
    assert!(ran.unmet().is_none());
}

#[test]
fn a_flow_hands_error_events_to_functions_that_read_them_and_none_of_their_own() {
    let watched = r#"
        [topics.seen]
        [functions.watch]
        source = "watch.wasm"
        input = ["error"]
        output = ["seen"]
    "#;
    let world = world_of(&format!("{APP}{watched}"), |call| match (&*call.event.partition.topic, &call.event.key) {
        ("error", Some(key)) if key == b"a" => {
            let json: serde_json::Value = serde_json::from_slice(call.event.value.as_deref().unwrap()).unwrap();
            let time = json["time"].as_str().unwrap().as_bytes().to_vec();
            let output = Output { topic: "seen".into(), key: Some(key.clone()), value: Some(time), headers: vec![] };
            Outcome::Completed(Effects { outputs: vec![output], changes: vec![] })
        }
        _ => Outcome::Failed(Failure::new(Class::Rejected, "no")),
    });
    let input = r#"[{ "topic": "orders", "key": "a", "timestamp": "2026-11-21T06:43:01.010Z", "value": "x" },
        { "topic": "orders", "key": "b", "value": "x" }]"#;
    world.put("tests/flow", &[("input.json", input)]);
    insta::assert_snapshot!(world.ran("flow").came_out, @r#"
    {
      "seen": [
        {
          "key": "a",
          "headers": [{ "name": "fnhost-from-error", "value": "1" }],
          "value": "2026-11-21T06:43:01.010Z"
        }
      ],
      "error": [
        { "function": "stock", "topic": "orders", "key": "a", "class": "rejected", "reason": "no" },
        { "function": "stock", "topic": "orders", "key": "b", "class": "rejected", "reason": "no" },
        { "function": "watch", "topic": "error", "key": "b", "class": "rejected", "reason": "no" }
      ]
    }
    "#);
}

#[test]
fn a_flow_that_feeds_itself_is_ended() {
    let world = world(echo);
    world.put("tests/flow", &[("input.json", r#"{ "topic": "orders", "value": "x" }"#)]);
    let faults = world.bench.test(&world.scenario("flow")).unwrap_err().to_string();
    insta::assert_snapshot!(faults, @r"
    error: the flow has not ended after 10000 events

    hint: do functions of the app write to topics that lead back to themselves?
    ");
}

#[test]
fn scenarios_are_the_folders_with_json_and_come_by_function_and_name() {
    let world = world(nothing);
    let input = [("input.json", r#"{ "value": null }"#)];
    for folder in ["clerk/tests/z", "stock/tests/b", "stock/tests/a", "tests/flow"] {
        world.put(folder, &input);
    }
    world.put("stock/tests/common", &[("mod.rs", "")]).put("stock/tests", &[("natively.rs", "")]);
    let names: Vec<String> = find(world.bench.app()).unwrap().into_iter().map(|scenario| scenario.name).collect();
    assert_eq!(names, ["stock/a", "stock/b", "clerk/z", "flow"]);
}

#[test]
fn function_that_is_the_app_s_own_crate_does_not_take_its_flows() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.toml"), APP.replace("stock.wasm", ".").replace("clerk.wasm", "./.")).unwrap();
    for scenario in ["tests/flow", "stock/tests/a"] {
        fs::create_dir_all(folder.path().join(scenario)).unwrap();
        fs::write(folder.path().join(scenario).join("input.json"), "{}").unwrap();
    }
    let app = manifest::load(folder.path()).unwrap_or_else(|faults| panic!("{faults}"));
    let names: Vec<String> = find(&app).unwrap().into_iter().map(|scenario| scenario.name).collect();
    assert_eq!(names, ["stock/a", "flow"]);
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let json = ".{0,9}".prop_map(|text| serde_json::json!({ "a": [text, 1] }).to_string().into_bytes());
    prop_oneof![prop::collection::vec(any::<u8>(), 0..12), ".{0,12}".prop_map(String::into_bytes), json]
}

fn published() -> impl Strategy<Value = Published> {
    let header = ("[a-z]{0,3}", prop::option::of(bytes())).prop_map(|(name, value)| Header { name, value });
    let parts = (prop::option::of(bytes()), prop::collection::vec(header, 0..3), prop::option::of(bytes()));
    parts.prop_map(|(key, headers, value)| Published { topic: Some("packed".into()), key, headers, value })
}

proptest! {
    #[test]
    fn whatever_comes_out_is_read_back_from_what_was_written(
        outputs in prop::collection::vec(published(), 0..3),
        changes in prop::collection::vec((bytes(), prop::option::of(bytes())), 0..3),
        failure in prop::option::of((0..Class::ALL.len(), ".{0,30}", 1_u32..9)),
    ) {
        let failed = |(class, reason, attempts): (usize, String, u32)| {
            Failed { failure: Failure::new(Class::ALL[class], reason), attempts }
        };
        let ending = Ending { outputs, changes, failure: failure.map(failed) };
        let text = text_of(&ending);
        let world = world(nothing);
        let function = &world.bench.app().functions[0];
        let document = Document::read(Path::new("expected.json"), text.as_bytes()).unwrap();
        let read = document.with(|value| Ending::read(value, function)).unwrap_or_else(|faults| panic!("{faults}"));
        // What is blank in a document does not count; nothing else is lost.
        prop_assert_eq!(text_of(&read), text);
        prop_assert_eq!((read.outputs.len(), read.changes.len()), (ending.outputs.len(), ending.changes.len()));
    }
}
