//! The first run of an app: nothing is built, and Kafka has none of its topics.

use std::path::Path;
use std::process::Command;

use super::hosts::Host;
use super::orders::{order, place};
use super::world::{FNHOST, World, fulfilment};

/// The order path in a folder of its own, with nothing built.
fn unbuilt() -> tempfile::TempDir {
    let original = fulfilment();
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &Path| format!("{:?}", path.to_str().unwrap());
    let mut manifest = std::fs::read_to_string(original.join("app.toml")).unwrap();
    manifest = manifest.replace("\"../../schemas\"", &at(&original.join("../../schemas")));
    for name in ["inventory", "warehouse", "shipper", "notification", "measure", "kpi"] {
        manifest = manifest.replace(&format!("source = \"{name}\""), &format!("source = {}", at(&original.join(name))));
    }
    std::fs::write(folder.path().join("app.toml"), manifest).unwrap();
    folder
}

#[test]
fn a_host_that_is_asked_to_builds_the_components_and_makes_the_topics_before_it_takes_orders() {
    let folder = unbuilt();
    let Some(world) = World::bare(folder.path().to_path_buf()) else { return };
    let host = Host::start(&world, &["--build", "--apply-topics"]).ready();
    place(&host.http, &order(1));
    let (code, log) = host.terminate();
    assert_eq!(code, 0, "{log}");
    for built in ["inventory", "warehouse", "shipper", "notification", "measure", "kpi"] {
        assert!(folder.path().join("build").join(built).with_extension("wasm").is_file(), "{built}");
    }
}

#[test]
fn a_host_without_components_says_how_they_are_built() {
    let folder = unbuilt();
    let mut run = Command::new(FNHOST);
    run.arg("run").arg(folder.path()).args(["--brokers", "127.0.0.1:1", "--http", "127.0.0.1:0"]);
    let output = run.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let hint = format!("hint: run with --build, or fnhost build {}", folder.path().display());
    assert!(said.trim_end().ends_with(&hint), "{said}");
}
