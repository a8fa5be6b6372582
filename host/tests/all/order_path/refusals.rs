//! What is refused, and how that is told: events as error events, partitions as stopped, hosts and apps in one line.

use std::fs::{self, File};
use std::path::Path;

use fnhost::event::{Digest, Event};

use super::apps::OwnApp;
use super::hosts::Host;
use super::world::{World, fnhost};
use crate::guests::guest;
use crate::kafka::{Isolation, eventually, kafka};

/// A function that may try three times and publish to topics with limits of their own.
const APP: &str = r#"
    [topics."APP.in"]
    [topics."APP.out"]
    [topics."APP.checked"]
    schema = "small"
    [topics."APP.compacted"]
    [functions.script]
    source = "GUEST"
    input = ["APP.in"]
    output = ["APP.out", "APP.checked", "APP.compacted"]
    retry = { attempts = 3, backoff = "1ms..2ms" }
    "#;

const SCHEMA: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "fnhost:/schemas/small.schema.json",
    "type": "object", "required": ["colour"]
}"#;

/// Events that fail: the script after an output that must not be seen, the class, the attempts, a part of the reason.
const FAILURES: [(&str, &str, u64, &str); 16] = [
    ("reject it is blue", "rejected", 1, "it is blue"),
    ("retry not yet", "retries-exhausted", 3, "not yet"),
    ("trap", "trapped", 1, "unreachable"),
    ("panic at the disco", "trapped", 1, "at the disco"),
    ("recurse", "trapped", 1, "wasm trap"),
    ("loop", "timed-out", 1, "250ms"),
    ("allocate 100000000", "out-of-memory", 1, "memory"),
    ("emit APP.elsewhere x", "undeclared-topic", 1, "APP.elsewhere"),
    ("emit error x", "undeclared-topic", 1, "error"),
    ("emit APP.checked {}", "schema-mismatch", 1, "colour"),
    ("emit APP.checked no JSON", "schema-mismatch", 1, "APP.checked"),
    ("size APP.out 300000", "output-too-large", 1, "limits.output"),
    ("count APP.out 1025", "output-too-large", 1, "1024 are the most"),
    ("set-size key 70000", "state-too-large", 1, "65536 is the most"),
    ("size APP.out 20000", "publish-refused", 1, "large"),
    ("nullkey APP.compacted x", "publish-refused", 1, ""),
];

#[test]
fn every_way_to_fail_ends_in_one_error_event_that_says_what_failed_why_and_where_and_leaves_the_others_alone() {
    let app = OwnApp::new(APP);
    app.write("schemas/small.schema.json", SCHEMA);
    let Some(world) = World::shared(app.path().to_owned()) else { return };
    let out = app.topic("out");
    world.configure(&app.topic("compacted"), &[("cleanup.policy", "compact")]);
    // Less than a manifest may ask for, as an operator may have it.
    world.configure(&out, &[("max.message.bytes", "16384")]);
    // One key, one partition, written before the host starts: good and bad ones share a batch.
    let mut scripts = Vec::new();
    for (number, (script, ..)) in FAILURES.iter().enumerate() {
        scripts.push(format!("emit {out} good {number}; emit {} {{\"colour\": {number}}}", app.topic("checked")));
        scripts.push(format!("set unseen x; emit {out} unseen; {}", script.replace("APP", &app.name)));
    }
    scripts.push(format!("get {out} unseen"));
    let records: Vec<_> = scripts.iter().map(|script| app.record("in", "key", script)).collect();
    world.kafka().write(&records);

    let host = Host::start(&world, &["--instance", "refuser"]).ready();
    world.nothing_is_left(&app.name, 1);
    let values = |topic: &str| -> Vec<Option<String>> {
        let text = |event: Event| event.value.map(|value| String::from_utf8(value).unwrap());
        world.kafka().read(&[topic], Isolation::Committed).into_iter().map(text).collect()
    };
    let mut good: Vec<_> = (0..FAILURES.len()).map(|number| Some(format!("good {number}"))).collect();
    good.push(None);
    assert_eq!(values(&out), good, "the good ones in order, nothing of the others, and nothing in the state");
    assert_eq!(values(&app.topic("checked")).len(), FAILURES.len());
    assert!(values(&app.topic("compacted")).is_empty());

    let errors = world.error_events(&app.name);
    let read = world.kafka().read(&[&app.topic("in")], Isolation::Committed);
    let failed: Vec<&Event> = read.iter().skip(1).step_by(2).collect();
    assert_eq!((errors.len(), failed.len()), (FAILURES.len(), FAILURES.len()));
    let version = Digest::of(&fs::read(guest("guest")).unwrap()).to_string();
    for (event, (script, class, attempts, reason)) in failed.into_iter().zip(FAILURES) {
        let error = &errors[&("script".to_owned(), event.partition.clone(), event.offset)];
        assert_eq!(error.text("class"), class, "{script}: {}", error.data["reason"]);
        assert!(error.original == *event, "{script}: the error event holds something else");
        assert_eq!(error.data["attempts"], attempts, "{script}");
        let reason = reason.replace("APP", &app.name);
        assert!(error.text("reason").contains(&reason), "{script}: {}", error.data["reason"]);
        assert_eq!((error.text("version"), error.text("instance")), (version.as_str(), "refuser"), "{script}");
    }
    let (code, log) = host.terminate();
    assert_eq!(code, 0, "{log}");
}

#[test]
fn a_partition_whose_error_event_is_refused_stops_and_says_so_while_others_go_on() {
    const EVENTS: usize = 3000;
    let app = OwnApp::new(
        r#"
        [topics."APP.in"]
        partitions = 2
        [topics."APP.out"]
        partitions = 2
        [functions.script]
        source = "GUEST"
        input = ["APP.in"]
        output = ["APP.out"]
        "#,
    );
    let Some(world) = World::of(app.path().to_owned()) else { return };
    let (out, input) = (app.topic("out"), app.topic("in"));
    world.configure("error", &[("max.message.bytes", "1024")]);
    let in_partition = |number: i32, value: &str| {
        let key = format!("partition-{number}");
        fnhost::event::Record { partition: Some(number), ..app.record("in", &key, value) }
    };
    // Slow ones, so that more than a batch waits and the worker holds all partitions back when it meets the bad one.
    let event = |n: usize| match n {
        500 => in_partition(0, &format!("reject {}", "x".repeat(2000))),
        0..800 => in_partition(0, &format!("burn 3000000; emit {out} {n}")),
        _ => in_partition(0, &format!("emit {out} {n}")),
    };
    world.kafka().write(&(0..=EVENTS).map(event).collect::<Vec<_>>());

    let host = Host::start(&world, &[]);
    let said = eventually("the partition is stopped", || {
        let (status, said) = host.admin("/readyz");
        (status == 503 && said.contains("stopped")).then_some(said)
    });
    assert!(said.contains(&format!("{input}[0]")) && said.contains("offset 500"), "{said}");
    let functions = host.admin("/functions").1;
    assert!(functions.contains("\"stopped\":"), "{functions}");
    assert_eq!(host.admin("/livez").0, 200);
    assert!(host.log().contains("fnhost topics apply"), "it says what to do:\n{}", host.log());
    let others: Vec<_> = (0..100).map(|n| in_partition(1, &format!("emit {out} other {n}"))).collect();
    world.kafka().write(&others);
    let count = |events: &[Event], key: &str| events.iter().filter(|e| e.key == Some(key.into())).count();
    let read = world.kafka().read_until("the other partition goes on", &[&out], Isolation::Committed, |events| {
        count(events, "partition-1") == 100
    });
    assert!(count(&read, "partition-0") <= 500, "the stopped partition went past its bad event");
    assert_eq!(host.terminate().0, 0);

    // Mended as the log says, and started again: nothing was lost, and nothing is there twice.
    world.configure("error", &[("max.message.bytes", "4194304")]);
    let host = Host::start(&world, &[]).ready();
    world
        .kafka()
        .read_until("all is handled", &[&out], Isolation::Committed, |events| count(events, "partition-0") >= 3000);
    world.nothing_is_left(&app.name, 1);
    let all = world.kafka().read(&[&out], Isolation::Committed);
    assert_eq!((count(&all, "partition-0"), count(&all, "partition-1")), (EVENTS, 100));
    let numbers = all.iter().filter(|e| e.key == Some("partition-0".into())).map(|e| e.value.clone().unwrap());
    let expected = (0..=EVENTS).filter(|n| *n != 500).map(|n| n.to_string().into_bytes());
    assert!(numbers.eq(expected), "the events of a partition are handled once and in order");
    assert_eq!(world.error_events(&app.name).len(), 1);
    assert_eq!(host.terminate().0, 0);
}

#[test]
fn of_two_hosts_with_one_name_the_older_one_ends_and_says_why() {
    let app = OwnApp::new(APP);
    app.write("schemas/small.schema.json", SCHEMA);
    let Some(world) = World::shared(app.path().to_owned()) else { return };
    let older = Host::start(&world, &["--instance", "same"]).ready();
    world.kafka().write(&[app.record("in", "key", &format!("emit {} before", app.topic("out")))]);
    let one = |events: &[Event]| events.len() == 1;
    world.kafka().read_until("an output", &[&app.topic("out")], Isolation::Committed, one);
    let newer = Host::start(&world, &["--instance", "same"]);
    let (code, log) = older.wait();
    assert_eq!(code, 1, "{log}");
    let name = format!("{}.same.0", app.name);
    assert!(log.contains(&format!("error: another process runs as `{name}`")), "{log}");
    assert!(log.contains(&format!("hint: stop the other process that runs as {name}")), "{log}");

    let newer = newer.ready();
    world.kafka().write(&[app.record("in", "key", &format!("emit {} after", app.topic("out")))]);
    let two = |events: &[Event]| events.len() == 2;
    world.kafka().read_until("the newer one goes on", &[&app.topic("out")], Isolation::Committed, two);
    let (code, log) = newer.terminate();
    assert_eq!(code, 0, "{log}");
}

#[test]
fn an_app_whose_topics_are_not_there_is_refused_with_the_command_that_makes_them() {
    let app = OwnApp::new(APP);
    app.write("schemas/small.schema.json", SCHEMA);
    let Some(kafka) = kafka() else { return };
    let path = app.path().display().to_string();
    let ports = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let (code, _, said) = fnhost(&[&["run", &path, "--brokers", &kafka.brokers], &ports[..]].concat());
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("error: topic `{}.", app.name)) && said.contains("` does not exist"), "{said}");
    assert!(said.contains(&format!("hint: fnhost topics apply {path} --brokers {}", kafka.brokers)), "{said}");
}

/// Writes a component from its text form.
fn component(file: &Path, text: &str) {
    fs::write(file, wat::parse_str(text).unwrap()).unwrap();
}

#[test]
fn a_file_that_is_no_function_is_refused_by_check_and_by_run_in_one_clear_line() {
    let app = OwnApp::new(
        r#"
        [topics.in]
        [functions.f]
        source = "f.wasm"
        input = ["in"]
        "#,
    );
    let file = app.path().join("f.wasm");
    let path = app.path().display().to_string();
    let refused = |what: &str, line: &str, make: &dyn Fn(&Path)| {
        fs::remove_file(&file).ok();
        make(&file);
        let told = format!("error: function `f` does not load: {line}");
        for verb in [&["check", &path][..], &["run", &path, "--brokers", "127.0.0.1:1"]] {
            let (code, _, said) = fnhost(verb);
            assert_eq!(code, 1, "{what}: {said}");
            assert!(said.lines().any(|line| line == told), "{what}: {said}");
        }
    };
    const HANDLER: &str = "fnhost:function/handler@0.1.0";
    refused("an empty file", "it is empty", &|file| drop(File::create(file).unwrap()));
    refused("text", "it is no WebAssembly", &|file| fs::write(file, "hello").unwrap());
    refused("200 MB", "it is too large: 200000000 bytes, and 67108864 is the most", &|file| {
        File::create(file).unwrap().set_len(200_000_000).unwrap();
    });
    refused("a core module", "it is a core WebAssembly module, not a component", &|file| component(file, "(module)"));
    refused("no handler", &format!("it does not export {HANDLER}"), &|file| component(file, "(component)"));
    let older = format!("it does not export {HANDLER}, but fnhost:function/handler@0.0.9");
    refused("another contract", &older, &|file| {
        component(file, r#"(component (instance $h) (export "fnhost:function/handler@0.0.9" (instance $h)))"#);
    });
    let sockets = "it imports wasi:sockets/tcp@0.2.3: functions have no network";
    refused("sockets", sockets, &|file| {
        let import = r#"(import "wasi:sockets/tcp@0.2.3" (instance))"#;
        component(file, &format!(r#"(component {import} (instance $h) (export "{HANDLER}" (instance $h)))"#));
    });
}
