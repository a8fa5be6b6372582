//! A candidate beside the active version: it meets the same events and the same state, and nothing that it does is seen.

use std::path::Path;

use fnhost::event::Digest;
use serde_json::{Value, json};

use super::apps::OwnApp;
use super::hosts::{Host, told};
use super::trials::{app, broken, documents};
use super::world::{World, fnhost};
use crate::guests::guest;
use crate::kafka::eventually;

fn send(host: &Host, app: &OwnApp, scripts: &[&str]) {
    let line = |script: &&str| json!({ "key": "key", "value": script.replace("APP", &app.name) }).to_string();
    let file = app.path().join("events.jsonl");
    std::fs::write(&file, scripts.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap();
    told(host, &["events", "send", &app.topic("in"), file.to_str().unwrap()]);
}

/// What hosts know of the candidate, all together.
fn known(hosts: &[Host], member: &str) -> u64 {
    let of = |host: &Host| {
        let shown: Value = serde_json::from_str(&told(host, &["shadow", "guest", "--format", "json"])).unwrap();
        shown["here"][member].as_u64().unwrap_or(0)
    };
    hosts.iter().map(of).sum()
}

fn is_beside(hosts: &[Host], app: &OwnApp) -> Digest {
    let file = app.path().join("candidate.wasm");
    let (wasm, candidate) = broken();
    std::fs::write(&file, wasm).unwrap();
    let asked = ["deploy", "guest", file.to_str().unwrap(), "--shadow", "--note", "half the time"];
    let said = told(&hosts[0], &[&asked[..], &["--dry-run"]].concat());
    assert!(said.starts_with("nothing is in the way of guest ") && said.contains(" beside it"), "{said}");
    let said = told(&hosts[0], &asked);
    assert!(said.contains(&format!("and {} beside it", candidate.short())), "{said}");
    for host in hosts {
        host.said_in_log(&format!("candidate=\"{}\"", candidate.short()));
    }
    candidate
}

fn a_candidate_is_compared(app: &OwnApp, hosts: &[Host]) {
    let host = &hosts[0];
    let out = app.topic("out");
    send(host, app, &["fold APP.out"; 3]);
    eventually("they are handled", || (documents(host, &out).len() == 3).then_some(()));
    let active = documents(host, &out)[0]["headers"].clone();
    let candidate = is_beside(hosts, app);

    // From the same state: its counts go on from three. In each, only the candidate does the steps of `broken`.
    let alike = ["fold APP.out"; 40];
    send(host, app, &alike);
    let differing = [
        "fold APP.out; broken emit APP.out more",
        "broken reject not with me; fold APP.out",
        "fold APP.out; broken set mine 1",
        "fold APP.out; broken trap",
        "get APP.out mine",
        "broken log 3; fold APP.out",
    ];
    send(host, app, &differing);
    eventually("it was beside all of them", || {
        (known(hosts, "events") + known(hosts, "passedOver") == 46).then_some(())
    });
    assert_eq!(documents(host, &out).len(), 3 + 40 + 6, "nothing that the candidate publishes is seen");
    assert_eq!(documents(host, "error"), Vec::<Value>::new(), "nor what it fails on");
    let count = |counted: &Value| counted["value"].as_str().unwrap_or("none 0").split(' ').next().unwrap().to_owned();
    let counts: Vec<String> = documents(host, &out).iter().map(count).filter(|count| count != "none").collect();
    assert_eq!(
        counts,
        (1..=48).map(|count: u32| count.to_string()).collect::<Vec<_>>(),
        "state is the active version's"
    );
    assert!(
        documents(host, &out).iter().all(|event| event["headers"] == active),
        "every output is of the active version"
    );

    if known(hosts, "passedOver") == 0 {
        let counts = ["same", "verdict", "outputs", "state"].map(|member| known(hosts, member));
        assert_eq!(counts, [42, 2, 1, 1]);
        let shown: Vec<String> = hosts.iter().map(|host| told(host, &["shadow", "guest"])).collect();
        let shown = shown.concat();
        assert!(shown.contains("candidate  failed, rejected: not with me"), "{shown}");
        assert!(shown.contains("active     no output 2\n"), "{shown}");
        assert!(shown.contains(": half the time\n"), "{shown}");
    }
    assert!(!host.log().contains("line 0"), "what it logs is not seen either");
    let series = r#"fnhost_shadow_events_total{function="guest",result="same"}"#;
    assert!(hosts.iter().any(|host| host.admin("/metrics").1.contains(series)));
    for host in hosts {
        assert!(told(host, &["versions", "guest"]).contains(&format!("{} is beside it", candidate.short())));
    }

    // A candidate that takes all its time holds up nobody for long, and is shown to.
    send(host, app, &["fold APP.out; broken loop", "fold APP.out; broken loop", "fold APP.out"]);
    eventually("they are handled", || (documents(host, &out).len() == 3 + 40 + 6 + 3).then_some(()));
    eventually("it was stopped, or found to take too long", || {
        let members = ["events", "passedOver", "cutShort"].map(|member| known(hosts, member));
        (members.iter().sum::<u64>() == 49).then_some(())
    });
    let (code, _, refused) = fnhost(&["shadow", "guest", "--promote", "00", "--admin", &host.admin]);
    assert!(code != 0 && refused.contains(&format!("the candidate of `guest` is {}, and not 00", candidate.short())));

    // It becomes the active version by a word, with the one before it to go back to.
    let said = told(host, &["shadow", "guest", "--promote", &candidate.short()]);
    assert!(said.contains(&format!("-> {}", candidate.short())), "{said}");
    for host in hosts {
        eventually("it is active", || host.admin("/functions").1.contains(&candidate.to_string()).then_some(()));
    }
    let listed = told(host, &["versions", "guest"]);
    assert!(listed.contains(&format!("* {}", candidate.short())) && listed.contains("half the time"), "{listed}");
    let (code, _, refused) = fnhost(&["shadow", "guest", "--admin", &host.admin]);
    assert!(code != 0 && refused.contains("`guest` has no candidate"), "{refused}");

    // A dry run knows what stands in the way of the real one, and what is given up along the way is said.
    let own = guest("guest");
    let asked = |file: &Path, more: &[&str]| {
        let asked = ["deploy", "guest", file.to_str().unwrap(), "--admin", &host.admin];
        fnhost(&[&asked, more].concat())
    };
    let (code, _, refused) = asked(&app.path().join("candidate.wasm"), &["--shadow", "--dry-run"]);
    assert!(code != 0 && refused.contains("is active already"), "{refused}");
    told(host, &["deploy", "guest", own.to_str().unwrap(), "--shadow"]);
    let own = Digest::of(&std::fs::read(own).unwrap());
    let said = told(host, &["remove", "guest"]);
    assert!(said.contains(&format!("{}, the candidate that was beside it, is given up", own.short())), "{said}");
}

#[test]
fn a_candidate_is_compared_on_the_embedded_broker_and_is_still_there_after_a_restart() {
    let app = app();
    let file = app.path().join("broker.redb");
    let broker = ["--embedded", file.to_str().unwrap()];
    let start = || Host::start_over(app.path(), &broker, "127.0.0.1:0", &["--apply-topics"]).ready();
    let hosts = [start()];
    let candidate = is_beside(&hosts, &app);
    let [host] = hosts;
    assert_eq!(host.terminate().0, 0);
    let host = start();
    host.said_in_log(&format!("candidate=\"{}\"", candidate.short()));
    let said = told(&host, &["shadow", "guest", "--discard", &candidate.short()]);
    assert!(said.contains("guest "), "{said}");
    let (code, _, refused) = fnhost(&["shadow", "guest", "--discard", "00", "--admin", &host.admin]);
    assert!(code != 0 && refused.contains("no candidate"), "{refused}");
    // A version that could not read the active one's state is none to compare with.
    let (mut wasm, _) = broken();
    let section = b"fnhost:state-format";
    wasm.extend([0, u8::try_from(section.len()).unwrap() + 2, u8::try_from(section.len()).unwrap()]);
    wasm.extend(section);
    wasm.push(b'2');
    let file = app.path().join("other.wasm");
    std::fs::write(&file, wasm).unwrap();
    let (code, _, refused) = fnhost(&["deploy", "guest", file.to_str().unwrap(), "--shadow", "--admin", &host.admin]);
    assert!(code != 0 && refused.contains("cannot run beside the active version"), "{refused}");
    a_candidate_is_compared(&app, &[host]);
}

#[test]
fn a_candidate_is_beside_the_active_version_on_every_host_on_kafka() {
    let app = app();
    let Some(world) = World::of(app.path().to_owned()) else { return };
    a_candidate_is_compared(&app, &[Host::start(&world, &[]).ready(), Host::start(&world, &[]).ready()]);
}
