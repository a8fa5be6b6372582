//! `fnhost check`: everything about an app that can be judged without a broker.
//!
//! The manifest, the schemas, and each function's component, loaded by the sandbox as a host would load it. All that is
//! wrong is shown in one run; a component's fault points at the `source` of its function.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::{AppArg, Failure, Format, components};
use crate::app::Function;
use crate::app::fault::{Fault, Faults};
use crate::app::manifest::{self, Manifest};
use crate::event::Digest;
use crate::invocation::Handler;
use crate::sandbox::{Options, Sandbox};

/// Check an app: its manifest, its schemas, and each component against the contract
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    app: AppArg,
    /// Print every value that holds, defaults too, as an app.toml
    #[arg(long)]
    explain: bool,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Where compiled components are kept from one start to the next. Not kept when left out
    #[arg(long, env = "FNHOST_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// A component that loads.
struct Loaded {
    function: Arc<Function>,
    digest: Digest,
    bytes: u64,
    file: PathBuf,
}

/// Checks, and prints what there is.
pub(super) fn check(args: &CheckArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let checked = manifest::read(&args.app.path).map_err(Failure::from).and_then(|manifest| {
        let loaded = load_all(&manifest, &args.app.path, args.cache.clone());
        if args.explain && args.format == Format::Text {
            writeln!(out, "{}", manifest.explain().trim_end())?;
        }
        Ok((loaded?, manifest))
    });
    match (checked, args.format) {
        (Ok((loaded, manifest)), Format::Json) => Ok(writeln!(out, "{:#}", as_json(&loaded, &manifest, args.explain))?),
        (Ok((loaded, _)), Format::Text) => print(&loaded, args.explain, out),
        (Err(failure), Format::Json) => match failure.faults() {
            Some(faults) => {
                writeln!(out, "{:#}", json!({ "faults": faults.iter().map(fault_as_json).collect::<Vec<_>>() }))?;
                Err(Failure::printed())
            }
            None => Err(failure),
        },
        (Err(failure), Format::Text) => Err(failure),
    }
}

/// Compiles the schemas and loads each component.
fn load_all(manifest: &Manifest, path: &Path, cache: Option<PathBuf>) -> Result<Vec<Loaded>, Failure> {
    let mut faults: Vec<Fault> = match components::schemas(manifest) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().cloned().collect(),
    };
    let sandbox = Sandbox::new(&Options { cache, ..Options::default() }).map_err(Failure::fault)?;
    let mut loaded = Vec::new();
    for function in &manifest.app.functions {
        match load(&sandbox, manifest, function, path) {
            Ok(component) => loaded.push(component),
            Err(fault) => faults.push(fault),
        }
    }
    Faults::new(faults).map_or(Ok(loaded), |faults| Err(faults.into()))
}

fn load(sandbox: &Arc<Sandbox>, manifest: &Manifest, function: &Arc<Function>, path: &Path) -> Result<Loaded, Fault> {
    let file = manifest.app.component_file(function);
    let version = components::load(sandbox, manifest, function, &format!("fnhost build {}", path.display()))?;
    let bytes = std::fs::metadata(&file).map(|meta| meta.len()).unwrap_or_default();
    Ok(Loaded { function: Arc::clone(function), digest: version.digest(), bytes, file })
}

/// A line a function; as comments when they follow an `app.toml`.
fn print(loaded: &[Loaded], explain: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let width = loaded.iter().map(|l| l.function.name.len()).max().unwrap_or_default();
    let comment = if explain { "# function " } else { "" };
    for Loaded { function, digest, bytes, .. } in loaded {
        let (name, input, output) = (&function.name, function.input.join(", "), function.output.join(", "));
        let arrow = if output.is_empty() { String::new() } else { format!(" -> {output}") };
        writeln!(out, "{comment}{name:<width$}  {}  {bytes:>9} bytes  {input}{arrow}", digest.short())?;
    }
    Ok(())
}

fn as_json(loaded: &[Loaded], manifest: &Manifest, explain: bool) -> Value {
    let function = |l: &Loaded| {
        json!({
            "name": l.function.name,
            "version": l.digest.to_string(),
            "bytes": l.bytes,
            "file": l.file.display().to_string(),
            "group": manifest.app.group_of(&l.function),
            "input": l.function.input.iter().map(|topic| &**topic).collect::<Vec<_>>(),
            "output": l.function.output.iter().map(|topic| &**topic).collect::<Vec<_>>(),
        })
    };
    let functions: Vec<Value> = loaded.iter().map(function).collect();
    let mut json = json!({ "app": manifest.app.name, "functions": functions, "faults": [] });
    if let (true, Some(members)) = (explain, json.as_object_mut()) {
        members.insert("manifest".to_owned(), manifest.explain().into());
    }
    json
}

/// A fault, as a JSON document has it.
pub(super) fn fault_as_json(fault: &Fault) -> Value {
    let spot = fault.place.as_ref().and_then(|place| place.spot.as_ref());
    json!({
        "message": fault.message,
        "file": fault.place.as_ref().map(|place| place.file.display().to_string()),
        "line": spot.map(|spot| spot.line),
        "column": spot.map(|spot| spot.column),
        "note": fault.note,
        "hint": fault.hint,
    })
}
