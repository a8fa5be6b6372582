//! Cargo, as a process: which package a folder holds, and where the components went that it made.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::Deserialize;

use crate::cli::failure::is_interrupted;
use crate::cli::{Failure, talk};

/// What components are built for.
const TARGET: &str = "wasm32-wasip2";

/// A crate that a function is built from.
pub(super) struct Package {
    pub(super) name: String,
    /// Its Cargo.toml, absolute.
    pub(super) manifest: PathBuf,
    /// The folder of its workspace. Cargo runs there: its configuration is looked up from where it runs.
    workspace: PathBuf,
    /// Names it among all packages.
    id: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<PackageMetadata>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct PackageMetadata {
    name: String,
    id: String,
    manifest_path: PathBuf,
}

/// One line of what cargo reports.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl Package {
    /// The package of a function, in this folder.
    pub(super) fn find(folder: &Path, function: &str) -> Result<Self, Failure> {
        Self::read(folder).map_err(|error| match error {
            Unreadable::NoCargo(error) => no_cargo(error),
            Unreadable::Package(error) => {
                Failure::fault(error.context(format!("function `{function}` has no crate that cargo can read")))
                    .hint("`source` in app.toml names the crate's folder, beside app.toml")
            }
        })
    }

    fn read(folder: &Path) -> Result<Self, Unreadable> {
        let manifest = folder.join("Cargo.toml");
        let manifest = manifest.canonicalize().with_context(|| format!("{} is not there", manifest.display()))?;
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
            .arg(&manifest)
            .current_dir(folder)
            .output()
            .map_err(Unreadable::NoCargo)?;
        let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            return Err(anyhow::anyhow!(said()).into());
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata cannot be read")?;
        let found = metadata.packages.into_iter().find(|package| package.manifest_path == manifest);
        let package = found.with_context(|| format!("{} is no package", manifest.display()))?;
        Ok(Self { name: package.name, id: package.id, manifest, workspace: metadata.workspace_root })
    }
}

/// Why a package cannot be had.
enum Unreadable {
    NoCargo(io::Error),
    Package(anyhow::Error),
}

impl From<anyhow::Error> for Unreadable {
    fn from(error: anyhow::Error) -> Self {
        Self::Package(error)
    }
}

fn no_cargo(error: io::Error) -> Failure {
    Failure::fault(anyhow::Error::from(error).context("cargo cannot be run"))
        .hint("it comes with Rust: https://rustup.rs; is its folder, ~/.cargo/bin, on the PATH?")
}

/// Builds the packages, workspace by workspace; where the component of each went, by its Cargo.toml.
pub(super) fn build<'a>(packages: impl Iterator<Item = &'a Package>) -> Result<BTreeMap<PathBuf, PathBuf>, Failure> {
    let mut workspaces: BTreeMap<&Path, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        workspaces.entry(&package.workspace).or_default().insert(&package.id);
    }
    let mut built = BTreeMap::new();
    for (workspace, ids) in workspaces {
        have_target(workspace)?;
        built.extend(build_workspace(workspace, &ids)?);
    }
    Ok(built)
}

fn build_workspace(workspace: &Path, ids: &BTreeSet<&str>) -> Result<BTreeMap<PathBuf, PathBuf>, Failure> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .args(ids.iter().flat_map(|id| ["--package", id]))
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = cargo.spawn().map_err(no_cargo)?;
    let mut built = BTreeMap::new();
    let lines = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
    for line in lines.map_while(Result::ok) {
        // What is no message is a build script's own talk.
        let Ok(message) = serde_json::from_str::<Message>(&line) else {
            continue;
        };
        let component = message.filenames.into_iter().find(|file| file.extension().is_some_and(|e| e == "wasm"));
        if let (true, Some(component)) = (message.reason == "compiler-artifact", component) {
            built.insert(message.manifest_path, component);
        }
    }
    let status = child.wait().context("cargo cannot be waited for").map_err(Failure::fault)?;
    match status.success() {
        true => Ok(built),
        false if is_interrupted(status) => Err(Failure::interrupted()),
        false => Err(Failure::fault(anyhow::anyhow!("cargo did not build the functions ({status})"))),
    }
}

/// Sees to it that the toolchain of a workspace can build components.
fn have_target(workspace: &Path) -> Result<(), Failure> {
    let installed = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(workspace)
        .output()
        .is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir());
    if installed {
        return Ok(());
    }
    talk(&format!("the target {TARGET} is missing: rustup target add {TARGET}"));
    let added = Command::new("rustup").args(["target", "add", TARGET]).current_dir(workspace).status();
    match added {
        Ok(status) if status.success() => Ok(()),
        _ => {
            let error = anyhow::anyhow!("this Rust cannot build for {TARGET}, and rustup could not add it");
            Err(Failure::fault(error).hint(format!(
                "rustup target add {TARGET}, or install the {TARGET} standard library of the Rust in use"
            )))
        }
    }
}
