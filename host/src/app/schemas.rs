//! JSON Schemas: bytes are held against them, and what does not fit is named by place.
//!
//! All `*.schema.json` files of one folder are compiled at start (Draft 2020-12, formats asserted); ingress holds
//! bodies against them, the sandbox outputs. A schema refers to another by its `$id`,
//! `fnhost:/schemas/NAME.schema.json`; nothing is ever fetched. Patterns run in linear time: what would need
//! backtracking is refused at start. An answer holds at most [`Mismatch::COUNT_MAX`] mismatches, each of bounded length.
//!
//! A detail may quote what was sent, so it belongs into answers and error events, never into logs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Registry, Retrieve, Uri, Validator};
use serde_json::Value;

use super::fault::{Fault, Faults, Place};
use super::manifest::SCHEMA_SUFFIX;

mod mismatch;

#[cfg(test)]
mod tests;

pub use mismatch::Mismatch;

/// What a schema's `$id` begins with. It stands in every schema file: a change breaks them all.
const ID_PREFIX: &str = "fnhost:/schemas/";

/// The only dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Where the dialect's own schemas lie, which are built in.
const DIALECT_FOLDER: &str = "https://json-schema.org/draft/2020-12/";

/// A larger schema file is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The schemas of a folder, compiled.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    by_name: BTreeMap<String, Arc<Schema>>,
}

/// One compiled schema.
pub struct Schema {
    name: String,
    validator: Validator,
}

impl Schemas {
    /// Compiles every `NAME.schema.json` in `folder`. A folder that is not there holds none.
    ///
    /// # Errors
    /// Every file that is no schema, or refers to what is not in the folder.
    pub fn load(folder: &Path) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let mut files = BTreeMap::new();
        for (name, path) in list(folder)? {
            match read(&name, &path) {
                Ok(schema) => drop(files.insert(name, (path, schema))),
                Err(fault) => faults.push(fault),
            }
        }
        for (name, (path, schema)) in &files {
            let unknown = |uri: &&str| !files.keys().any(|name| *uri == self::uri(name));
            faults.extend(references(schema).into_iter().filter(unknown).map(|uri| {
                let fault = Fault::new(format!("schema `{name}` refers to `{uri}`, which is not in the folder"));
                fault
                    .at(Place::file(path))
                    .hint(format!("nothing is fetched: put it beside this one, as `{ID_PREFIX}…`"))
            }));
        }
        let by_name = if faults.is_empty() { compile(&files, &mut faults) } else { BTreeMap::new() };
        Faults::new(faults).map_or(Ok(Self { by_name }), Err)
    }

    /// The schema of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Schema>> {
        self.by_name.get(name).cloned()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

impl Schema {
    /// Its name: that of its file, without `.schema.json`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `value` fits.
    ///
    /// # Errors
    /// What does not fit, at most [`Mismatch::COUNT_MAX`] of it.
    pub fn check(&self, value: &Value) -> Result<(), Vec<Mismatch>> {
        // Naming what does not fit costs many times what finding that all does.
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let mut mismatches = Vec::new();
        for error in self.validator.iter_errors(value) {
            mismatch::collect(&error, &mut mismatches);
            if mismatches.len() >= Mismatch::COUNT_MAX {
                break;
            }
        }
        mismatches.truncate(Mismatch::COUNT_MAX);
        Err(mismatches)
    }

    /// Whether `bytes` are one JSON document, at most 128 levels deep, that fits.
    ///
    /// # Errors
    /// What does not fit; bytes that are no JSON are one mismatch at the root.
    pub fn check_bytes(&self, bytes: &[u8]) -> Result<(), Vec<Mismatch>> {
        match serde_json::from_slice(bytes) {
            Ok(value) => self.check(&value),
            Err(error) => Err(vec![Mismatch::new(String::new(), format!("this is no JSON: {error}"))]),
        }
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schema").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The schema files of a folder, by name.
fn list(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Faults> {
    let cannot = |error: std::io::Error| {
        Faults::from(Fault::new(format!("the schemas folder {} cannot be read: {error}", folder.display())))
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(cannot(error)),
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(cannot)?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_suffix(SCHEMA_SUFFIX)) {
            files.insert(name.to_owned(), entry.path());
        }
    }
    Ok(files)
}

/// Reads one schema file, as far as it can be judged alone.
fn read(name: &str, path: &Path) -> Result<Value, Fault> {
    let at = |fault: Fault| fault.at(Place::file(path));
    let cannot = |error: std::io::Error| at(Fault::new(format!("schema `{name}` cannot be read: {error}")));
    if std::fs::metadata(path).map_err(cannot)?.len() > FILE_BYTES_MAX {
        return Err(at(Fault::new(format!("schema `{name}` is larger than 1MiB"))));
    }
    let text = std::fs::read_to_string(path).map_err(cannot)?;
    let schema: Value = serde_json::from_str(&text).map_err(|error| {
        Fault::new(format!("schema `{name}` is no JSON: {error}")).at(Place::of_json(path, &text, &error))
    })?;
    for (key, wanted) in [("$schema", DIALECT.to_owned()), ("$id", uri(name))] {
        if schema.get(key).is_some_and(|found| found.as_str() != Some(&wanted)) {
            let hint = format!("write \"{key}\": \"{wanted}\"");
            return Err(at(Fault::new(format!("schema `{name}` has another `{key}` than it must"))).hint(hint));
        }
    }
    Ok(schema)
}

/// Compiles the files, which may refer to each other.
fn compile(files: &BTreeMap<String, (PathBuf, Value)>, faults: &mut Vec<Fault>) -> BTreeMap<String, Arc<Schema>> {
    let resources = files.iter().map(|(name, (_, schema))| (uri(name), Draft::Draft202012.create_resource_ref(schema)));
    let builder = Registry::new().draft(Draft::Draft202012).retriever(Nothing).extend(resources);
    let registry = match builder.and_then(|builder| builder.prepare()) {
        Ok(registry) => registry,
        Err(error) => {
            faults.push(Fault::new(format!("the schemas do not fit together: {error}")));
            return BTreeMap::new();
        }
    };
    let mut by_name = BTreeMap::new();
    for (name, (path, schema)) in files {
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_registry(&registry)
            .with_retriever(Nothing)
            .with_base_uri(uri(name))
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .build(schema);
        match validator {
            Ok(validator) => drop(by_name.insert(name.clone(), Arc::new(Schema { name: name.clone(), validator }))),
            Err(error) => {
                let pointer = error.instance_path().as_str();
                let what = match schema.pointer(pointer) {
                    Some(Value::String(format)) if pointer.ends_with("/format") => {
                        format!("`{format}` is no known format")
                    }
                    _ => error.to_string(),
                };
                let place = if pointer.is_empty() { String::new() } else { format!(" at {pointer}") };
                let fault = Fault::new(format!("schema `{name}` is no JSON Schema{place}: {what}"));
                faults.push(fault.at(Place::file(path)));
            }
        }
    }
    by_name
}

/// The other documents that a schema refers to, by absolute URI.
fn references(schema: &Value) -> BTreeSet<&str> {
    match schema {
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(members) => {
            let own = ["$ref", "$dynamicRef"].into_iter().filter_map(|key| members.get(key)?.as_str());
            let documents = own.filter_map(|reference| reference.split('#').next());
            let absolute = documents.filter(|uri| uri.contains(':') && !uri.starts_with(DIALECT_FOLDER));
            absolute.chain(members.values().flat_map(references)).collect()
        }
        _ => BTreeSet::new(),
    }
}

fn uri(name: &str) -> String {
    format!("{ID_PREFIX}{name}{SCHEMA_SUFFIX}")
}

/// Fetches nothing.
struct Nothing;

impl Retrieve for Nothing {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err("it is not in the schemas folder, and nothing is fetched".into())
    }
}
