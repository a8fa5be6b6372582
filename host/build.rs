//! What a host is built with, for `fnhost_build_info`.

use std::path::Path;
use std::process::Command;

fn main() {
    let lock = Path::new("../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    println!("cargo::rustc-env=BUILT_WITH_RUSTC={}", rustc().as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=BUILT_FOR={}", variable("TARGET").as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=BUILT_WITH_WASMTIME={}", locked(lock, "wasmtime").as_deref().unwrap_or("unknown"));
}

#[expect(clippy::disallowed_methods, reason = "it is cargo that tells a build by variables")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The second word of `rustc 1.95.0 (…)`.
fn rustc() -> Option<String> {
    let said = Command::new(variable("RUSTC")?).arg("--version").output().ok()?;
    Some(String::from_utf8(said.stdout).ok()?.split(' ').nth(1)?.to_owned())
}

/// The version of a crate in the lock file.
fn locked(lock: &Path, name: &str) -> Option<String> {
    let lock = std::fs::read_to_string(lock).ok()?;
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(rest.split('"').next()?.to_owned())
}
