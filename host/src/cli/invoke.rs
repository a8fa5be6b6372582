//! `fnhost invoke`: hands one event to one function and shows what becomes of it. Nothing is kept, and no broker is asked.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::target::Target;
use super::{Failure, Format, components};
use crate::event::Header;
use crate::scenario::{self, Ended, Failed, Invocation, Line, Published, Shown};

/// Hand one event to a function, and print what becomes of it
///
/// Prints the verdict, what the function publishes and changes in its state, and what it logs. Nothing is kept, and no
/// broker is asked. Ends with 0 when the function was run, whatever became of the event.
#[derive(Debug, Args)]
pub(super) struct InvokeArgs {
    /// The function's folder, or APP/FUNCTION
    #[arg(value_name = "FUNCTION")]
    path: PathBuf,
    /// A file with the event: a CloudEvent, or written as for `fnhost test`; `-` is stdin
    #[arg(value_name = "EVENT.json")]
    event: PathBuf,
    /// The topic of an event that names none; needed when the function reads more than one
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// A file with the function's state before: [{ "key": "…", "value": … }]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// A value that holds over the function's `config` in app.toml; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    config: Vec<(String, String)>,
    /// Build the function's component first, as `fnhost build` does
    #[arg(long, env = "FNHOST_BUILD")]
    build: bool,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Where compiled components are kept from one run to the next: APP/build/compiled when left out
    #[arg(long, env = "FNHOST_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("this is no KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Invokes, and prints what becomes of the event.
pub(super) fn invoke(args: &InvokeArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let target = Target::find(&args.path)?;
    let function = target.one_function(&args.path)?;
    let (file, mut event) = open(&args.event)?;
    let app = &target.manifest.app;
    let functions = std::slice::from_ref(&function);
    components::prepare(app, functions, args.build)?;
    let build = format!("fnhost build {}, or run this with --build", app.root.display());
    let bench = components::bench(&target.manifest, functions, args.cache.clone(), &build)?;
    let invocation = Invocation {
        file,
        event: &mut event,
        topic: args.topic.as_deref(),
        state: args.state.as_deref(),
        config: &args.config,
    };
    let ended = bench.invoke(&function, invocation)?;
    let text = match args.format {
        Format::Text => text(&function.name, &ended),
        Format::Json => document(&function.name, &ended).map_err(Failure::internal)?,
    };
    Ok(writeln!(out, "{}", text.trim_end())?)
}

/// The event's file, and what faults call it.
fn open(path: &Path) -> Result<(&Path, Box<dyn Read>), Failure> {
    if path == Path::new("-") {
        return Ok((Path::new("stdin"), Box::new(io::stdin())));
    }
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()));
    let file = file.map_err(|error| Failure::fault(error).hint("name the file of an event, or `-` for stdin"))?;
    Ok((path, Box::new(file)))
}

#[derive(Serialize)]
struct Document<'a> {
    function: &'a str,
    version: String,
    verdict: &'static str,
    outputs: &'a [Published],
    changes: Vec<scenario::WrittenChange<'a>>,
    failure: Option<&'a Failed>,
    log: &'a [Line],
}

fn verdict(ended: &Ended) -> &'static str {
    if ended.ending.failure.is_some() { "failed" } else { "applied" }
}

fn document(function: &str, ended: &Ended) -> serde_json::Result<String> {
    let document = Document {
        function,
        version: ended.version.to_string(),
        verdict: verdict(ended),
        outputs: &ended.ending.outputs,
        changes: ended.ending.changes.iter().map(scenario::WrittenChange).collect(),
        failure: ended.ending.failure.as_ref(),
        log: &ended.log,
    };
    serde_json::to_string(&document).map(|json| scenario::pretty(&json))
}

/// For people: a paragraph for each thing that there is.
fn text(function: &str, ended: &Ended) -> String {
    let Ended { version, ending, log } = ended;
    let mut text = format!("{function} {}: {}", version.short(), verdict(ended));
    if let Some(Failed { failure, attempts }) = &ending.failure {
        let attempts = if *attempts > 1 { format!(" after {attempts} attempts") } else { String::new() };
        text.push_str(&format!("{attempts}, {}\n  {}", failure.class, failure.reason));
    }
    for output in &ending.outputs {
        text.push_str(&format!("\n\noutput to {}", output.topic.as_deref().unwrap_or_default()));
        text.push_str(&format!("\n  key: {}", shown(output.key.as_deref(), 2)));
        for Header { name, value } in &output.headers {
            text.push_str(&format!("\n  header {name}: {}", shown(value.as_deref(), 2)));
        }
        text.push_str(&format!("\n  value: {}", shown(output.value.as_deref(), 2)));
    }
    if !ending.changes.is_empty() {
        text.push_str("\n\nstate");
    }
    for (key, value) in &ending.changes {
        text.push_str(&format!("\n  {} = {}", shown(Some(key), 2), changed(value.as_deref())));
    }
    if !log.is_empty() {
        text.push_str("\n\nlog");
    }
    for line in log {
        text.push_str(&format!("\n  {line}"));
    }
    text
}

fn changed(value: Option<&[u8]>) -> String {
    if value.is_none() { "deleted".to_owned() } else { shown(value, 2) }
}

/// Bytes for people, whose lines but the first are moved in.
fn shown(bytes: Option<&[u8]>, indent: usize) -> String {
    let text = match Shown::of(bytes) {
        Shown::Null => "null".to_owned(),
        Shown::Document(json) => scenario::pretty(&json),
        Shown::Text(text) => {
            text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect()
        }
        Shown::Base64(text) => format!("{text} (Base64)"),
    };
    text.replace('\n', &format!("\n{}", " ".repeat(indent)))
}
