//! What `compose/` says, where there is no Docker: its README's commands on a real Kafka, the image's health check on a
//! real host, and versions that are written down twice.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::apps::OwnApp;
use super::hosts::Host;
use super::world::{FNHOST, World, fulfilment, run, workspace};
use crate::kafka::{Jars, VERSION, say};

/// The five event types, with the sample of each that the README publishes.
const SAMPLES: [(&str, &str); 5] = [
    ("order-received", "one-product"),
    ("order-confirmed", "one-product"),
    ("order-picked-and-packed", "one-product"),
    ("notification", "order-was-picked"),
    ("error", "rejected-by-inventory"),
];

fn text(file: &str) -> String {
    fs::read_to_string(workspace().join(file)).unwrap()
}

/// The rest of the first line that begins with `start`.
fn after(text: &str, start: &str) -> String {
    let rest = text.lines().find_map(|line| line.trim_start().strip_prefix(start));
    rest.unwrap_or_else(|| panic!("no line begins with `{start}`")).trim().to_owned()
}

/// The commands of the README's chapter on Kafka's tools that can be run without Docker, for the broker at `brokers`.
fn commands(jars: &Jars, brokers: &str) -> String {
    let readme = text("compose/README.md");
    let chapter = readme.split("## Kafka's own tools\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = chapter.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let script: String = blocks.filter(|block| !block.contains("docker")).collect();
    let [_, class_path] = jars.java_arguments();
    let documented = format!("target/tmp/kafka-{VERSION}/*");
    assert!(script.contains(&documented) && script.contains("localhost:9092"), "{script}");
    script.replace(&documented, &class_path).replace("localhost:9092", brokers)
}

#[test]
fn commands_of_the_readme_make_the_topics_and_publish_and_consume_a_sample_of_each_type() {
    let Some(world) = World::bare(fulfilment()) else { return };
    let jars = Jars::get().unwrap();
    if !jars.is_at_least(4, 2) {
        say(&format!("NOT RUN: the commands of compose/README.md are for Kafka 4.2 and later, not {}", jars.version));
        return;
    }
    let folder = Path::new(FNHOST).parent().unwrap().display();
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &format!("PATH={folder}:$PATH\n{}", commands(&jars, &world.kafka().brokers))])
        // A tool lives for a second.
        .env("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .current_dir(workspace());
    let printed = run(&mut bash);

    let planned: Vec<&str> =
        printed.lines().filter(|line| line.contains(" partitions") || line.contains(" -> ")).collect();
    assert_eq!(planned.len(), 4, "fnhost would change more than the topics of state:\n{printed}");
    assert!(
        planned.iter().all(|line| line.starts_with("create     fulfilment.") && line.contains(".state ")),
        "{planned:?}"
    );

    let mut consumed: Vec<(String, Value)> = Vec::new();
    for line in printed.lines().filter_map(|line| line.split_once("\t{")) {
        consumed.push((line.0.to_owned(), serde_json::from_str(&format!("{{{}", line.1)).unwrap()));
    }
    assert_eq!(consumed.len(), SAMPLES.len(), "{printed}");
    for (topic, name) in SAMPLES {
        let sample: Value =
            serde_json::from_str(&text(&format!("schemas/examples/{topic}/valid/{name}.json"))).unwrap();
        let key = sample["subject"].as_str().unwrap().to_owned();
        assert!(consumed.contains(&(key, sample)), "the sample of {topic} was not consumed:\n{printed}");
    }
}

/// Whether the image's health check finds a host whose admin listener is at `admin` healthy.
fn is_healthy(admin: &str) -> bool {
    let check = after(&text("compose/Dockerfile"), "HEALTHCHECK ");
    let command: Vec<String> = serde_json::from_str(check.split_once("CMD ").unwrap().1).unwrap();
    Command::new(&command[0]).args(&command[1..]).env("FNHOST_ADMIN", admin).output().unwrap().status.success()
}

#[test]
fn health_check_of_the_image_tells_a_host_that_is_ready_from_one_that_is_not() {
    let app = OwnApp::new("[topics.\"APP.in\"]\n[functions.guest]\nsource = \"GUEST\"\ninput = [\"APP.in\"]");
    let waiting = Host::start(&World::away(app.path().to_owned()), &[]);
    assert!(!is_healthy(&waiting.admin), "its Kafka is away");
    let admin = waiting.admin.clone();
    waiting.kill();
    assert!(!is_healthy(&admin), "it was killed");

    let Some(world) = World::shared(app.path().to_owned()) else { return };
    let host = Host::start(&world, &[]).ready();
    assert!(is_healthy(&host.admin));
    assert_eq!(host.terminate().0, 0);
}

#[test]
fn versions_in_compose_are_those_of_the_tests_and_the_toolchain() {
    assert_eq!(after(&text("compose/compose.yaml"), "image: apache/kafka:"), VERSION);
    assert_eq!(after(&text("compose/with-kafka"), "version="), VERSION);
    let toolchain = after(&text("rust-toolchain.toml"), "channel = ");
    assert_eq!(after(&text("compose/Dockerfile"), "ARG RUST="), toolchain.trim_matches('"'));
}
