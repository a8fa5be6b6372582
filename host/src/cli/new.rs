//! `fnhost new`: an app, or one more function in it, that builds, passes its tests and runs as it is.
//!
//! What is written are the texts in `new/templates`, with what stands in double braces filled in. A folder appears whole
//! or not at all, and nothing that is there is written over but `app.toml` and the workspace's Cargo.toml, to which a new
//! function is added; comments and order in them stay. Whether an app.toml would be sound is asked of the manifest itself,
//! before anything is written. Where the SDK comes from is in [`sdk`].

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::Failure;
use crate::app::fault::Faults;

mod app;
mod declare;
mod function;
mod name;
mod scenario;
mod sdk;
mod workspace;

#[cfg(test)]
mod tests;

/// Make an app, or a function in one, that builds and runs as it is
#[derive(Debug, Args)]
pub(super) struct NewArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    App(AppArgs),
    Function(FunctionArgs),
}

/// Make a folder with an app: a route, a function with its tests, and all that it takes to build it
///
/// Inside fnhost's own repository functions are written with the SDK that is there. Elsewhere the SDK of this fnhost is put
/// into the app's folder, so that the two always fit.
#[derive(Debug, Args)]
struct AppArgs {
    /// The app's name, and its folder's; with a path before it, in that folder
    #[arg(value_name = "NAME")]
    path: PathBuf,
}

/// Add a function to the app in this folder or above it
///
/// Makes its crate in a folder of its name beside app.toml, and adds `[functions.NAME]`, the topics that are not there yet,
/// and the crate's place in the Cargo workspace.
#[derive(Debug, Args)]
struct FunctionArgs {
    /// The function's name, and its crate's and folder's
    name: String,
    /// A topic that it reads; may be given again. One of the function's name when left out
    #[arg(long, value_name = "TOPIC")]
    input: Vec<String>,
    /// A topic that it publishes to; may be given again. None when left out
    #[arg(long, value_name = "TOPIC")]
    output: Vec<String>,
    /// What it is written in: rust
    #[arg(long, value_name = "LANG", default_value = "rust")]
    lang: Lang,
}

/// What functions can be written in from a template.
#[derive(Clone, Copy, Debug)]
enum Lang {
    Rust,
}

impl FromStr for Lang {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "rust" => Ok(Self::Rust),
            _ => Err("there is a template for rust; in any other language, build a component of the contract \
                      fnhost:function yourself, and name its file in app.toml: source = \"NAME.wasm\""
                .to_owned()),
        }
    }
}

/// Texts by where they go, relative to a folder.
type Files = Vec<(PathBuf, String)>;

/// Makes it, and prints what was written.
pub(super) fn new(args: &NewArgs, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.verb {
        Verb::App(args) => app::app(args, out),
        Verb::Function(args) => function::function(args, out),
    }
}

/// A template with its blanks filled in.
fn fill(template: &str, blanks: &[(&str, &str)]) -> String {
    blanks.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

/// The folder that holds it.
fn parent(folder: &Path) -> &Path {
    folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or_else(|| Path::new("."))
}

/// Refuses a folder that holds something.
fn is_free(folder: &Path) -> Result<(), Failure> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => {
            let error = anyhow::anyhow!("{} is there already, and is no empty folder", folder.display());
            Err(Failure::fault(error).hint("take another name, or move it away: nothing is written over"))
        }
    }
}

/// Writes files into a folder that appears whole or not at all. `check` has the last word, on the folder as it will be.
fn write(folder: &Path, files: &Files, check: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let write = || {
        let hidden = tempfile::Builder::new().prefix(".fnhost-new-").tempdir_in(parent(folder))?;
        let whole = hidden.path().join("whole");
        for (path, text) in files {
            let file = whole.join(path);
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(file, text)?;
        }
        format(&whole, files);
        Ok::<_, io::Error>((whole, hidden))
    };
    let cannot = || format!("{} cannot be written", folder.display());
    let unwritten = |error| Failure::unwritten(error, parent(folder));
    let (whole, _hidden) = write().with_context(cannot).map_err(unwritten)?;
    check(&whole)?;
    fs::rename(&whole, folder).with_context(cannot).map_err(unwritten)
}

/// Lays Rust out as rustfmt does for where it lies: how long lines are depends on names, and on the settings there. Without
/// rustfmt it stays as it is in the templates. The SDK's sources stay as they are.
fn format(folder: &Path, files: &Files) {
    let is_ours = |path: &&PathBuf| path.extension().is_some_and(|end| end == "rs") && !path.starts_with(sdk::VENDORED);
    let sources = files.iter().map(|(path, _)| path).filter(is_ours).map(|path| folder.join(path));
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024"]).args(sources);
    rustfmt.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
}

/// What is wrong with an app.toml that was about to be written: its places are in no file yet, so they are left out.
fn refused(faults: &Faults) -> Failure {
    let Some(fault) = faults.iter().next() else {
        return Failure::internal(anyhow::anyhow!("an app.toml was refused without a reason"));
    };
    let failure = Failure::fault(anyhow::anyhow!("{}", fault.message));
    match fault.hint.as_ref().or(fault.note.as_ref()) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
