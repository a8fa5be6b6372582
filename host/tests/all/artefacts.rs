//! Both ways to build a function, `cargo build --target wasm32-wasip2` and `cargo component build`: what comes out
//! loads, and does the same.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fnhost::app::{Function, Limits, manifest};
use fnhost::event::{Effects, Event, Outcome, Partition};
use fnhost::invocation::{Call, Handler, NoState};
use fnhost::sandbox::{Options, Sandbox, Version};

use crate::guests::{cargo, guest, run, target_folder};

#[test]
fn both_builds_of_a_function_load_and_do_the_same_with_every_example_of_its_input() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = manifest::read(&workspace.join("functions/fulfilment")).unwrap();
    let names: Vec<&str> = manifest.app.functions.iter().map(|function| function.name.as_str()).collect();
    let Some(folder) = build_with_cargo_component(workspace, &names) else { return };

    let sandbox = Sandbox::new(&Options::default()).unwrap();
    for function in &manifest.app.functions {
        let plain = sandbox.load_file(&guest(&function.name)).unwrap();
        let other = sandbox.load_file(&folder.join(&function.name).with_extension("wasm")).unwrap();
        let mut function = Function::clone(function);
        // Wide, so that a slow machine fails nothing.
        function.limits = Limits { time: Duration::from_secs(30), ..function.limits };
        let (name, function) = (function.name.clone(), Arc::new(function));
        let mut effects = 0;
        for topic in &function.input {
            let schema = manifest.app.topics[topic].schema.as_deref().unwrap();
            for example in examples(workspace, schema) {
                let event = event(topic, &example);
                let outcome = handle(&plain, &function, &event);
                assert_eq!(outcome, handle(&other, &function, &event), "{name}: {}", example.display());
                let has_effect = |effects: &Effects| !effects.changes.is_empty() || !effects.outputs.is_empty();
                effects += usize::from(matches!(&outcome, Outcome::Completed(effects) if has_effect(effects)));
            }
        }
        assert!(effects > 0, "{name}: no example had an effect");
    }
}

/// Builds, and gives the folder that the components are in; `None`, said loudly, without the tool.
///
/// # Panics
/// With `CI=true` without the tool.
fn build_with_cargo_component(workspace: &Path, packages: &[&str]) -> Option<PathBuf> {
    let mut version = Command::new(cargo());
    version.args(["component", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !version.status().is_ok_and(|status| status.success()) {
        const MISSING: &str = "cargo-component is missing: cargo install --locked cargo-component@0.21.1";
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{MISSING}");
        // Past the test harness, which holds back what tests say that pass.
        writeln!(std::io::stderr(), "ONE TEST IS NOT RUN, AND COUNTS AS PASSED: {MISSING}").ok();
        return None;
    }
    let mut build = Command::new(cargo());
    build.args(["component", "build", "--release"]).current_dir(workspace);
    for package in packages {
        build.args(["-p", package]);
    }
    run(&mut build);
    // It builds a module for WASI 0.1, and makes a component of it with an adapter.
    Some(target_folder(workspace).join("wasm32-wasip1/release"))
}

fn examples(workspace: &Path, schema: &str) -> Vec<PathBuf> {
    let folder = workspace.join("schemas/examples").join(schema).join("valid");
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn event(topic: &Arc<str>, example: &Path) -> Event {
    let value = std::fs::read(example).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&value).unwrap();
    Event {
        partition: Partition::new(Arc::clone(topic), 0),
        offset: 0,
        timestamp_ms: Some(1_800_000_000_000),
        key: json["subject"].as_str().map(|subject| subject.as_bytes().to_vec()),
        value: Some(value),
        headers: vec![],
    }
}

fn handle(version: &Version, function: &Arc<Function>, event: &Event) -> Outcome {
    version.handle(Call { event, function, seed: [0; 32], state: Arc::new(NoState), stop: None })
}
