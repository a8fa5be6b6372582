//! What `compose/` says, where there is no Docker: its README's commands on a real Kafka, the image's health check on a
//! real host, what is asked of metrics, and versions that are written down twice.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use fnhost::admin::metrics::list::ALL;
use regex::Regex;
use serde_json::Value;

use super::apps::OwnApp;
use super::hosts::Host;
use super::world::{FNHOST, World, fulfilment, run, workspace};
use crate::kafka::{Jars, VERSION, say};

/// The event types, with the sample of each that the README publishes.
const SAMPLES: [(&str, &str); 7] = [
    ("order-received", "one-product"),
    ("order-confirmed", "one-product"),
    ("order-picked-and-packed", "one-product"),
    ("notification", "order-was-picked"),
    ("error", "rejected-by-inventory"),
    ("kpi-sample", "order-was-shipped"),
    ("kpi", "orders-were-shipped"),
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
    assert_eq!(planned.len(), 9, "fnhost would change more than the topics of its own:\n{printed}");
    let is_own = |line: &&str| {
        let own = [".state ", ".deployments ", ".schedules "];
        line.starts_with("create     fulfilment.") && own.iter().any(|end| line.contains(end))
    };
    assert!(planned.iter().all(is_own), "{planned:?}");

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

/// What text names as metrics: the names of series, but for the words that begin as they do.
fn named(text: &str) -> BTreeSet<&str> {
    let series = Regex::new(r"\b(?:fnhost|process)_[a-z_]+\b").unwrap();
    series.find_iter(text).map(|found| found.as_str()).filter(|name| *name != "fnhost_sdk").collect()
}

#[test]
fn metrics_that_the_dashboard_the_alerts_and_the_readmes_name_are_there() {
    let series: BTreeSet<String> = ALL.iter().flat_map(|metric| metric.series()).collect();
    let metrics: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
    let queries =
        ["compose/grafana/fnhost.json", "compose/prometheus/alerts.yaml", "compose/prometheus/alerts_test.yaml"];
    for file in queries {
        let text = text(file);
        let named = named(&text);
        assert!(named.len() > 7, "{file} names {named:?}");
        let unknown: Vec<_> = named.into_iter().filter(|name| !series.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}, which no host serves");
    }
    for file in ["README.md", "compose/README.md", "host/DESIGN.md"] {
        let text = text(file);
        let unknown: Vec<_> = named(&text).into_iter().filter(|name| !metrics.contains(name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which are no metrics");
    }
}

#[test]
fn alerts_in_the_readme_are_those_of_the_rules_and_each_is_tried_out() {
    let rules = text("compose/prometheus/alerts.yaml");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let readme = text("compose/README.md");
    let shown: Vec<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(n, _)| n).collect();
    let shown: Vec<&str> = shown.into_iter().filter(|name| name.starts_with(char::is_uppercase)).collect();
    assert_eq!(alerts, shown);
    let tests = text("compose/prometheus/alerts_test.yaml");
    for alert in alerts {
        let raised = format!("alertname: {alert}\n        exp_alerts:\n");
        assert!(tests.contains(&raised) && tests.contains(&format!("alertname: {alert}, exp_alerts: []")), "{alert}");
    }
}

#[test]
fn rules_are_raised_by_what_their_tests_say() {
    let promtool = |arguments: &[&str]| {
        Command::new("promtool").args(arguments).current_dir(workspace().join("compose/prometheus")).output()
    };
    if promtool(&["--version"]).is_err() {
        say("NOT RUN: the tests of the alert rules, for want of promtool");
        return;
    }
    for arguments in [
        &["check", "config", "prometheus.yaml"][..],
        &["check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"],
        &["test", "rules", "alerts_test.yaml"],
    ] {
        let output = promtool(arguments).unwrap();
        assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn dashboard_is_provisioned_and_needs_nothing_but_a_prometheus() {
    let dashboard: Value = serde_json::from_str(&text("compose/grafana/fnhost.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{} has the id of another panel", panel["title"]);
        let targets = panel["targets"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(targets.is_empty(), panel["type"] == "row", "{}", panel["title"]);
        for target in targets {
            assert_eq!(target["datasource"], serde_json::json!({ "type": "prometheus", "uid": "${datasource}" }));
        }
    }
    let compose = text("compose/compose.yaml");
    let begin = compose.find("  prometheus:\n").unwrap();
    let published = compose.lines().filter(|line| line.trim_start().starts_with("- \"127.0.0.1:")).count();
    let ports = compose.matches("    ports:\n").count();
    assert_eq!((published, ports), (5, 4), "a port is open to others than this machine");
    for file in compose[begin..].split("- ./").skip(1).map(|rest| rest.split(':').next().unwrap()) {
        assert!(workspace().join("compose").join(file).exists(), "{file} is mounted and is not there");
    }
}

#[test]
fn versions_in_compose_are_those_of_the_tests_and_the_toolchain() {
    assert_eq!(after(&text("compose/compose.yaml"), "image: apache/kafka:"), VERSION);
    assert_eq!(after(&text("compose/with-kafka"), "version="), VERSION);
    for (image, name) in [("prom/prometheus:v", "Prometheus"), ("grafana/grafana:", "Grafana")] {
        let version = after(&text("compose/compose.yaml"), &format!("image: {image}"));
        assert!(text("compose/README.md").contains(&format!("| {name} {version}")), "{name} {version}");
    }
    let toolchain = after(&text("rust-toolchain.toml"), "channel = ");
    assert_eq!(after(&text("compose/Dockerfile"), "ARG RUST="), toolchain.trim_matches('"'));
}
