//! `fnhost events`: what is on a running host's topics, and one event more.

use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand};

use super::client::AdminArg;
use super::{Failure, Format};
use crate::admin::events::Start;

mod line;
mod send;
mod tail;

/// Print the events of a topic, or send some, through a running host
///
/// Works on whatever broker the host has. Only the topics of its app are there, and to be read its changelogs.
#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Tail(TailArgs),
    Send(SendArgs),
}

/// Print the committed events of a topic, a line each: time, partition@offset, key, value
///
/// Ends when all that is there was printed; with --follow, at Ctrl-C.
#[derive(Debug, Args)]
struct TailArgs {
    /// The topic
    #[arg(value_name = "TOPIC", value_parser = topic)]
    topic: String,
    /// Where to begin: `earliest`, `latest`, an offset for every partition, or PARTITION:OFFSET,…
    ///
    /// `earliest` when left out, with --follow and no --since `latest`.
    #[arg(long, value_name = "PLACE")]
    from: Option<Start>,
    /// Only events from this time on: `10m` ago, or 2026-11-21T10:00:00Z. What is older is read over, from --from on
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<SystemTime>,
    /// Print what comes later too, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only events with this key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// At most this many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Whole lines, headers too. Without it a line ends with the terminal, elsewhere after 200 characters
    #[arg(long)]
    full: bool,
    /// How they are printed: as JSON, a line each, as `events send` takes them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    admin: AdminArg,
}

/// Send events to a topic
///
/// FILE holds events as `events tail --format json` prints them, or CloudEvents, whose subject becomes the key: one
/// document, a list, or one document after the other. All are read before the first is sent; they are sent in order, and
/// none after one that failed. What they say of topic, partition, offset and time is not looked at.
#[derive(Debug, Args)]
struct SendArgs {
    /// The topic
    #[arg(value_name = "TOPIC", value_parser = topic)]
    topic: String,
    /// The events; `-` is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key of each, whatever the file says
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A header more for each; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// How it is printed where they lie: as JSON, a line each
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    admin: AdminArg,
}

/// A time, or how long ago it was.
fn since(text: &str) -> Result<SystemTime, String> {
    let ago = humantime::parse_duration(text).ok().and_then(|ago| SystemTime::now().checked_sub(ago));
    ago.or_else(|| humantime::parse_rfc3339_weak(text).ok())
        .ok_or_else(|| "it is to be how long ago, such as 10m, or a time such as 2026-11-21T10:00:00Z".to_owned())
}

fn topic(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match (1..=249).contains(&text.len()) && text.chars().all(legal) && !matches!(text, "." | "..") {
        true => Ok(text.to_owned()),
        false => Err("a topic's name has letters, digits, `.`, `_` and `-`".to_owned()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("this is no NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Prints events, or sends some.
pub(super) fn events(args: EventsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    match args.verb {
        Verb::Tail(args) => tail::tail(args),
        Verb::Send(args) => send::send(&args, out),
    }
}
