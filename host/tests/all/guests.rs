//! The components that tests run, built from this workspace on first use.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The crates whose components tests need.
const PACKAGES: [&str; 7] =
    ["fnhost-test-guest", "inventory", "warehouse", "shipper", "notification", "measure", "kpi"];
const TARGET: &str = "wasm32-wasip2";

/// The component of a package, such as `inventory`; `guest` is `fnhost-test-guest`.
pub(crate) fn guest(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let package = if name == "guest" { "fnhost-test-guest" } else { name };
    assert!(PACKAGES.contains(&package), "`{name}` is not among the components that tests build: {PACKAGES:?}");
    FOLDER.get_or_init(build).join(format!("{}.wasm", package.replace('-', "_")))
}

/// Builds all of them, and gives the folder that they are in.
fn build() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    add_target(workspace);
    let mut cargo = Command::new(cargo());
    cargo.args(["build", "--release", "--target", TARGET]).current_dir(workspace);
    for package in PACKAGES {
        cargo.args(["-p", package]);
    }
    run(&mut cargo);
    target_folder(workspace).join(TARGET).join("release")
}

/// Installs the compiler's target when it is missing. Without rustup, cargo itself says what is missing.
fn add_target(workspace: &Path) {
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(workspace)
        .stderr(Stdio::null())
        .output()
        .expect("rustc runs");
    let folder = String::from_utf8(libraries.stdout).unwrap();
    if Path::new(folder.trim()).is_dir() {
        return;
    }
    eprintln!("components are built for {TARGET}, which is not installed: rustup target add {TARGET}");
    run(Command::new("rustup").args(["target", "add", TARGET]).current_dir(workspace));
}

/// Where cargo puts what it builds, as it says itself: `CARGO_TARGET_DIR` and configuration files count.
pub(crate) fn target_folder(workspace: &Path) -> PathBuf {
    let metadata = Command::new(cargo())
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(workspace)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("cargo metadata is JSON");
    metadata["target_directory"].as_str().expect("cargo names its target folder").into()
}

pub(crate) fn cargo() -> &'static str {
    option_env!("CARGO").unwrap_or("cargo")
}

/// Runs a command to its end, with all that it says on stderr.
pub(crate) fn run(command: &mut Command) {
    // A build for another target must not inherit what a test run was given for this one.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").stdin(Stdio::null());
    let status = command.stdout(std::io::stderr()).status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} ended with {status}");
}
