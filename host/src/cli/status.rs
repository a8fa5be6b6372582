//! `fnhost status`: whether a host is ready, and what runs on it.

use std::io::Write;

use clap::Args;
use serde::{Deserialize, Serialize};
use ureq::http::StatusCode;

use super::client::{AdminArg, Client};
use super::{Failure, Format};
use crate::admin::status::{FunctionView, Functions, Reason};

/// Print whether a running host is ready, and its functions with version, partitions and lag
///
/// Lag is how many offsets lie before a function's group, on all hosts together. Ends with 1 when the host is not ready.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    admin: AdminArg,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
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
}

/// Asks, and prints.
pub(super) fn status(args: &StatusArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let client = Client::new(&args.admin)?;
    let functions: Functions = client.get("/functions", &[])?.good()?;
    let answer = client.get("/readyz", &[])?;
    let ready = answer.status.is_success();
    let reasons = match answer.status {
        StatusCode::SERVICE_UNAVAILABLE => answer.read::<Unready>()?.reasons,
        status if status.is_success() => Vec::new(),
        _ => return Err(answer.refused()),
    };
    match args.format {
        Format::Json => {
            let shown = Shown { ready, reasons: &reasons, functions: &functions };
            writeln!(out, "{}", serde_json::to_string_pretty(&shown).map_err(Failure::internal)?)?;
        }
        Format::Text => write!(out, "{}", text(&functions, ready, &reasons))?,
    }
    if ready { Ok(()) } else { Err(Failure::printed()) }
}

fn text(functions: &Functions, ready: bool, reasons: &[Reason]) -> String {
    let mut text = format!("{} is {}\n", functions.app, if ready { "ready" } else { "not ready" });
    for Reason { worker, partition, reason } in reasons {
        let who: Vec<&str> = [worker, partition].into_iter().flatten().map(String::as_str).collect();
        let colon = if who.is_empty() { "" } else { ": " };
        text.push_str(&format!("  {}{colon}{reason}\n", who.join(" ")));
    }
    let head = ["FUNCTION", "VERSION", "PARTITIONS", "LAG"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(functions.functions.iter().map(row)).collect();
    let width = |column: fn(&[String; 4]) -> &String| rows.iter().map(|row| column(row).chars().count()).max();
    let widths = (width(|[a, ..]| a), width(|[_, b, ..]| b), width(|[_, _, c, _]| c), width(|[.., d]| d));
    let (a, b, c, d) = (
        widths.0.unwrap_or_default(),
        widths.1.unwrap_or_default(),
        widths.2.unwrap_or_default(),
        widths.3.unwrap_or_default(),
    );
    text.push('\n');
    for [function, version, partitions, lag] in &rows {
        text.push_str(&format!("{function:<a$}  {version:<b$}  {partitions:>c$}  {lag:>d$}\n"));
    }
    text
}

/// Of its partitions, those that this host has; then those that are stopped.
fn row(view: &FunctionView) -> [String; 4] {
    let owned = view.partitions.iter().filter(|partition| partition.owned).count();
    let stopped = view.partitions.iter().filter(|partition| partition.stopped.is_some()).count();
    let mut partitions = format!("{owned} of {}", view.partitions.len());
    if stopped > 0 {
        partitions = format!("{stopped} stopped, {partitions}");
    }
    // As logs have it: the digest's first digits.
    let version = view.version.as_deref().map_or("none", |version| version.strip_prefix("sha256:").unwrap_or(version));
    [view.function.clone(), version.chars().take(7).collect(), partitions, view.lag.to_string()]
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
        insta::assert_snapshot!(text(&functions(), true, &[]), @r"
        shop is ready

        FUNCTION      VERSION         PARTITIONS   LAG
        stock         0123456  1 stopped, 2 of 3  1203
        clerk-of-all  none                0 of 0     0
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
        insta::assert_snapshot!(text(&functions(), false, &reasons), @r"
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
