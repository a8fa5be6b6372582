//! A backlog through one worker: sandboxed beside native, and what the parts of the work cost.

use std::time::Duration;

use crate::app::Stage;
use crate::asked::Asked;
use crate::measure::{median, micros_each};
use crate::orders::Backlog;
use crate::worker::{Kind, Run, run};

/// Sandboxed and native in turn, after one run of each that does not count.
pub(crate) fn throughput(stage: &Stage, asked: &Asked) {
    let backlog = Backlog { orders: asked.orders };
    println!("\n## Throughput: {} orders, {} events\n", backlog.orders, backlog.events());
    head();
    for kind in [Kind::Native, Kind::Sandboxed] {
        row("warm-up ", kind, &run(stage, kind, backlog));
    }
    let (mut ratios, mut sandboxed, mut native) = (vec![], vec![], vec![]);
    for _ in 0..asked.rounds {
        let (a, b) = (run(stage, Kind::Sandboxed, backlog), run(stage, Kind::Native, backlog));
        row("", Kind::Sandboxed, &a);
        row("", Kind::Native, &b);
        ratios.push(rate(&a) / rate(&b));
        sandboxed.push(rate(&a));
        native.push(rate(&b));
        threads(&a);
    }
    println!(
        "\nMedian: sandboxed {:.0} events/s, native {:.0} events/s, ratio by pair {:.2} ({})",
        median(&sandboxed),
        median(&native),
        median(&ratios),
        ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(", "),
    );
}

/// The same work with parts left out. What a part costs is the difference of two medians of the host's CPU time.
pub(crate) fn costs(stage: &Stage, asked: &Asked) {
    const KINDS: [Kind; 4] = [Kind::Sandboxed, Kind::SandboxedUnchecked, Kind::ReplayedUnchecked, Kind::Native];
    let backlog = Backlog { orders: asked.orders };
    println!("\n## Costs: {} orders, {} events\n", backlog.orders, backlog.events());
    head();
    let mut micros = [const { Vec::new() }; KINDS.len()];
    for _ in 0..asked.rounds {
        for (kind, micros) in KINDS.into_iter().zip(&mut micros) {
            let run = run(stage, kind, backlog);
            row("", kind, &run);
            micros.push(micros_each(run.span.host, run.events));
        }
    }
    let [all, unchecked, rest, native] = micros.map(|micros| median(&micros));
    println!("\n| part of the host's work | CPU µs an event |");
    println!("|---|---|");
    println!("| holding outputs against schemas | {:.1} |", all - unchecked);
    println!("| invocations, sandboxed | {:.1} |", unchecked - rest);
    println!("| invocations, native | {:.1} |", native - rest - (all - unchecked));
    println!("| the rest: client, worker, transactions | {rest:.1} |");
    println!("| all, sandboxed | {all:.1} |");
}

fn head() {
    println!(
        "| run | events/s | host CPU µs an event | broker CPU µs an event | wall µs an event in handlers | in commits \
         | events a transaction |"
    );
    println!("|---|---|---|---|---|---|---|");
}

fn rate(run: &Run) -> f64 {
    run.events as f64 / run.span.took.as_secs_f64()
}

fn row(before: &str, kind: Kind, run: &Run) {
    let broker = run.span.broker.map_or_else(|| "-".to_owned(), |cpu| format!("{:.1}", micros_each(cpu, run.events)));
    println!(
        "| {before}{kind:?} | {:.0} | {:.1} | {broker} | {:.1} | {:.1} | {} |",
        rate(run),
        micros_each(run.span.host, run.events),
        micros_each(run.invoking, run.events),
        micros_each(run.committing, run.events),
        run.events / run.transactions.max(1),
    );
}

/// What each thread of the host took, in µs an event, those under 0.05 left out.
fn threads(run: &Run) {
    let each = |cpu: &Duration| micros_each(*cpu, run.events);
    let threads: Vec<String> = run
        .threads
        .iter()
        .filter(|(_, cpu)| each(cpu) >= 0.05)
        .map(|(name, cpu)| format!("{name} {:.1}", each(cpu)))
        .collect();
    eprintln!("threads, µs an event: {}", threads.join(", "));
}
