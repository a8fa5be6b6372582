//! `fnhost deploy`, `rollback`, `versions` and `remove`: which version of a function every host of an app runs.
//!
//! All four ask the admin listener of any one host, which writes to the app's deployments topic; every host follows that.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::client::{AdminArg, Client};
use super::{Failure, Format, talk, test};
use crate::admin::deployments::{COMPONENT_BYTES_MAX, Changed, NOTE_RULE, Rollback, View, content_digest, is_note};
use crate::event::Digest;

/// How long a deployment may take: a language runtime takes a minute to compile where little else does.
const DEPLOY_WITHIN: Duration = Duration::from_secs(180);

/// Have every host handle its next batch with this component
///
/// The component is compiled, linked and instantiated before anything is changed, and nothing that reaches more than the active
/// version is taken unasked. The swap needs no restart: a batch that is open keeps the version that it began with.
#[derive(Debug, Args)]
pub(super) struct DeployArgs {
    /// The function
    #[arg(value_name = "FUNCTION", value_parser = name)]
    function: String,
    /// The component
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// What is to be said of it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = note)]
    note: String,
    /// Run the function's scenarios through it first: the app's folder, or the function's
    #[arg(long, value_name = "APP|FUNCTION")]
    scenarios: Option<PathBuf>,
    /// Take it although it reaches more than the active version, or calls itself something else
    #[arg(long)]
    allow_wider: bool,
    /// Run it beside the active version, which stays: what it does goes nowhere, and `fnhost shadow` shows what differs
    #[arg(long)]
    shadow: bool,
    /// Go through every step and change nothing
    #[arg(long)]
    dry_run: bool,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    admin: AdminArg,
}

/// Have every host go back to a version that was active before
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The function
    #[arg(value_name = "FUNCTION", value_parser = name)]
    function: String,
    /// The version, by the first digits of its digest; the one that was active before when left out
    #[arg(value_name = "DIGEST", value_parser = digits)]
    version: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    admin: AdminArg,
}

/// Print what was deployed of a function, the version last made active first
#[derive(Debug, Args)]
pub(super) struct VersionsArgs {
    /// The function
    #[arg(value_name = "FUNCTION", value_parser = name)]
    function: String,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    admin: AdminArg,
}

/// Forget what was deployed of a function: every host runs the app's own component again
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The function
    #[arg(value_name = "FUNCTION", value_parser = name)]
    function: String,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    admin: AdminArg,
}

/// A name that can stand in a path.
pub(super) fn name(text: &str) -> Result<String, String> {
    match crate::app::manifest::is_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("a function's name is {}", crate::app::manifest::NAME_RULE)),
    }
}

/// What can be said of a version.
pub(super) fn note(text: &str) -> Result<String, String> {
    match is_note(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("a note is {NOTE_RULE}")),
    }
}

/// The first digits of a digest.
pub(super) fn digits(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    match !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        true => Ok(text.to_owned()),
        false => Err("a version is told by the first hexadecimal digits of its digest".to_owned()),
    }
}

/// Deploys.
pub(super) fn deploy(args: &DeployArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let client = Client::patient(&args.admin, DEPLOY_WITHIN)?;
    let wasm = read(&args.file)?;
    let digest = Digest::of(&wasm);
    if let Some(path) = &args.scenarios {
        test::through(path, &args.function, &args.file, &mut io::stderr())?;
    }
    talk(&format!(
        "{} is {}, {} bytes; the host compiles and checks it",
        args.file.display(),
        digest.short(),
        wasm.len()
    ));
    let flag = |set: bool| if set { "true" } else { "false" };
    let asked = [
        ("note", args.note.as_str()),
        ("allow-wider", flag(args.allow_wider)),
        ("dry-run", flag(args.dry_run)),
        ("shadow", flag(args.shadow)),
    ];
    let headers = [("content-type", "application/wasm"), ("content-digest", &content_digest(digest))];
    let path = format!("/functions/{}/versions", args.function);
    let changed: Changed = client.upload(&path, &asked, &headers, &wasm)?.good()?;
    print(&changed, args.format, out)
}

fn read(file: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let of_file = |error| {
        let error = anyhow::Error::from(error).context(format!("{} cannot be read", file.display()));
        Failure::fault(error).hint("it is to be a component's file: fnhost build APP makes them, in APP/build")
    };
    let bytes = std::fs::metadata(file).map_err(of_file)?.len();
    if usize::try_from(bytes).map_or(true, |bytes| bytes > COMPONENT_BYTES_MAX) {
        let error = anyhow::anyhow!("{} has {bytes} bytes, and {COMPONENT_BYTES_MAX} are the most", file.display());
        return Err(Failure::fault(error).hint("leave debug data out: [profile.release] strip = true"));
    }
    std::fs::read(file).map_err(of_file)
}

/// Rolls back.
pub(super) fn rollback(args: &RollbackArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let asked = serde_json::to_string(&Rollback { version: args.version.clone() }).map_err(Failure::internal)?;
    let path = format!("/functions/{}/rollback", args.function);
    let changed: Changed = Client::new(&args.admin)?.post(&path, &asked)?.good()?;
    print(&changed, args.format, out)
}

/// Forgets.
pub(super) fn remove(args: &RemoveArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let changed: Changed =
        Client::new(&args.admin)?.delete(&format!("/functions/{}/versions", args.function), &[])?.good()?;
    print(&changed, args.format, out)
}

/// Lists.
pub(super) fn versions(args: &VersionsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let view: View = Client::new(&args.admin)?.get(&format!("/functions/{}/versions", args.function), &[])?.good()?;
    match args.format {
        Format::Json => Ok(writeln!(out, "{}", serde_json::to_string_pretty(&view).map_err(Failure::internal)?)?),
        Format::Text => Ok(write!(out, "{}", listed(&view))?),
    }
}

pub(super) fn print(changed: &Changed, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    match format {
        Format::Json => Ok(writeln!(out, "{}", serde_json::to_string_pretty(changed).map_err(Failure::internal)?)?),
        Format::Text => Ok(write!(out, "{}", told(changed))?),
    }
}

fn told(changed: &Changed) -> String {
    let named = |digest: Option<Digest>| digest.map_or_else(|| "the app's own component".to_owned(), |d| d.short());
    let Changed { function, number, was, active, shadow, discarded, called, wider, narrower, state_format } = changed;
    let mut text = String::new();
    if let Some(called) = called {
        text.push_str(&format!("it calls itself {called}, and the version before calls itself something else\n"));
    }
    for (what, grants) in [("now reaches", wider), ("no longer reaches", narrower)] {
        if !grants.is_empty() {
            text.push_str(&format!("it {what} {}\n", grants.join(", ")));
        }
    }
    if let Some(format) = state_format {
        text.push_str(&format!(
            "its state has format {format}, another one than that of the active version: it may not read what that wrote, and nobody goes \
             back by himself if it fails\n"
        ));
    }
    if let Some(discarded) = discarded {
        let is = if number.is_some() { "is" } else { "would be" };
        text.push_str(&format!("{}, the candidate that was beside it, {is} given up\n", discarded.short()));
    }
    let change = match shadow {
        Some(shadow) if active.is_none() || active == was => {
            format!("{function} {}, and {} beside it", named(active.or(*was)), shadow.short())
        }
        None if was == active => format!("{function} {}, and nothing beside it", named(*active)),
        _ => format!("{function} {} -> {}", named(*was), named(*active)),
    };
    text.push_str(&match number {
        Some(number) => format!("deployment {number}: {change}\n"),
        None => format!("nothing is in the way of {change}\n"),
    });
    text
}

fn listed(view: &View) -> String {
    let active = view.active.map_or_else(|| "none".to_owned(), |digest| digest.short());
    if view.versions.is_empty() && view.shadow.is_none() {
        return format!("{}: {active} runs, as the app came with it; nothing was deployed\n", view.function);
    }
    let mut text = format!("{}: {active} runs on this host\n\n", view.function);
    text.push_str("  VERSION  DEPLOYED                       BYTES  NOTE\n");
    for version in &view.versions {
        let mark = if version.active { '*' } else { ' ' };
        let failed = version.failed.as_ref().map(|why| format!("failed: {why}"));
        let note = [failed.unwrap_or_default(), version.note.clone()];
        let note: Vec<&str> = note.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        let line =
            format!("{mark} {}  {:<24} {:>11}  {}", version.digest.short(), version.at, version.bytes, note.join("; "));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if let Some(shadow) = &view.shadow {
        let (candidate, function) = (shadow.digest.short(), &view.function);
        text.push_str(&format!("\n{candidate} is beside it, and counts for nothing: fnhost shadow {function}\n"));
    }
    text
}
