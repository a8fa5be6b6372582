//! Every file under `schemas/examples/<type>/{valid,invalid}` is a test case by being there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fnhost::app::schemas::{Schema, Schemas};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas")
}

fn entries(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// What is wrong with the examples of one kind; `fits` is what they are to do.
fn failing(schema: &Schema, kind: &Path, fits: bool) -> Vec<String> {
    let files = entries(kind);
    if files.is_empty() {
        return vec![format!("{}: no example", kind.display())];
    }
    let wrong = |file: PathBuf| {
        let bytes = std::fs::read(&file).unwrap();
        match schema.check_bytes(&bytes) {
            Ok(()) if !fits => Some(format!("{}: it fits, and should not", file.display())),
            Err(mismatches) if fits => Some(format!("{}: {}", file.display(), mismatches[0])),
            _ => None,
        }
    };
    files.into_iter().filter_map(wrong).collect()
}

#[test]
fn examples_fit_their_schemas_or_do_not() {
    let schemas = Schemas::load(&folder()).unwrap_or_else(|faults| panic!("{faults}"));
    let mut wrong = Vec::new();
    for examples in entries(&folder().join("examples")) {
        let Some(schema) = schemas.get(&name(&examples)) else {
            wrong.push(format!("{}: there is no such schema", examples.display()));
            continue;
        };
        for kind in entries(&examples) {
            match name(&kind).as_str() {
                "valid" => wrong.extend(failing(&schema, &kind, true)),
                "invalid" => wrong.extend(failing(&schema, &kind, false)),
                _ => wrong.push(format!("{}: neither valid nor invalid", kind.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{} examples are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_type_has_examples_of_both_kinds() {
    let schemas = Schemas::load(&folder()).unwrap();
    // Parts that others refer to; no event is checked against it.
    let types = schemas.names().filter(|name| *name != "common");
    let missing: Vec<PathBuf> = types
        .flat_map(|name| ["valid", "invalid"].map(|kind| folder().join("examples").join(name).join(kind)))
        .filter(|kind| !kind.is_dir() || entries(kind).is_empty())
        .collect();
    assert!(missing.is_empty(), "without examples: {missing:?}");
}
