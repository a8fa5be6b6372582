//! The SDK that a new app's functions are written with.
//!
//! It is on no registry. An app inside fnhost's repository depends on the one that is there. Any other app gets the sources
//! of the SDK as they were when this binary was built, in [`VENDORED`]: contract, SDK and host then fit, whatever becomes of
//! the repository. What its Cargo.toml has from the repository's workspace is written out in it.

use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use toml_edit::{DocumentMut, Item, TableLike, Value};

use super::{Files, parent};

/// Where an app keeps the SDK, beside its `app.toml`.
pub(super) const VENDORED: &str = "vendor/fnhost-sdk";

/// Where fnhost's repository has it.
const IN_REPOSITORY: &str = "functions/sdk";

const MANIFEST: &str = include_str!("../../../../functions/sdk/Cargo.toml");
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");
const LICENSE: &str = include_str!("../../../../LICENSE");

macro_rules! sources {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../functions/sdk/", $path)))),*]
    };
}

/// The SDK's sources and the contract.
pub(super) const SOURCES: &[(&str, &str)] = sources![
    "src/bindings.rs",
    "src/config.rs",
    "src/context.rs",
    "src/event.rs",
    "src/failure.rs",
    "src/host_events.rs",
    "src/imports.rs",
    "src/lib.rs",
    "src/log.rs",
    "src/output.rs",
    "src/state.rs",
    "src/testing.rs",
    "src/typed_state.rs",
    "src/verbatim.rs",
    "wit/deps/config/store.wit",
    "wit/deps/logging/logging.wit",
    "wit/function.wit",
];

/// The SDK of the repository that `folder` is in, relative to `folder`, which need not be there yet. `None` outside.
///
/// # Errors
/// When the folder that is to hold `folder` is not there.
pub(super) fn nearby(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let folder = parent(folder).canonicalize()?.join(folder.file_name().unwrap_or_default());
    let is_sdk = |sdk: &PathBuf| {
        std::fs::read_to_string(sdk.join("Cargo.toml")).is_ok_and(|text| text.contains("name = \"fnhost-sdk\""))
    };
    let sdk = folder.ancestors().skip(1).map(|ancestor| ancestor.join(IN_REPOSITORY)).find(is_sdk);
    Ok(sdk.map(|sdk| relative(&folder, &sdk)))
}

/// The way from one folder to another, both absolute.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

/// The SDK's files, in [`VENDORED`].
///
/// # Errors
/// When the manifests that were built into this binary are none.
pub(super) fn vendored() -> anyhow::Result<Files> {
    let mut files = vec![("Cargo.toml", manifest()?), ("LICENSE", LICENSE.to_owned())];
    files.extend(SOURCES.iter().map(|(path, text)| (*path, (*text).to_owned())));
    Ok(files.into_iter().map(|(path, text)| (Path::new(VENDORED).join(path), text)).collect())
}

/// The SDK's Cargo.toml for a place outside of its workspace.
fn manifest() -> anyhow::Result<String> {
    let workspace: DocumentMut = WORKSPACE.parse().context("the workspace's Cargo.toml cannot be read")?;
    let shared = |name| workspace.get("workspace").and_then(|item| item.get(name)).and_then(Item::as_table_like);
    let mut manifest: DocumentMut = MANIFEST.parse().context("the SDK's Cargo.toml cannot be read")?;
    for (name, shared) in [("package", shared("package")), ("dependencies", shared("dependencies"))] {
        let own = manifest.get_mut(name).and_then(Item::as_table_like_mut);
        let (own, shared) = own.zip(shared).with_context(|| format!("there is no `{name}` in one of the two"))?;
        write_out(own, shared);
    }
    for only_there in ["dev-dependencies", "lints"] {
        manifest.remove(only_there);
    }
    // Only the original is published, and what that wants is not here.
    if let Some(package) = manifest.get_mut("package").and_then(Item::as_table_like_mut) {
        for only_published in ["readme", "keywords", "categories", "include"] {
            package.remove(only_published);
        }
        package.insert("publish", toml_edit::value(false));
    }
    Ok(manifest.to_string())
}

/// Puts what `shared` has in the place of each `KEY.workspace = true`; features that are asked for beside it stay.
fn write_out(own: &mut dyn TableLike, shared: &dyn TableLike) {
    let inherits = |item: &Item| item.get("workspace").and_then(Item::as_bool) == Some(true);
    let keys: Vec<String> = own.iter().filter(|(_, item)| inherits(item)).map(|(key, _)| key.to_owned()).collect();
    for key in keys {
        let Some(mut value) = shared.get(&key).cloned().and_then(|item| item.into_value().ok()) else { continue };
        let features = own.get(&key).and_then(|item| item.get("features")).and_then(Item::as_array).cloned();
        if let Some(features) = features {
            value = with_features(value, &features);
        }
        value.decor_mut().clear();
        own.remove(&key);
        own.insert(&key, Item::Value(value));
    }
}

/// A dependency with more features.
fn with_features(dependency: Value, more: &toml_edit::Array) -> Value {
    let mut table = match dependency {
        Value::InlineTable(table) => table,
        version => [("version", version)].into_iter().collect(),
    };
    let mut features = table.get("features").and_then(Value::as_array).cloned().unwrap_or_default();
    features.extend(more.iter().cloned());
    features.fmt();
    table.insert("features", Value::Array(features));
    table.fmt();
    Value::InlineTable(table)
}
