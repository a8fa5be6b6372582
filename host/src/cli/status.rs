//! `fnhost status`: whether a host is ready, and what runs on it.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use ureq::http::StatusCode;

use self::watch::Rates;
use super::client::{AdminArg, Client};
use super::{Failure, Format};
use crate::admin::status::{FunctionView, Functions, OnTrial, Reason};

mod watch;

/// Print whether a running host is ready, and its functions with version, partitions and lag
///
/// Lag is how many offsets lie before a function's group, on all hosts together. Ends with 1 when the host is not ready.
#[derive(Clone, Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    admin: AdminArg,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print it again every SECONDS, with events per second, until Ctrl-C
    ///
    /// 2 when left out. A terminal is written over; elsewhere there is a block, or a line of JSON, each time. A host that goes away
    /// is waited for.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
}

/// What keeps a host from being ready.
#[derive(Deserialize)]
struct Unready {
    #[serde(default)]
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct Shown<'a> {
    ready: bool,
    reasons: &'a [Reason],
    #[serde(flatten)]
    functions: &'a Functions,
    /// By function; not known from one look alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_per_second: Option<&'a Rates>,
}

/// What a host said.
struct Look {
    functions: Functions,
    ready: bool,
    reasons: Vec<Reason>,
}

/// Asks, and prints.
pub(super) fn status(args: StatusArgs, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(seconds) = args.watch {
        return watch::watch(args, Duration::from_secs(seconds));
    }
    let Look { functions, ready, reasons } = look(&Client::new(&args.admin)?)?;
    match args.format {
        Format::Json => {
            let shown = Shown { ready, reasons: &reasons, functions: &functions, events_per_second: None };
            writeln!(out, "{}", serde_json::to_string_pretty(&shown).map_err(Failure::internal)?)?;
        }
        Format::Text => write!(out, "{}", text(&functions, ready, &reasons, None))?,
    }
    if ready { Ok(()) } else { Err(Failure::printed()) }
}

/// Asks.
fn look(client: &Client) -> Result<Look, Failure> {
    let functions: Functions = client.get("/functions", &[])?.good()?;
    let answer = client.get("/readyz", &[])?;
    let ready = answer.status.is_success();
    let reasons = match answer.status {
        StatusCode::SERVICE_UNAVAILABLE => answer.read::<Unready>()?.reasons,
        status if status.is_success() => Vec::new(),
        _ => return Err(answer.refused()),
    };
    Ok(Look { functions, ready, reasons })
}

/// With a column of rates, when somebody watches.
fn text(functions: &Functions, ready: bool, reasons: &[Reason], rates: Option<&Rates>) -> String {
    let mut text = format!("{} is {}\n", functions.app, if ready { "ready" } else { "not ready" });
    for Reason { worker, partition, reason } in reasons {
        let who: Vec<&str> = [worker, partition].into_iter().flatten().map(String::as_str).collect();
        let colon = if who.is_empty() { "" } else { ": " };
        text.push_str(&format!("  {}{colon}{reason}\n", who.join(" ")));
    }
    for OnTrial { function, version, events_left } in &functions.deployments.on_trial {
        let version = short(version);
        text.push_str(&format!("  {function} {version} is on trial here, for {events_left} more events at most\n"));
    }
    if let Some(why) = &functions.deployments.held_up {
        text.push_str(&format!("  held up at deployment {}: {why}\n", functions.deployments.number));
    }
    if functions.functions.is_empty() {
        return text;
    }
    let head = ["FUNCTION", "VERSION", "PARTITIONS", "LAG", "EVENTS/S"].map(str::to_owned);
    let rows = functions.functions.iter().map(|view| row(view, rates));
    let mut rows: Vec<Vec<String>> = std::iter::once(head.into()).chain(rows.map(Into::into)).collect();
    if rates.is_none() {
        rows.iter_mut().for_each(|row| drop(row.pop()));
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    text.push('\n');
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = width(column).unwrap_or_default();
            // Words on the left, numbers on the right.
            text.push_str(&if column < 2 { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") });
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// Of its partitions, those that this host has; then those that are stopped.
fn row(view: &FunctionView, rates: Option<&Rates>) -> [String; 5] {
    let owned = view.partitions.iter().filter(|partition| partition.owned).count();
    let stopped = view.partitions.iter().filter(|partition| partition.stopped.is_some()).count();
    let mut partitions = format!("{owned} of {}", view.partitions.len());
    if stopped > 0 {
        partitions = format!("{stopped} stopped, {partitions}");
    }
    let version = view.version.as_deref().map_or_else(|| "none".to_owned(), short);
    let rate =
        rates.and_then(|rates| rates.get(&view.function)).map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
    [view.function.clone(), version, partitions, view.lag.to_string(), rate]
}

/// As logs have it: the digest's first digits.
fn short(version: &str) -> String {
    version.strip_prefix("sha256:").unwrap_or(version).chars().take(7).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::{Deployments, PartitionView};

    fn functions() -> Functions {
        let partition = |partition, owned, lag, stopped: Option<&str>| PartitionView {
            topic: "orders".into(),
            partition,
            owned,
            lag: Some(lag),
            stopped: stopped.map(str::to_owned),
        };
        let function = |function: &str, version: Option<&str>, partitions: Vec<PartitionView>| FunctionView {
            function: function.into(),
            version: version.map(str::to_owned),
            group: "shop".into(),
            input: vec!["orders".into()],
            lag: partitions.iter().filter_map(|p| p.lag).sum(),
            partitions,
        };
        let stock =
            vec![partition(0, true, 3, None), partition(1, false, 1200, None), partition(2, true, 0, Some("x"))];
        let functions =
            vec![function("stock", Some("sha256:0123456789abcdef"), stock), function("clerk-of-all", None, vec![])];
        Functions { app: "shop".into(), functions, deployments: Deployments::default() }
    }

    #[test]
    fn a_ready_host_is_a_table_of_its_functions() {
        insta::assert_snapshot!(text(&functions(), true, &[], None), @r"
        shop is ready

        FUNCTION      VERSION         PARTITIONS   LAG
        stock         0123456  1 stopped, 2 of 3  1203
        clerk-of-all  none                0 of 0     0
        ");
    }

    #[test]
    fn what_is_on_trial_and_what_holds_the_host_up_is_said() {
        let on_trial = OnTrial { function: "stock".into(), version: "sha256:0123456789".into(), events_left: 940 };
        let held_up = Some("deployment 8 of `clerk`: its bytes are gone".to_owned());
        let deployments = Deployments { number: 7, held_up, on_trial: vec![on_trial] };
        let text = text(&Functions { deployments, functions: Vec::new(), ..functions() }, true, &[], None);
        insta::assert_snapshot!(text, @r"
        shop is ready
          stock 0123456 is on trial here, for 940 more events at most
          held up at deployment 7: deployment 8 of `clerk`: its bytes are gone
        ");
    }

    #[test]
    fn somebody_who_watches_sees_events_per_second() {
        let rates = [("stock".to_owned(), 12.25)].into();
        insta::assert_snapshot!(text(&functions(), true, &[], Some(&rates)), @r"
        shop is ready

        FUNCTION      VERSION         PARTITIONS   LAG  EVENTS/S
        stock         0123456  1 stopped, 2 of 3  1203      12.2
        clerk-of-all  none                0 of 0     0         -
        ");
    }

    #[test]
    fn a_host_that_is_not_ready_says_why_first() {
        let worker = Some("shop.a.0".to_owned());
        let reasons = [
            Reason { worker: None, partition: None, reason: "the broker is away".into() },
            Reason { worker: worker.clone(), partition: None, reason: "restores state".into() },
            Reason { worker, partition: Some("orders[2]".into()), reason: "stopped: x".into() },
        ];
        insta::assert_snapshot!(text(&functions(), false, &reasons, None), @r"
        shop is not ready
          the broker is away
          shop.a.0: restores state
          shop.a.0 orders[2]: stopped: x

        FUNCTION      VERSION         PARTITIONS   LAG
        stock         0123456  1 stopped, 2 of 3  1203
        clerk-of-all  none                0 of 0     0
        ");
    }
}
