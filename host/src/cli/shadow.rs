//! `fnhost shadow`: what a candidate beside the active version would have done, and its end.

use std::io::Write;

use clap::Args;

use super::client::{AdminArg, Client};
use super::{Failure, Format, deploy};
use crate::admin::deployments::{Changed, Known, ShadowView, Took};

/// Print what a candidate beside the active version would have done, or make it the active version, or take it away
///
/// `fnhost deploy --shadow` puts a candidate there: on every host it handles the same events from the same state, and what it does goes
/// nowhere. Counts and examples are of the host that is asked, since the candidate came to it.
#[derive(Debug, Args)]
pub(super) struct ShadowArgs {
    /// The function
    #[arg(value_name = "FUNCTION", value_parser = deploy::name)]
    function: String,
    /// Have every host handle its next batch with this candidate, by the first digits of its digest
    #[arg(long, value_name = "DIGEST", conflicts_with = "discard", value_parser = deploy::digits)]
    promote: Option<String>,
    /// Take this candidate away
    #[arg(long, value_name = "DIGEST", value_parser = deploy::digits)]
    discard: Option<String>,
    /// What is to be said of it as the active version; what was said of the candidate when left out
    #[arg(long, value_name = "TEXT", requires = "promote", value_parser = deploy::note)]
    note: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    admin: AdminArg,
}

/// Asks, and prints.
pub(super) fn shadow(args: &ShadowArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let client = Client::new(&args.admin)?;
    let path = format!("/functions/{}/shadow", args.function);
    if let Some(version) = args.promote.as_ref().or(args.discard.as_ref()) {
        let note = args.note.iter().map(|note| ("note", note.as_str()));
        let asked: Vec<(&str, &str)> = [("version", version.as_str())].into_iter().chain(note).collect();
        let answer = match args.promote {
            Some(_) => client.upload(&format!("{path}/promote"), &asked, &[], &[])?,
            None => client.delete(&path, &asked)?,
        };
        let changed: Changed = answer.good()?;
        return deploy::print(&changed, args.format, out);
    }
    let view: ShadowView = client.get(&path, &[])?.good()?;
    match args.format {
        Format::Json => Ok(writeln!(out, "{}", serde_json::to_string_pretty(&view).map_err(Failure::internal)?)?),
        Format::Text => Ok(write!(out, "{}", text(&view))?),
    }
}

fn text(view: &ShadowView) -> String {
    let candidate = &view.candidate;
    let mut text =
        format!("{}: {} is beside the active version, since {}", view.function, candidate.digest.short(), candidate.at);
    if !candidate.note.is_empty() {
        text.push_str(&format!(": {}", candidate.note));
    }
    text.push('\n');
    let Some(known) = &view.here else {
        text.push_str("it does not run on this host (yet); the host's log says why\n");
        return text;
    };
    let Known { events, same, passed_over, cut_short, .. } = known;
    let why = |count: u64, why: &'static str| if count > 0 { why } else { "" };
    let rows = [
        ("events", events, ""),
        ("  the same", same, ""),
        ("  another verdict", &known.verdict, ""),
        ("  other outputs", &known.outputs, ""),
        ("  other state", &known.state, ""),
        ("passed over", passed_over, why(*passed_over, "  (it would have held up the active version)")),
        ("cut short", cut_short, why(*cut_short, "  (it took longer than the active version could wait)")),
    ];
    text.push('\n');
    for (what, count, why) in rows {
        text.push_str(&format!("{what:<18} {count:>10}{why}\n"));
    }
    text.push_str(&format!("\n{:<18} {:>10} {:>10} {:>10}\n", "TIME", "P50", "P99", "MAX"));
    for (who, Took { p50_us, p99_us, max_us }) in [("active", known.active_took), ("candidate", known.candidate_took)] {
        let micros = [p50_us, p99_us, max_us].map(|micros| format!("{micros:.1} µs"));
        text.push_str(&format!("{who:<18} {:>10} {:>10} {:>10}\n", micros[0], micros[1], micros[2]));
    }
    for example in &known.examples {
        text.push_str(&format!(
            "\n{}[{}] at {}: {}\n  active     {}\n  candidate  {}\n",
            example.topic, example.partition, example.offset, example.differ_in, example.active, example.candidate
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::deployments::{ExampleView, VersionView};
    use crate::event::Digest;

    fn view(here: Option<Known>) -> ShadowView {
        let candidate = VersionView {
            digest: Digest::of(b"candidate"),
            active: false,
            bytes: 1234,
            at: "2026-11-21T18:00:00.000Z".into(),
            note: "half the time".into(),
            failed: None,
        };
        ShadowView { function: "stock".into(), candidate, here }
    }

    #[test]
    fn what_is_known_of_a_candidate_is_counts_times_and_examples() {
        let example = ExampleView {
            topic: "orders".into(),
            partition: 3,
            offset: 41,
            differ_in: "outputs".into(),
            active: "output 1 to `stock`, /data/left: 7".into(),
            candidate: "output 1 to `stock`, /data/left: 8".into(),
        };
        let known = Known {
            events: 1000,
            same: 990,
            verdict: 0,
            outputs: 10,
            state: 0,
            passed_over: 12,
            cut_short: 3,
            active_took: Took { p50_us: 30.0, p99_us: 55.55, max_us: 1200.0 },
            candidate_took: Took { p50_us: 15.2, p99_us: 28.0, max_us: 900.0 },
            examples: vec![example],
        };
        insta::assert_snapshot!(text(&view(Some(known))), @r#"
    stock: dda18a0 is beside the active version, since 2026-11-21T18:00:00.000Z: half the time

    events                   1000
      the same                990
      another verdict           0
      other outputs            10
      other state               0
    passed over                12  (it would have held up the active version)
    cut short                   3  (it took longer than the active version could wait)

    TIME                      P50        P99        MAX
    active                30.0 µs    55.5 µs  1200.0 µs
    candidate             15.2 µs    28.0 µs   900.0 µs

    orders[3] at 41: outputs
      active     output 1 to `stock`, /data/left: 7
      candidate  output 1 to `stock`, /data/left: 8
    "#);
    }

    #[test]
    fn a_candidate_that_does_not_run_here_says_so() {
        insta::assert_snapshot!(text(&view(None)), @r#"
    stock: dda18a0 is beside the active version, since 2026-11-21T18:00:00.000Z: half the time
    it does not run on this host (yet); the host's log says why
    "#);
    }
}
