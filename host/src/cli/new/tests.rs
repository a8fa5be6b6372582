//! Names, what is added to an app.toml and a Cargo.toml, and the SDK that goes along.

use std::collections::BTreeSet;
use std::path::Path;

use super::declare::{Declared, declare};
use super::name::{check_app, check_function};
use super::scenario::{Answered, output_id};
use super::workspace::Workspace;
use super::{app, sdk};

fn declared(text: &str, function: &str, input: &[&str], output: &[&str]) -> (String, Vec<String>) {
    let owned = |topics: &[&str]| topics.iter().map(ToString::to_string).collect::<Vec<_>>();
    declare(text, &Declared { function, input: &owned(input), output: &owned(output) }).unwrap()
}

#[test]
fn function_comes_after_the_others_with_its_new_topics_and_comments_stay() {
    let text = r#"# The shop.
name = "shop"

[topics.orders] # keyed by id
partitions = 3

[topics.error]

# What is in store.
[functions.stock]
source = "stock"
input = ["orders"]

[functions.stock.config] # spare
shelf = "3"

[groups.late]
workers = 2
"#;
    let (text, new) = declared(text, "audit", &["orders", "refunds"], &["audited"]);
    assert_eq!(new, ["refunds", "audited"]);
    insta::assert_snapshot!(text, @r#"
    # The shop.
    name = "shop"

    [topics.orders] # keyed by id
    partitions = 3

    [topics.error]

    [topics.refunds]

    [topics.audited]

    # What is in store.
    [functions.stock]
    source = "stock"
    input = ["orders"]

    [functions.stock.config] # spare
    shelf = "3"

    [functions.audit]
    source = "audit"
    input = ["orders", "refunds"]
    output = ["audited"]

    [groups.late]
    workers = 2
    "#);
}

#[test]
fn function_is_added_to_an_app_that_has_none_and_to_inline_tables() {
    let (text, _) = declared("name = \"shop\"\n", "audit", &["a.b"], &[]);
    insta::assert_snapshot!(text, @r#"
    name = "shop"

    [topics."a.b"]

    [functions.audit]
    source = "audit"
    input = ["a.b"]
    "#);
    let (text, new) = declared("name = \"shop\"\ntopics = { a = {} }\nfunctions = {}\n", "audit", &["a"], &[]);
    assert!(new.is_empty());
    insta::assert_snapshot!(text, @r#"
    name = "shop"
    topics = { a = {} }
    functions = { audit = { source = "audit", input = ["a"] } }
    "#);
}

#[test]
fn names_of_functions_are_names_of_crates_and_folders() {
    for good in ["a", "audit", "audit-2", "tester", "a1"] {
        check_function(good).unwrap();
    }
    for bad in ["", "Audit", "2nd", "-a", "type", "self", "std", "serde-json", "test", "build", "a_b", "../a", "é"] {
        check_function(bad).unwrap_err();
    }
    for good in ["shop", "test", "2nd", "type"] {
        check_app(good).unwrap();
    }
    for bad in ["", "Shop", "my shop", "é", "a.b"] {
        check_app(bad).unwrap_err();
    }
}

fn member_of(workspace: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("apps/shop")).unwrap();
    Workspace::read(workspace, &root).unwrap().with_member(&root.join("apps/shop/audit")).unwrap()
}

#[test]
fn crate_becomes_a_member_of_its_workspace_unless_it_is_one_by_itself() {
    assert_eq!(member_of("[workspace]\nmembers = [\"apps/shop/*\"]\n"), None);
    let one_line = member_of("[workspace]\nmembers = [\"a\"] # all\n").unwrap();
    assert_eq!(one_line, "[workspace]\nmembers = [\"a\", \"apps/shop/audit\"] # all\n");
    let lines = member_of("[workspace]\nmembers = [\n    \"a\",\n    \"b\",\n]\n").unwrap();
    assert_eq!(lines, "[workspace]\nmembers = [\n    \"a\",\n    \"b\",\n    \"apps/shop/audit\",\n]\n");
    assert_eq!(member_of("[workspace]\n").unwrap(), "[workspace]\nmembers = [\"apps/shop/audit\"]\n");
}

#[test]
fn crate_takes_from_its_workspace_what_that_has() {
    let rich = r#"
[workspace.package]
version = "1.0.0"
license = "MIT"
[workspace.dependencies]
serde = "1"
[workspace.lints.rust]
"#;
    let manifest = |text| Workspace::read(text, Path::new("")).unwrap().crate_manifest("audit");
    insta::assert_snapshot!(manifest(rich), @r#"
    [package]
    name = "audit"
    version.workspace = true
    edition = "2024"
    license.workspace = true
    publish = false

    [lib]
    crate-type = ["cdylib", "rlib"]

    [dependencies]
    fnhost-sdk.workspace = true
    serde = { workspace = true, features = ["derive"] }

    [dev-dependencies]
    serde_json = "1"

    [lints]
    workspace = true
    "#);
    insta::assert_snapshot!(manifest("[workspace]\n"), @r#"
    [package]
    name = "audit"
    version = "0.1.0"
    edition = "2024"
    publish = false

    [lib]
    crate-type = ["cdylib", "rlib"]

    [dependencies]
    fnhost-sdk.workspace = true
    serde = { version = "1", features = ["derive"] }

    [dev-dependencies]
    serde_json = "1"
    "#);
}

#[test]
fn every_source_of_the_sdk_and_of_the_contract_goes_along() {
    fn list(folder: &Path, under: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => list(&path, under, found),
                false => drop(found.insert(path.strip_prefix(under).unwrap().display().to_string())),
            }
        }
    }
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/sdk");
    let mut found = BTreeSet::new();
    list(&sdk.join("src"), &sdk, &mut found);
    list(&sdk.join("wit"), &sdk, &mut found);
    assert_eq!(found, sdk::SOURCES.iter().map(|(path, _)| path.to_string()).collect());
}

#[test]
fn sdk_of_its_own_needs_no_workspace() {
    let files = sdk::vendored().unwrap();
    let manifest = &files.iter().find(|(path, _)| path.ends_with("Cargo.toml")).unwrap().1;
    insta::assert_snapshot!(manifest, @r#"
    [package]
    name = "fnhost-sdk"
    description = "What a Rust function for fnhost is written with: typed events, state and outputs, and a bench for native tests"
    version = "0.1.0"
    edition = "2024"
    rust-version = "1.95"
    license = "Apache-2.0"
    publish = false

    [dependencies]
    serde_path_to_error = "0.1"
    serde = { version = "1", features = ["derive"] }
    serde_json = { version = "1", features = ["raw_value"] }
    uuid = { version = "1.29", default-features = false, features = ["v5"] }
    wit-bindgen = { version = "0.61.1", default-features = false, features = ["macros", "realloc"] }
    "#);
}

#[test]
fn first_scenario_expects_the_ids_that_the_sdk_gives() {
    use fnhost_sdk::testing::{MemoryConfig, MemoryLog, MemoryState};
    let event = fnhost_sdk::RawEvent {
        topic: "in".to_owned(),
        timestamp: None,
        key: None,
        value: Some(br#"{"specversion":"1.0","id":"e-1","source":"/a","type":"t","subject":"s","data":{}}"#.to_vec()),
        headers: vec![],
    };
    let event = fnhost_sdk::Event::<serde_json::Value>::decode(&event).unwrap();
    let (mut state, mut log) = (MemoryState::default(), MemoryLog::default());
    let config = MemoryConfig::default();
    let mut context = fnhost_sdk::Context::new("/shop/audit", &mut state, &config, &mut log);
    for ordinal in 0..2 {
        let output = context.output(&event, "out", "kind", &1).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&output.value.unwrap()).unwrap();
        assert_eq!(value["id"], output_id(&Answered { source: "/a", id: "e-1" }, "/shop/audit", "out", ordinal));
    }
}

#[test]
fn new_app_builds_components_as_this_repository_does() {
    let theirs: toml_edit::DocumentMut = app::CARGO_CONFIG.parse().unwrap();
    let ours: toml_edit::DocumentMut = include_str!("../../../../.cargo/config.toml").parse().unwrap();
    let flags = |document: &toml_edit::DocumentMut| document["target"]["wasm32-wasip2"]["rustflags"].to_string();
    assert_eq!(flags(&theirs), flags(&ours));
}
