//! A backlog through one worker: sandboxed beside native, on Kafka beside the embedded broker, and what the parts of the
//! work cost. The embedded broker works within the process, so its CPU time is in the host's.

use std::time::Duration;

use crate::app::Stage;
use crate::asked::Asked;
use crate::ground::On;
use crate::measure::{median, micros_each};
use crate::orders::Backlog;
use crate::worker::{Kind, Run, run};

/// Sandboxed and native on Kafka and sandboxed on the embedded broker in turn, after one run of each that does not count.
pub(crate) fn throughput(stage: &Stage, asked: &Asked) {
    let backlog = Backlog { orders: asked.orders, sampled_of: None };
    println!("\n## Throughput: {} orders, {} events\n", backlog.orders, backlog.events());
    head();
    let told = |before, on, kind| {
        let run = run(stage, on, kind, backlog);
        row(before, on, kind, &run);
        run
    };
    told("warm-up ", On::Kafka, Kind::Native);
    told("warm-up ", On::Kafka, Kind::Sandboxed);
    told("warm-up ", On::Embedded, Kind::Sandboxed);
    let (mut ratios, mut sandboxed, mut native, mut embedded) = (vec![], vec![], vec![], vec![]);
    for _ in 0..asked.rounds {
        let a = told("", On::Kafka, Kind::Sandboxed);
        let b = told("", On::Kafka, Kind::Native);
        let c = told("", On::Embedded, Kind::Sandboxed);
        ratios.push(rate(&a) / rate(&b));
        sandboxed.push(rate(&a));
        native.push(rate(&b));
        embedded.push(rate(&c));
        threads(&a);
        threads(&c);
    }
    println!(
        "\nMedian: sandboxed {:.0} events/s, native {:.0} events/s, ratio by pair {:.2} ({}); sandboxed on the embedded \
         broker {:.0} events/s",
        median(&sandboxed),
        median(&native),
        median(&ratios),
        ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(", "),
        median(&embedded),
    );
}

/// The embedded broker alone.
pub(crate) fn embedded(stage: &Stage, asked: &Asked) {
    let backlog = Backlog { orders: asked.orders, sampled_of: None };
    println!("\n## Throughput on the embedded broker: {} orders, {} events\n", backlog.orders, backlog.events());
    head();
    for number in 0..=asked.rounds {
        let run = run(stage, On::Embedded, Kind::Sandboxed, backlog);
        row(if number == 0 { "warm-up " } else { "" }, On::Embedded, Kind::Sandboxed, &run);
        threads(&run);
    }
}

/// The same work with parts left out. What a part costs is the difference of two medians of the host's CPU time.
pub(crate) fn costs(stage: &Stage, asked: &Asked) {
    const KINDS: [Kind; 4] = [Kind::Sandboxed, Kind::SandboxedUnchecked, Kind::ReplayedUnchecked, Kind::Native];
    let backlog = Backlog { orders: asked.orders, sampled_of: None };
    println!("\n## Costs: {} orders, {} events\n", backlog.orders, backlog.events());
    head();
    let mut micros = [const { Vec::new() }; KINDS.len()];
    for _ in 0..asked.rounds {
        for (kind, micros) in KINDS.into_iter().zip(&mut micros) {
            let run = run(stage, On::Kafka, kind, backlog);
            row("", On::Kafka, kind, &run);
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

pub(crate) fn head() {
    println!(
        "| run | events/s | host CPU µs an event | broker CPU µs an event | wall µs an event in handlers | in commits \
         | events a transaction |"
    );
    println!("|---|---|---|---|---|---|---|");
}

pub(crate) fn rate(run: &Run) -> f64 {
    run.events as f64 / run.span.took.as_secs_f64()
}

pub(crate) fn row(before: &str, on: On, kind: Kind, run: &Run) {
    let broker = match (on, run.span.broker) {
        (On::Embedded, _) => "in the host's".to_owned(),
        (On::Kafka, Some(cpu)) => format!("{:.1}", micros_each(cpu, run.events)),
        (On::Kafka, None) => "-".to_owned(),
    };
    println!(
        "| {before}{kind:?} on {on:?} | {:.0} | {:.1} | {broker} | {:.1} | {:.1} | {} |",
        rate(run),
        micros_each(run.span.host, run.events),
        micros_each(run.invoking, run.events),
        micros_each(run.committing, run.events),
        run.events / run.transactions.max(1),
    );
}

/// What each thread of the host took, in µs an event, those under 0.05 left out.
pub(crate) fn threads(run: &Run) {
    let each = |cpu: &Duration| micros_each(*cpu, run.events);
    let threads: Vec<String> = run
        .threads
        .iter()
        .filter(|(_, cpu)| each(cpu) >= 0.05)
        .map(|(name, cpu)| format!("{name} {:.1}", each(cpu)))
        .collect();
    eprintln!("threads, µs an event: {}", threads.join(", "));
}
