//! A host of many functions, and nothing to do: its threads, CPU time and memory, in one group and in twenty.
//!
//! Each function has a topic of its own with one partition. All are one component, so that what differs between an application of one
//! function and one of many is what the host keeps for each. Compiled code is cached.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fnhost::event::Record;

use crate::app::{FNHOST, Stage};
use crate::asked::Asked;
use crate::host::Host;
use crate::kafka::{PATIENCE, say, unique};

/// So long after it is ready a host has settled.
const SETTLE: Duration = Duration::from_secs(15);
/// How long it is watched.
const WATCH: Duration = Duration::from_secs(60);
const GROUPS: usize = 20;

/// What one host needed.
struct Needed {
    ready: Duration,
    threads: usize,
    cpu_percent: f64,
    mebibytes: f64,
}

/// Measures an application of one function, and one of many in one group and in twenty.
pub(crate) fn idle(stage: &Stage, asked: &Asked) {
    println!("\n## {} functions, idle\n", asked.functions);
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    println!("| functions | groups | ready after s | threads | CPU, % of a core | memory MiB |");
    println!("|---|---|---|---|---|---|");
    let measured = [(1, 1), (asked.functions, 1), (asked.functions, GROUPS)].map(|(functions, groups)| {
        let app = app(stage, folder.path(), functions, groups);
        let needed = needed(stage, &app, functions, &cache);
        let Needed { ready, threads, cpu_percent, mebibytes } = &needed;
        println!(
            "| {functions} | {groups} | {:.2} | {threads} | {cpu_percent:.2} | {mebibytes:.1} |",
            ready.as_secs_f64()
        );
        needed
    });
    let [one, many, _] = measured;
    let each = (many.mebibytes - one.mebibytes) / (asked.functions - 1) as f64;
    println!("\nMemory for each function in one group: {each:.3} MiB.");
}

/// An application of so many functions. They are dealt out to the groups in turn.
fn app(stage: &Stage, within: &Path, functions: usize, groups: usize) -> PathBuf {
    let component = stage.component("inventory");
    let mut manifest = format!("name = \"{}\"\n[topics.error]\nmax-message = \"4MiB\"\n", unique("idle"));
    manifest.push_str("[topics.out]\npartitions = 1\n");
    for number in 0..functions {
        write!(manifest, "[topics.in-{number}]\npartitions = 1\n[functions.f{number}]\n").unwrap();
        write!(manifest, "source = \"{}\"\ninput = [\"in-{number}\"]\noutput = [\"out\"]\n", component.display())
            .unwrap();
        if groups > 1 {
            writeln!(manifest, "group = \"g{}\"", number % groups).unwrap();
        }
    }
    let app = within.join(format!("{functions}-{groups}"));
    std::fs::create_dir(&app).unwrap();
    std::fs::write(app.join("app.toml"), manifest).unwrap();
    app
}

/// An event that its function rejects.
fn event(number: usize) -> Record {
    let topic = format!("in-{number}").into();
    Record { topic, partition: None, key: None, value: Some(b"{}".to_vec()), headers: vec![] }
}

fn needed(stage: &Stage, app: &Path, functions: usize, cache: &Path) -> Needed {
    let brokers = stage.kafka().brokers.clone();
    let option = ["--brokers".to_owned(), brokers];
    say("making the topics");
    let applied = Command::new(FNHOST).args(["topics", "apply"]).arg(app).args(&option).output().unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    // The group is made and the code is compiled by the first.
    let first = Host::run(app, &option, cache, &[]);
    first.asker().await_ready(Instant::now() + PATIENCE);
    first.terminate();
    let host = Host::run(app, &option, cache, &[]);
    host.asker().await_ready(Instant::now() + PATIENCE);
    let took = host.started.elapsed();
    // None has done nothing yet: a worker has a producer from its first transaction on.
    stage.kafka().write(&(0..functions).map(event).collect::<Vec<_>>());
    let pid = host.pid();
    std::thread::sleep(SETTLE);
    let (before, by_thread) = (pid.cpu(), pid.cpu_by_thread());
    std::thread::sleep(WATCH);
    let cpu = pid.cpu() - before;
    let mut threads: Vec<(Duration, String)> = pid
        .cpu_by_thread()
        .into_iter()
        .map(|(name, to)| (to - by_thread.get(&name).copied().unwrap_or(to), name))
        .collect();
    threads.sort();
    for (took, name) in threads.iter().rev().take(8) {
        say(&format!("{name}: {:.2} % of a core", took.as_secs_f64() / WATCH.as_secs_f64() * 100.0));
    }
    let needed = Needed {
        ready: took,
        threads: pid.threads(),
        cpu_percent: cpu.as_secs_f64() / WATCH.as_secs_f64() * 100.0,
        mebibytes: pid.mebibytes("VmRSS"),
    };
    host.terminate();
    needed
}
