//! A deployed version that fails: not one event is lost to it, none becomes an error event, and every host goes back.

use std::collections::BTreeMap;

use fnhost::event::{Digest, Record};

use super::apps::OwnApp;
use super::hosts::{Host, told};
use super::world::World;
use crate::guests::guest;
use crate::kafka::eventually;

const APP: &str = r#"
[topics."APP.in"]
[topics."APP.out"]
[topics."APP.checked"]
schema = "checked"

[functions.guest]
source = "GUEST"
input = ["APP.in"]
output = ["APP.out", "APP.checked"]
"#;

/// A version of the test guest that does the steps of `broken`.
pub(super) fn broken() -> (Vec<u8>, Digest) {
    let (whole, other) = (b"test guest is well-made", b"test guest is broken   ");
    let mut wasm = std::fs::read(guest("guest")).unwrap();
    let at = wasm.windows(whole.len()).position(|window| window == whole).unwrap();
    wasm[at..at + other.len()].copy_from_slice(other);
    let digest = Digest::of(&wasm);
    (wasm, digest)
}

/// How a version can fail, and the class of what the host finds.
const FAULTS: [(&str, &str); 5] = [
    ("broken trap", "trapped"),
    ("broken loop", "timed-out"),
    ("broken grow 100000", "out-of-memory"),
    ("broken emit APP.checked {}", "schema-mismatch"),
    ("broken emit nowhere x", "undeclared-topic"),
];

pub(super) fn documents(host: &Host, topic: &str) -> Vec<serde_json::Value> {
    let out = told(host, &["events", "tail", topic, "--format", "json"]);
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Sends events, each with its number, of which every `nth` makes a broken version fail.
fn send(host: &Host, app: &OwnApp, numbers: std::ops::Range<usize>, nth: usize, fault: &str) {
    let fault = fault.replace("APP", &app.name);
    let line = |number: usize| {
        let fault = if number % nth == nth - 1 { fault.as_str() } else { "" };
        let script = format!("{fault}; fold {}", app.topic("out"));
        serde_json::json!({ "key": format!("key-{}", number % 7), "value": script }).to_string()
    };
    let lines: Vec<String> = numbers.map(line).collect();
    let file = app.path().join("events.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    told(host, &["events", "send", &app.topic("in"), file.to_str().unwrap()]);
}

/// Every event counted once: the counts that were published under each key are 1, 2, 3 and so on.
pub(super) fn assert_each_once(host: &Host, app: &OwnApp, sent: usize) {
    eventually("everything is handled", || (documents(host, &app.topic("out")).len() >= sent).then_some(()));
    let mut counts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for event in documents(host, &app.topic("out")) {
        let count = event["value"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
        counts.entry(event["key"].as_str().unwrap().to_owned()).or_default().push(count);
    }
    for (key, seen) in &counts {
        assert_eq!(*seen, (1..=seen.len()).collect::<Vec<_>>(), "{key}");
    }
    assert_eq!(counts.values().map(Vec::len).sum::<usize>(), sent);
    assert_eq!(documents(host, "error"), Vec::<serde_json::Value>::new());
}

fn stand_trial(app: &OwnApp, hosts: &[Host]) {
    let host = &hosts[0];
    let file = app.path().join("broken.wasm");
    let (wasm, _) = broken();
    let mut sent = 0;
    for (round, (fault, class)) in FAULTS.iter().enumerate() {
        // Another digest in each round, so that each version is a new one.
        let mut wasm = wasm.clone();
        wasm.extend([0, 2, 1, u8::try_from(round).unwrap()]);
        std::fs::write(&file, &wasm).unwrap();
        let version = Digest::of(&wasm);
        send(host, app, sent..sent + 60, 1000, fault);
        told(host, &["deploy", "guest", file.to_str().unwrap()]);
        for host in hosts {
            host.said_in_log(&format!("version=\"{}\"", version.short()));
        }
        // One that always fails, and those that fail now and then.
        send(host, app, sent + 60..sent + 180, [1, 20][round % 2], fault);
        sent += 180;
        assert_each_once(host, app, sent);
        let listed = eventually("the version is marked as failed", || {
            let listed = told(host, &["versions", "guest"]);
            let line = listed.lines().find(|line| line.contains(&version.short()))?.to_owned();
            line.contains("failed: ").then_some(line)
        });
        assert!(listed.contains(class) && listed.starts_with("  "), "{fault}: {listed}");
        for host in hosts {
            eventually("every host has gone back", || {
                (!host.admin("/functions").1.contains(&version.to_string())).then_some(())
            });
        }
    }

    // What fails under the version before it too is the event's own fault, and becomes an error event.
    let mut wasm = wasm;
    wasm.extend([0, 2, 1, 99]);
    std::fs::write(&file, &wasm).unwrap();
    told(host, &["deploy", "guest", file.to_str().unwrap()]);
    let version = Digest::of(&wasm).to_string();
    for host in hosts {
        eventually("it is active", || host.admin("/functions").1.contains(&version).then_some(()));
    }
    send(host, app, 0..1, 1, "trap");
    eventually("an error event", || (documents(host, "error").len() == 1).then_some(()));
    assert_eq!(documents(host, "error")[0]["value"]["data"]["version"], version);
    assert!(host.admin("/functions").1.contains(&version), "the version stands");

    // Nobody goes back by himself from a version whose state the one before it could not read.
    let section = b"fnhost:state-format";
    wasm.extend([0, u8::try_from(section.len()).unwrap() + 2, u8::try_from(section.len()).unwrap()]);
    wasm.extend(section);
    wasm.push(b'2');
    std::fs::write(&file, &wasm).unwrap();
    let said = told(host, &["deploy", "guest", file.to_str().unwrap()]);
    assert!(said.contains("nobody goes back by himself if it fails"), "{said}");
    let version = Digest::of(&wasm).to_string();
    for host in hosts {
        eventually("it is active", || host.admin("/functions").1.contains(&version).then_some(()));
    }
    send(host, app, 0..1, 1, "broken trap");
    eventually("another error event", || (documents(host, "error").len() == 2).then_some(()));
    assert!(host.admin("/functions").1.contains(&version), "the version stands");
    // Nor does anybody go back over a change of format without being told.
    let said = told(host, &["rollback", "guest"]);
    assert!(said.contains("its state has format 1, another one"), "{said}");
}

pub(super) fn app() -> OwnApp {
    let app = OwnApp::new(APP);
    app.write("schemas/checked.schema.json", r#"{ "type": "object", "required": ["name"] }"#);
    app
}

#[test]
fn a_component_that_was_built_again_in_its_place_is_on_trial_too() {
    let app = app();
    app.write("guest.wasm", std::fs::read(guest("guest")).unwrap());
    let manifest = std::fs::read_to_string(app.path().join("app.toml")).unwrap();
    app.write("app.toml", manifest.replace(&guest("guest").display().to_string(), "guest.wasm"));
    let file = app.path().join("broker.redb");
    let broker = ["--embedded", file.to_str().unwrap()];
    let host = Host::start_over(app.path(), &broker, "127.0.0.1:0", &["--apply-topics"]).ready();
    let own = Digest::of(&std::fs::read(guest("guest")).unwrap());
    let (wasm, broken) = broken();
    app.write("guest.wasm", wasm);
    told(&host, &["deploy", "guest", app.path().join("guest.wasm").to_str().unwrap()]);
    host.said_in_log(&format!("version=\"{}\"", broken.short()));
    send(&host, &app, 0..40, 1, "broken trap");
    assert_each_once(&host, &app, 40);
    eventually("it is taken back", || host.admin("/functions").1.contains(&own.to_string()).then_some(()));
    let listed = eventually("it is marked as failed", || {
        let listed = told(&host, &["versions", "guest"]);
        listed.contains("failed: trapped").then_some(listed)
    });
    assert!(listed.contains(&format!("* {}", own.short())), "{listed}");
}

#[test]
fn a_stray_record_on_the_topic_of_deployments_stops_neither_hosts_nor_deployments() {
    let app = app();
    let Some(world) = World::of(app.path().to_owned()) else { return };
    let host = Host::start(&world, &[]).ready();
    let stray = Record { partition: Some(0), ..app.record("deployments", "guest", r#"{"garbage":1}"#) };
    world.kafka().write(&[stray]);
    host.said_in_log("a record of deployments is none");
    let started = Host::start(&world, &[]).ready();
    let mut wasm = std::fs::read(guest("guest")).unwrap();
    wasm.extend([0, 2, 1, 7]);
    let file = app.path().join("guest.wasm");
    std::fs::write(&file, &wasm).unwrap();
    told(&started, &["deploy", "guest", file.to_str().unwrap()]);
    let version = Digest::of(&wasm).to_string();
    for host in [&host, &started] {
        eventually("every host runs it", || host.admin("/functions").1.contains(&version).then_some(()));
        eventually("nothing holds it up", || (!host.admin("/functions").1.contains("heldUp")).then_some(()));
    }
}

#[test]
fn a_broken_version_costs_no_event_on_the_embedded_broker() {
    let app = app();
    let file = app.path().join("broker.redb");
    let broker = ["--embedded", file.to_str().unwrap()];
    let host = Host::start_over(app.path(), &broker, "127.0.0.1:0", &["--apply-topics"]).ready();
    stand_trial(&app, &[host]);
}

#[test]
fn a_broken_version_costs_no_event_on_two_hosts_on_kafka() {
    let app = app();
    let Some(world) = World::of(app.path().to_owned()) else { return };
    let hosts = [Host::start(&world, &[]).ready(), Host::start(&world, &[]).ready()];
    stand_trial(&app, &hosts);
}
