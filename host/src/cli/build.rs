//! `fnhost build`: each function's crate becomes a component in the app's `build` folder.
//!
//! The work is cargo's, in the crate's own workspace, so that its lock file, profile and flags hold; what cargo says
//! goes to stderr as it is. A component appears in `build` whole or not at all; of one that is the same as before, only
//! the time is new. Functions whose source is a `.wasm` file are not touched.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;

use super::{AppArg, Failure};
use crate::app::{App, Source, manifest};
use crate::event::Digest;

mod cargo;

use cargo::Package;

/// Build the component of each function with cargo
///
/// Runs `cargo build --release --target wasm32-wasip2` for the crates of the app and puts what comes out into
/// APP/build/FUNCTION.wasm. Prints name, version, size and path of each.
#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    app: AppArg,
}

/// Builds, and prints a line a function.
pub(super) fn build(args: &BuildArgs, out: &mut dyn Write) -> Result<(), Failure> {
    build_app(&manifest::load(&args.app.path)?, out)
}

/// Builds the components of an app that was read.
pub(super) fn build_app(app: &App, out: &mut dyn Write) -> Result<(), Failure> {
    let mut packages: BTreeMap<&str, Package> = BTreeMap::new();
    for function in &app.functions {
        if let Source::Crate(folder) = &function.source {
            let package = Package::find(folder, &function.name)?;
            packages.insert(&function.name, package);
        }
    }
    let built = cargo::build(packages.values())?;
    let folder = app.build_folder();
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} cannot be made", folder.display()))
        .map_err(|error| Failure::unwritten(error, &folder))?;
    let width = app.functions.iter().map(|f| f.name.len()).max().unwrap_or_default();
    for function in &app.functions {
        let file = app.component_file(function);
        if let Some(package) = packages.get(function.name.as_str()) {
            let artefact = built.get(&package.manifest).ok_or_else(|| no_component(&function.name, package))?;
            put(artefact, &file).map_err(|error| Failure::unwritten(error, &file))?;
        }
        let bytes = std::fs::read(&file)
            .with_context(|| format!("{} cannot be read", file.display()))
            .map_err(Failure::fault)?;
        let (name, digest) = (&function.name, Digest::of(&bytes).short());
        writeln!(out, "{name:<width$}  {digest}  {:>9} bytes  {}", bytes.len(), file.display())?;
    }
    Ok(())
}

/// Copies `artefact` to `file`, whole or not at all.
fn put(artefact: &Path, file: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(artefact).with_context(|| format!("{} cannot be read", artefact.display()))?;
    if std::fs::read(file).is_ok_and(|there| there == bytes) {
        // It is as new as its sources now, and whoever compares the two should see that. If not, nothing is lost.
        File::options().append(true).open(file).and_then(|there| there.set_modified(SystemTime::now())).ok();
        return Ok(());
    }
    write_whole(&bytes, file).with_context(|| format!("{} cannot be written", file.display()))
}

/// Writes a file that appears whole or not at all.
pub(super) fn write_whole(bytes: &[u8], file: &Path) -> io::Result<()> {
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let mut new = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // Another user may run the host. What the umask takes away stays away.
        use std::os::unix::fs::PermissionsExt as _;
        new.permissions(std::fs::Permissions::from_mode(0o644));
    }
    let mut new = new.tempfile_in(folder)?;
    new.write_all(bytes)?;
    new.persist(file).map(drop).map_err(|error| error.error)
}

fn no_component(function: &str, package: &Package) -> Failure {
    let error = anyhow::anyhow!("crate `{}` of function `{function}` made no component", package.name);
    Failure::fault(error)
        .hint(format!("add to {}:\n\n[lib]\ncrate-type = [\"cdylib\", \"rlib\"]", package.manifest.display()))
}
