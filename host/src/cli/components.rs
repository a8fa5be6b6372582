//! The components of an app's functions and its schemas, loaded as a host loads them. What is wrong with a component points at the
//! `source` of its function, and with a tick at the `topic` of its schedule.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::{Failure, build, paths, talk};
use crate::app::fault::{Fault, Faults};
use crate::app::manifest::Manifest;
use crate::app::schemas::Schemas;
use crate::app::{App, Function, Schedule, Source};
use crate::deploy::Versions;
use crate::sandbox::{Options, Sandbox, Version};
use crate::scenario::Bench;
use crate::schedule::record::{TYPE, tick};

/// Loads the app's schemas, which the ticks of its schedules have to fit as everything else that is written to their topics.
pub(super) fn schemas(manifest: &Manifest) -> Result<Schemas, Faults> {
    let schemas = Schemas::load(&manifest.schemas)?;
    let misfit = |schedule: &Schedule| {
        let name = manifest.app.topics.get(&schedule.topic).filter(|spec| spec.validate)?.schema.as_deref()?;
        let tick = tick(&manifest.app.name, schedule, 0, 0).ok()?.value?;
        let found = schemas.get(name)?.check_bytes(&tick).err()?;
        let fault =
            Fault::new(format!("the ticks of schedule `{}` do not fit schema `{name}` of their topic", schedule.name));
        let fault = match manifest.schedules.get(&schedule.name) {
            Some(place) => fault.at(place.clone()),
            None => fault,
        };
        let found: Vec<String> = found.iter().map(|m| format!("{}: {}", m.pointer, m.detail)).collect();
        let fault = fault.note(found.join("; "));
        Some(fault.hint(format!("let the schema take events of type `{TYPE}` too, or tick on a topic of its own")))
    };
    Faults::new(manifest.app.schedules.iter().filter_map(misfit).collect()).map_or(Ok(schemas), Err)
}

/// Loads the component of a function. `build` is the command that makes one.
pub(super) fn load(
    sandbox: &Arc<Sandbox>,
    manifest: &Manifest,
    function: &Function,
    build: &str,
) -> Result<Version, Fault> {
    let file = manifest.app.component_file(function);
    let at = |fault: Fault| match manifest.sources.get(&function.name) {
        Some(place) => fault.at(place.clone()),
        None => fault,
    };
    if !file.exists() {
        let fault = at(Fault::new(format!("function `{}` has no component yet", function.name)));
        return Err(match &function.source {
            Source::Crate(_) => fault.note(format!("{} is not there", file.display())).hint(build),
            Source::Component(_) => fault.note("this file is not there"),
        });
    }
    sandbox.load_file(&file).map_err(|error| {
        let fault = at(Fault::new(format!("function `{}` does not load: {error}", function.name)));
        let fault = fault.note(file.display().to_string());
        match error.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    })
}

/// Loads the components of `functions`, or says all that is wrong with them.
pub(super) fn all(
    sandbox: &Arc<Sandbox>,
    manifest: &Manifest,
    functions: &[Arc<Function>],
    build: &str,
) -> Result<Versions, Faults> {
    let mut versions = Versions::new();
    let mut faults = Vec::new();
    for function in functions {
        match load(sandbox, manifest, function, build) {
            Ok(version) => drop(versions.insert(function.name.clone(), Arc::new(version))),
            Err(fault) => faults.push(fault),
        }
    }
    Faults::new(faults).map_or(Ok(versions), Err)
}

/// Whether the sources of a function's own crate are newer than its component.
fn is_stale(app: &App, function: &Function) -> bool {
    let Source::Crate(folder) = &function.source else { return false };
    let built = modified(&app.component_file(function));
    let sources = modified(&folder.join("Cargo.toml")).max(newest(&folder.join("src")));
    matches!((built, sources), (Some(built), Some(sources)) if sources > built)
}

/// When the newest file in a folder was changed. Links to folders are not followed: they may lead back.
fn newest(folder: &Path) -> Option<SystemTime> {
    let newest_of = |entry: std::fs::DirEntry| {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) { newest(&path) } else { modified(&path) }
    };
    std::fs::read_dir(folder).ok()?.filter_map(|entry| newest_of(entry.ok()?)).max()
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

/// A bench with the components of `functions`. What is compiled is kept in `cache`, or with the app's build: whoever tests
/// does it again and again.
pub(super) fn bench(
    manifest: &Manifest,
    functions: &[Arc<Function>],
    cache: Option<PathBuf>,
    build: &str,
) -> Result<Bench, Failure> {
    let mut faults: Vec<Fault> = Vec::new();
    let schemas = schemas(manifest).unwrap_or_else(|found| {
        faults.extend(found.iter().cloned());
        Schemas::default()
    });
    let cache = cache.unwrap_or_else(|| manifest.app.build_folder().join("compiled"));
    let cache = paths::make_parent(&cache).then_some(cache);
    let options = Options { cache, instances_max: 1, ..Options::default() };
    let sandbox = Sandbox::new(&options).map_err(Failure::fault)?;
    let versions = all(&sandbox, manifest, functions, build).unwrap_or_else(|found| {
        faults.extend(found.iter().cloned());
        Versions::new()
    });
    match Faults::new(faults) {
        Some(faults) => Err(faults.into()),
        None => Bench::new(manifest.app.clone(), schemas, versions).map_err(Failure::internal),
    }
}

/// Builds the components of `functions`, or says which of them are older than their sources.
pub(super) fn prepare(app: &App, functions: &[Arc<Function>], build: bool) -> Result<(), Failure> {
    if build {
        return build::build_app(&App { functions: functions.to_vec(), ..app.clone() }, &mut io::stderr());
    }
    for function in functions.iter().filter(|function| is_stale(app, function)) {
        talk(&format!(
            "warning: function `{}` was changed after its component was built; --build builds it first",
            function.name
        ));
    }
    Ok(())
}
