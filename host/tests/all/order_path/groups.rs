//! Functions of one group share events and transactions; a function with a group of its own goes its own way.

use std::collections::BTreeMap;

use fnhost::event::Event;

use super::apps::OwnApp;
use super::hosts::Host;
use super::world::World;
use crate::kafka::Isolation;

const EVENTS: usize = 300;

/// How often each function reported each key: what it has as `who` in its configuration is what it published.
fn reports(events: &[Event]) -> BTreeMap<(String, String), usize> {
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap()).unwrap();
    events.iter().fold(BTreeMap::new(), |mut counts, event| {
        *counts.entry((text(&event.key), text(&event.value))).or_default() += 1;
        counts
    })
}

/// Each of `keys` once by each of `who`.
fn once(keys: impl Iterator<Item = usize> + Clone, who: &[&str]) -> BTreeMap<(String, String), usize> {
    who.iter().flat_map(|who| keys.clone().map(|key| ((format!("key-{key}"), (*who).to_owned()), 1))).collect()
}

/// Writes events that each function answers with its name.
fn write(world: &World, app: &OwnApp, keys: impl Iterator<Item = usize>) {
    let script = format!("config {} who", app.topic("out"));
    let records: Vec<_> = keys.map(|key| app.record("in", &format!("key-{key}"), &script)).collect();
    world.kafka().write(&records);
}

/// Waits for `count` outputs.
fn outputs(world: &World, app: &OwnApp, count: usize) -> BTreeMap<(String, String), usize> {
    let what = format!("{count} outputs");
    reports(&world.kafka().read_until(&what, &[&app.topic("out")], Isolation::Committed, |e| e.len() >= count))
}

fn all_outputs(world: &World, app: &OwnApp) -> BTreeMap<(String, String), usize> {
    reports(&world.kafka().read(&[&app.topic("out")], Isolation::Committed))
}

#[test]
fn two_functions_of_a_group_that_read_one_topic_each_handle_every_event_once_with_a_verdict_of_their_own() {
    let app = OwnApp::new(
        r#"
        [topics."APP.in"]
        [topics."APP.out"]
        [topics."APP.only-a"]
        [functions.a]
        source = "GUEST"
        input = ["APP.in"]
        output = ["APP.out", "APP.only-a"]
        config = { who = "a" }
        [functions.b]
        source = "GUEST"
        input = ["APP.in"]
        output = ["APP.out"]
        config = { who = "b" }
        "#,
    );
    let Some(world) = World::shared(app.path().to_owned()) else { return };
    let host = Host::start(&world, &[]).ready();
    let second = Host::start(&world, &[]).ready();
    write(&world, &app, 0..EVENTS);
    // Only `a` may do this, so `b` fails where `a` does not.
    let uneven: Vec<_> = (0..20)
        .map(|n| app.record("in", &format!("uneven-{n}"), &format!("set seen {n}; emit {} x", app.topic("only-a"))))
        .collect();
    world.kafka().write(&uneven);
    write(&world, &app, EVENTS..2 * EVENTS);

    outputs(&world, &app, 4 * EVENTS);
    world.nothing_is_left(&app.name, 1);
    assert_eq!(all_outputs(&world, &app), once(0..2 * EVENTS, &["a", "b"]));
    let only_a = world.kafka().read(&[&app.topic("only-a")], Isolation::Committed);
    assert_eq!(reports(&only_a), (0..20).map(|n| ((format!("uneven-{n}"), "x".to_owned()), 1)).collect());
    let errors = world.error_events(&app.name);
    assert_eq!(errors.len(), 20);
    for ((function, ..), error) in &errors {
        assert_eq!((function.as_str(), error.text("class")), ("b", "undeclared-topic"));
    }
    for host in [host, second] {
        let (code, log) = host.terminate();
        assert_eq!(code, 0, "{log}");
    }
}

#[test]
fn a_group_of_its_own_holds_nobody_up_while_it_is_away_or_stands_still_and_catches_up_later() {
    let main = r#"
        [topics."APP.in"]
        [topics."APP.out"]
        [functions.main]
        source = "GUEST"
        input = ["APP.in"]
        output = ["APP.out"]
        config = { who = "main" }
        "#;
    let audit = r#"
        [topics."APP.in"]
        [topics."APP.out"]
        [functions.audit]
        source = "GUEST"
        group = "audit"
        input = ["APP.in"]
        output = ["APP.out"]
        config = { who = "audit" }
        "#;
    let app = OwnApp::new(main);
    let Some(world) = World::shared(app.path().to_owned()) else { return };
    let audit = world.with(app.variant("audit.toml", audit));
    let host = Host::start(&world, &[]).ready();

    // Nobody runs it yet.
    write(&world, &app, 0..EVENTS);
    assert_eq!(outputs(&world, &app, EVENTS), once(0..EVENTS, &["main"]));
    let auditor = Host::start(&audit, &["--instance", "auditor"]).ready();
    assert_eq!(outputs(&world, &app, 2 * EVENTS), once(0..EVENTS, &["main", "audit"]));

    // Its process stands still.
    world.nothing_is_left(&format!("{}.audit", app.name), 1);
    auditor.signal("STOP");
    write(&world, &app, EVENTS..2 * EVENTS);
    let mut expected = once(0..2 * EVENTS, &["main"]);
    expected.append(&mut once(0..EVENTS, &["audit"]));
    assert_eq!(outputs(&world, &app, 3 * EVENTS), expected);
    auditor.signal("CONT");
    outputs(&world, &app, 4 * EVENTS);
    world.nothing_is_left(&app.name, 1);
    world.nothing_is_left(&format!("{}.audit", app.name), 1);
    assert_eq!(all_outputs(&world, &app), once(0..2 * EVENTS, &["main", "audit"]));
    for host in [host, auditor] {
        let (code, log) = host.terminate();
        assert_eq!(code, 0, "{log}");
    }
}
