//! `app.toml` becomes an [`App`], or [`Faults`] that name line and column.
//!
//! [`read`] is called once at start and by every verb that names an app. It collects all faults before it returns, so
//! one run shows everything that is to be mended. It knows the file and the names of the files in the schemas folder,
//! nothing else: that a component is there and loads is for `fnhost check`, that a schema compiles for
//! [`Schemas`](crate::app::schemas::Schemas).
//!
//! Refused: unknown keys, numbers without a unit where there is one, and whatever could not run or would lose
//! something at run time. What is left out has a default, which [`Manifest::explain`] writes out.
//!
//! Workers: `workers = N` at the top is for the app's own group, `[groups.NAME] workers = N` for another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml_edit::Document;

use crate::app::App;
use crate::app::fault::{Fault, Faults, Place};

mod draft;
mod explain;
mod read;
mod rules;

#[cfg(test)]
mod tests;

pub(crate) use draft::{NAME_RULE, is_name};

use draft::Draft;
use read::{Reader, Section};

/// The name of the manifest's file.
pub const FILE: &str = "app.toml";

/// The folder of schemas beside the manifest that names no other.
const SCHEMAS: &str = "schemas";

/// What ends the name of a schema's file.
pub(super) const SCHEMA_SUFFIX: &str = ".schema.json";

/// A larger manifest is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A manifest that was read.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// What it describes.
    pub app: App,
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The folder of schemas.
    pub schemas: PathBuf,
    /// Where each function says what its `source` is, by the function's name.
    pub sources: BTreeMap<String, Place>,
    /// Where each schedule says what its `topic` is, by the schedule's name.
    pub schedules: BTreeMap<String, Place>,
}

/// Reads the app in `path`, a folder or its `app.toml`.
///
/// # Errors
/// All that is wrong in it.
pub fn load(path: &Path) -> Result<App, Faults> {
    read(path).map(|manifest| manifest.app)
}

/// Reads the app in `path`, a folder or its `app.toml`, with what is around it.
///
/// # Errors
/// All that is wrong in it.
pub fn read(path: &Path) -> Result<Manifest, Faults> {
    let file = if path.is_dir() { path.join(FILE) } else { path.to_path_buf() };
    let size = std::fs::metadata(&file).map(|meta| meta.len());
    if size.as_ref().is_ok_and(|bytes| *bytes > FILE_BYTES_MAX) {
        let message = format!("{} is larger than {}", file.display(), read::size_text(FILE_BYTES_MAX));
        return Err(Fault::new(message).into());
    }
    let text = std::fs::read_to_string(&file).map_err(|error| {
        let fault = Fault::new(format!("{} cannot be read: {error}", file.display()));
        fault.hint("name the folder of an app, or its app.toml")
    })?;
    read_text(&text, &file)
}

/// Reads `text` as what `file` is to hold.
///
/// # Errors
/// All that is wrong in it.
pub fn read_text(text: &str, file: &Path) -> Result<Manifest, Faults> {
    parse(text, file, schemas_in)
}

/// Reads the manifest `text` of `file`; `schemas_in` lists the schemas of a folder.
fn parse(
    text: &str,
    file: &Path,
    schemas_in: impl FnOnce(&Path) -> std::io::Result<BTreeSet<String>>,
) -> Result<Manifest, Faults> {
    let document = Document::parse(text).map_err(|error| {
        let lines: Vec<&str> = error.message().lines().collect();
        let place = Place::new(file, text, error.span().unwrap_or(0..0));
        Fault::new(format!("this is no TOML: {}", lines.join(", "))).at(place)
    })?;
    let root = file.parent().unwrap_or_else(|| Path::new(""));
    let reader = Reader::new(file, text);
    let draft = draft::read(&Section::new(&reader, document.as_table(), "app.toml", 0..0), root);
    let folder = root.join(draft.schemas.as_ref().map_or(SCHEMAS, |schemas| &schemas.value));
    let schemas = schemas_in(&folder).unwrap_or_else(|error| {
        if let Some(key) = &draft.schemas {
            let fault = Fault::new(format!("the schemas folder {} cannot be read", folder.display()));
            reader.report(&key.span, fault.note(error.to_string()));
        }
        BTreeSet::new()
    });
    rules::check(&reader, &draft, &schemas, &folder);
    let sources = draft.functions.iter().map(|f| (f.function.name.clone(), reader.place(&f.source))).collect();
    let schedules = draft.schedules.iter().map(|s| (s.schedule.name.clone(), reader.place(&s.topic))).collect();
    match Faults::new(reader.into_faults()) {
        Some(faults) => Err(faults),
        None => Ok(Manifest { app: app(draft, root), file: file.to_path_buf(), schemas: folder, sources, schedules }),
    }
}

/// The names of the schemas in a folder.
fn schemas_in(folder: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        if let Some(name) = entry?.file_name().to_str().and_then(|name| name.strip_suffix(SCHEMA_SUFFIX)) {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

/// What a draft without faults describes.
fn app(mut draft: Draft, root: &Path) -> App {
    let largest = rules::largest_input(&draft).map(|topic| topic.spec.message_bytes_max);
    if let Some(error) = draft.topics.iter_mut().find(|t| t.is_error() && t.message_bytes_max.is_none()) {
        let twice = largest.unwrap_or(draft::MESSAGE_BYTES).saturating_mul(2).min(draft::MESSAGE_BYTES_MAX);
        error.spec.message_bytes_max = twice;
    }
    let name = draft.name.value;
    let others = draft.groups.into_iter().map(|group| (format!("{name}.{}", group.name.value), group.workers));
    App {
        workers: others.chain([(name.clone(), draft.workers)]).collect(),
        topics: draft.topics.into_iter().map(|t| (t.name.value.into(), t.spec)).collect(),
        routes: draft.routes.into_iter().map(|r| r.route).collect(),
        functions: draft.functions.into_iter().map(|f| Arc::new(f.function)).collect(),
        schedules: draft.schedules.into_iter().map(|s| s.schedule).collect(),
        root: root.to_path_buf(),
        name,
    }
}
