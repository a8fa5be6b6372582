//! `fnhost events tail`: a topic's events, page by page, as the host reads them.
//!
//! Following is asking again from where the last page ended. A broker that is away is waited for while following, a host
//! that is gone is not. Ctrl-C, and a reader of stdout that is gone, end it well.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use ureq::http::StatusCode;

use super::TailArgs;
use super::line::{self, Width};
use crate::admin::events::{PAGE_EVENTS_MAX, Start};
use crate::cli::client::{Client, pause};
use crate::cli::run::{Signals, runtime};
use crate::cli::{Failure, Format, talk};

/// How long to wait before asking for what was not there.
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Deserialize)]
struct Page {
    events: Vec<Box<RawValue>>,
    next: String,
    more: bool,
}

/// Prints until all is printed, or somebody has had enough.
pub(super) fn tail(args: TailArgs) -> Result<(), Failure> {
    let runtime = runtime().map_err(Failure::fault)?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(Failure::fault)?;
        let printed = tokio::task::spawn_blocking(move || print(&args, &mut io::stdout()));
        tokio::select! {
            () = signals.told_to_end() => Ok(()),
            printed = printed => match printed {
                Ok(ended) => ended,
                Err(error) => Err(Failure::internal(anyhow::Error::from(error).context("printing events panicked"))),
            },
        }
    });
    // It may be in the middle of a question, which nobody waits for any more.
    runtime.shutdown_background();
    ended
}

fn print(args: &TailArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let client = Client::new(&args.admin)?;
    let path = format!("/events/{}", args.topic);
    let beginning = if args.follow && args.since.is_none() { Start::Latest } else { Start::Earliest };
    let since = args.since.map(|at| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis().to_string());
    let mut from = args.from.as_ref().unwrap_or(&beginning).to_string();
    let width = if args.full { Width::Full } else { Width::of_stdout() };
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut said = false;
    while left > 0 {
        let limit = left.min(PAGE_EVENTS_MAX as u64).to_string();
        let mut parameters = vec![("from", from.as_str()), ("limit", &limit)];
        parameters.extend(args.key.as_deref().map(|key| ("key", key)));
        parameters.extend(since.as_deref().map(|since| ("since", since)));
        let answer = client.get(&path, &parameters)?;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE && args.follow {
            if !said {
                talk("waiting for the broker");
            }
            said = true;
            pause(PAUSE)?;
            continue;
        }
        said = false;
        let page: Page = answer.good()?;
        for event in &page.events {
            match args.format {
                Format::Json => writeln!(out, "{}", event.get())?,
                Format::Text => {
                    let line = line::of(event.get(), width).context("the host's answer cannot be read");
                    writeln!(out, "{}", line.map_err(Failure::fault)?)?;
                }
            }
        }
        out.flush()?;
        left -= u64::try_from(page.events.len()).unwrap_or(left).min(left);
        from = page.next;
        if !page.more && !args.follow {
            break;
        }
        if page.events.is_empty() || !page.more {
            pause(PAUSE)?;
        }
    }
    Ok(())
}
