//! `fnhost new app`: a folder with everything in it that an app consists of.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;

use super::scenario::{Answered, output_id};
use super::workspace::Workspace;
use super::{AppArgs, Files, fill, is_free, name, parent, refused, sdk, write};
use crate::app::manifest;
use crate::cli::{Failure, talk};

/// What every app has, wherever it lies.
const FILES: &[(&str, &str)] = &[
    (".gitignore", include_str!("templates/app/gitignore")),
    ("Cargo.toml", include_str!("templates/app/workspace.toml")),
    ("README.md", include_str!("templates/app/README.md")),
    ("app.toml", include_str!("templates/app/app.toml")),
    ("greeter/src/lib.rs", include_str!("templates/app/greeter.rs")),
    ("greeter/tests/greetings.rs", include_str!("templates/app/greetings.rs")),
    ("greeter/tests/new-greeting/expected.json", include_str!("templates/app/expected.json")),
    ("greeter/tests/new-greeting/input.json", include_str!("templates/app/input.json")),
    ("schemas/examples/greeting/valid/ada.json", include_str!("templates/app/ada.json")),
    ("schemas/greeting.schema.json", include_str!("templates/app/greeting.schema.json")),
];

/// How components are built: as in fnhost's repository.
pub(super) const CARGO_CONFIG: &str = include_str!("templates/app/cargo-config.toml");

/// What an app has outside of fnhost's repository, where a folder above it has the same.
const FILES_OUTSIDE: &[(&str, &str)] =
    &[(".cargo/config.toml", CARGO_CONFIG), ("rust-toolchain.toml", include_str!("../../../../rust-toolchain.toml"))];

/// Makes the folder, and prints each file that was written.
pub(super) fn app(args: &AppArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let folder = args.path.as_path();
    let app = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
    name::check_app(&app)?;
    is_free(folder)?;
    let cannot = || format!("{} cannot be made", folder.display());
    let nearby = sdk::nearby(folder)
        .with_context(cannot)
        .map_err(|error| Failure::fault(error).hint(format!("mkdir -p {}", parent(folder).display())))?;

    let sdk = nearby.as_deref().unwrap_or_else(|| Path::new(sdk::VENDORED)).display().to_string();
    let (exclude, vendored) = match &nearby {
        Some(_) => (String::new(), String::new()),
        None => (
            "\nexclude = [\"vendor\"]".to_owned(),
            format!(
                " `{}` is what functions are written with, as fnhost {} has it.",
                sdk::VENDORED,
                env!("CARGO_PKG_VERSION")
            ),
        ),
    };
    let event = Answered { source: &format!("/{app}/ingress"), id: "e-1" };
    let id = output_id(&event, &format!("/{app}/greeter"), "greeted", 0);
    let blanks = [("app", &*app), ("sdk", &sdk), ("exclude", &exclude), ("vendored", &vendored), ("id", &id)];

    let outside = if nearby.is_none() { FILES_OUTSIDE } else { &[] };
    let texts = FILES.iter().chain(outside).map(|(path, text)| (path.into(), fill(text, &blanks)));
    let mut files: Files = texts.collect();
    files.push(("greeter/Cargo.toml".into(), greeter(&files)?));
    files.sort();
    let shown: Vec<String> = files.iter().map(|(path, _)| folder.join(path).display().to_string()).collect();
    if nearby.is_none() {
        files.extend(sdk::vendored().map_err(Failure::internal)?);
    }
    write(folder, &files, |whole| manifest::read(whole).map(drop).map_err(|faults| refused(&faults)))?;

    for path in &shown {
        writeln!(out, "{path}")?;
    }
    if nearby.is_none() {
        writeln!(out, "{}", folder.join(sdk::VENDORED).display())?;
    }
    talk(&format!("\nnext:\n    cd {}\n    cargo test\n    fnhost dev .", folder.display()));
    Ok(())
}

/// The Cargo.toml of the first function's crate.
fn greeter(files: &Files) -> Result<String, Failure> {
    let text = files.iter().find(|(path, _)| path == Path::new("Cargo.toml")).map_or("", |(_, text)| text);
    Ok(Workspace::read(text, Path::new(""))?.crate_manifest("greeter"))
}
