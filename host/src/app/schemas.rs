//! A stand-in, to be replaced.
#![allow(missing_docs, reason = "a stand-in")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

pub struct Schemas(BTreeMap<String, Arc<Schema>>);

pub struct Schema(jsonschema::Validator);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub pointer: String,
    pub detail: String,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Schemas {
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let told = |error: &dyn std::fmt::Display| Error(error.to_string());
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(dir).map_err(|e| told(&e))? {
            let path = entry.map_err(|e| told(&e))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(name) = name.strip_suffix(".schema.json") {
                let text = std::fs::read_to_string(&path).map_err(|e| told(&e))?;
                let value: Value = serde_json::from_str(&text).map_err(|e| told(&e))?;
                files.insert(name.to_owned(), value);
            }
        }
        let mut registry = jsonschema::Registry::new();
        for value in files.values() {
            let id = value.get("$id").and_then(Value::as_str).unwrap_or_default().to_owned();
            registry = registry.add(id, value).map_err(|e| told(&e))?;
        }
        let registry = registry.prepare().map_err(|e| told(&e))?;
        let compile = |value: &Value| {
            jsonschema::options().should_validate_formats(true).with_registry(&registry).build(value).map(Schema)
        };
        let schemas = files.iter().map(|(name, value)| Ok((name.clone(), Arc::new(compile(value).map_err(|e| told(&e))?))));
        Ok(Self(schemas.collect::<Result<_, Error>>()?))
    }

    pub fn get(&self, name: &str) -> Option<Arc<Schema>> {
        self.0.get(name).cloned()
    }
}

impl Schema {
    pub fn check(&self, value: &Value) -> Result<(), Vec<Mismatch>> {
        let mismatch = |error: jsonschema::ValidationError<'_>| Mismatch {
            pointer: error.instance_path().to_string(),
            detail: error.to_string(),
        };
        let mismatches: Vec<_> = self.0.iter_errors(value).take(32).map(mismatch).collect();
        if mismatches.is_empty() { Ok(()) } else { Err(mismatches) }
    }
}
