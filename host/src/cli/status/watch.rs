//! `fnhost status --watch`: the same again and again, with what happened in between.
//!
//! A terminal is written over from its top left corner, and never scrolls: what does not fit is cut. Rates are differences
//! of what `/metrics` counts. Ctrl-C, and a reader of stdout that is gone, end it well.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use super::{Look, Reason, Shown, StatusArgs, look, text};
use crate::admin::metrics::list;
use crate::admin::status::{Deployments, Functions};
use crate::cli::client::{Client, pause};
use crate::cli::run::{Signals, runtime};
use crate::cli::{Failure, Format};
use crate::config;

/// Events per second, by function.
pub(super) type Rates = BTreeMap<String, f64>;

/// The size of a terminal, in characters.
#[derive(Clone, Copy)]
struct Size {
    rows: usize,
    columns: usize,
}

/// How often events of each function came to a verdict, and when that was looked up.
struct Count {
    at: Instant,
    events: BTreeMap<String, u64>,
}

/// Prints until somebody has had enough.
pub(super) fn watch(args: StatusArgs, every: Duration) -> Result<(), Failure> {
    let runtime = runtime().map_err(Failure::fault)?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(Failure::fault)?;
        let printed = tokio::task::spawn_blocking(move || print(&args, every, &mut io::stdout()));
        tokio::select! {
            () = signals.told_to_end() => Ok(()),
            printed = printed => match printed {
                Ok(ended) => ended,
                Err(error) => Err(Failure::internal(anyhow::Error::from(error).context("printing the status panicked"))),
            },
        }
    });
    // It may be in the middle of a question, which nobody waits for any more.
    runtime.shutdown_background();
    ended
}

fn print(args: &StatusArgs, every: Duration, out: &mut dyn Write) -> Result<(), Failure> {
    let client = Client::new(&args.admin)?;
    let redraws = args.format == Format::Text && io::stdout().is_terminal() && !config::is_terminal_dumb();
    let mut seen = look(&client)?;
    let mut before: Option<Count> = None;
    let mut first = true;
    loop {
        let now = count(&client);
        let rates = before.as_ref().zip(now.as_ref()).map(|(before, now)| rates(before, now)).unwrap_or_default();
        before = now;
        let Look { functions, ready, reasons } = &seen;
        match args.format {
            Format::Json => {
                let rates = (!rates.is_empty()).then_some(&rates);
                let shown = Shown { ready: *ready, reasons, functions, events_per_second: rates };
                writeln!(out, "{}", serde_json::to_string(&shown).map_err(Failure::internal)?)?;
            }
            Format::Text => {
                let text = text(functions, *ready, reasons, Some(&rates));
                match size().filter(|_| redraws) {
                    Some(size) => write!(out, "{}", screen(&text, first, size))?,
                    None if first => write!(out, "{text}")?,
                    None => write!(out, "\n{text}")?,
                }
            }
        }
        out.flush()?;
        first = false;
        pause(every)?;
        seen = look(&client).unwrap_or_else(|_| gone(&seen.functions.app, &args.admin.admin));
    }
}

/// What is known of a host that does not answer.
fn gone(app: &str, admin: &str) -> Look {
    let reason = Reason { worker: None, partition: None, reason: format!("no host answers at {admin}") };
    Look {
        functions: Functions { app: app.to_owned(), functions: Vec::new(), deployments: Deployments::default() },
        ready: false,
        reasons: vec![reason],
    }
}

/// What the host has counted by now, if it answers.
fn count(client: &Client) -> Option<Count> {
    let answer = client.get("/metrics", &[]).ok().filter(|answer| answer.status.is_success())?;
    Some(Count { at: Instant::now(), events: events(answer.text()) })
}

/// Events by function, of all verdicts.
fn events(text: &str) -> BTreeMap<String, u64> {
    let mut events = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix(list::EVENTS.name)) {
        let function = line.split_once("function=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(name, _)| name);
        let count = line.rsplit_once(' ').and_then(|(_, count)| count.parse::<u64>().ok());
        if let (Some(function), Some(count)) = (function, count) {
            *events.entry(function.to_owned()).or_default() += count;
        }
    }
    events
}

/// Of a host that was started anew meanwhile, all that it has counted.
fn rates(before: &Count, now: &Count) -> Rates {
    let seconds = now.at.saturating_duration_since(before.at).as_secs_f64().max(0.001);
    let rate = |(function, count): (&String, &u64)| {
        let was = before.events.get(function).filter(|was| *was <= count).copied().unwrap_or_default();
        // A tenth of an event is as good as a rate gets here.
        (function.clone(), ((count - was) as f64 / seconds * 10.0).round() / 10.0)
    };
    now.events.iter().map(rate).collect()
}

fn size() -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 1 && size.ws_col > 0).then(|| Size { rows: size.ws_row.into(), columns: size.ws_col.into() })
}

/// What writes `text` over the terminal: nothing is cleared before it is written over, so nothing flickers.
fn screen(text: &str, first: bool, size: Size) -> String {
    let mut screen = if first { "\x1b[2J\x1b[H" } else { "\x1b[H" }.to_owned();
    // The last row stays free for the cursor.
    for line in text.lines().take(size.rows - 1) {
        screen.extend(line.chars().take(size.columns));
        screen.push_str("\x1b[K\n");
    }
    screen.push_str("\x1b[J");
    screen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::metrics::{Metrics, Verdict};
    use crate::event::Class;

    #[test]
    fn rates_are_what_was_counted_in_between() {
        let (metrics, at) = (Metrics::new("0.1.0").unwrap(), Instant::now());
        let look = |seconds| Count { at: at + Duration::from_secs(seconds), events: events(&metrics.render()) };
        let (stock, clerk) = (metrics.function("stock"), metrics.function("clerk"));
        stock.event(Verdict::Applied);
        let before = look(0);
        for _ in 0..5 {
            stock.event(Verdict::Applied);
            stock.event(Verdict::Failed(Class::Rejected));
        }
        let now = look(4);
        assert_eq!(rates(&before, &now), [("clerk".to_owned(), 0.0), ("stock".to_owned(), 2.5)].into());
        clerk.event(Verdict::Applied);

        // The host was started anew: it counts from 0.
        let anew = Count { at: at + Duration::from_secs(8), events: [("stock".to_owned(), 8)].into() };
        assert_eq!(rates(&now, &anew), [("stock".to_owned(), 2.0)].into());
    }

    #[test]
    fn terminal_is_written_over_and_what_does_not_fit_is_cut() {
        let size = Size { rows: 4, columns: 5 };
        let first = screen("shop is ready\n\nA  B\nc  d\ne  f\n", true, size);
        insta::assert_snapshot!(first.escape_debug(), @r"\u{1b}[2J\u{1b}[Hshop \u{1b}[K\n\u{1b}[K\nA  B\u{1b}[K\n\u{1b}[J");
        assert_eq!(screen("a\n", false, size), "\x1b[Ha\x1b[K\n\x1b[J");
    }
}
