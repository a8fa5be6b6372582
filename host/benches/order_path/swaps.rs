//! Versions of `inventory` swapped under full load on two hosts, while hosts are killed: how long no order is confirmed.
//!
//! Orders are written as fast as they end, so that some always wait and batches are full. First nothing is
//! swapped, for comparison. Then one version after the other takes the place of the one before, each as soon as the one
//! before has confirmed an order, through both hosts in turn. The versions are the same code, told apart by a number, and
//! each was deployed before once, so that nothing is compiled. Now and then a host is killed and started again; what lies
//! between the kill and both hosts ready counts for nothing but the effects of orders.
//!
//! Gaps are told by the timestamps of `order-confirmed`, which records are given when they are made, a partition at a time.
//! A version can only begin where a batch does, and the longer a gap, the more likely something falls into it: so gaps at
//! swaps are not to be held against those between any two events alone, but against those between batches, and those that
//! a moment which nobody chose lies in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fnhost::admin::deployments::{Changed, View, content_digest};
use fnhost::app::App;
use fnhost::broker::TopicChange;
use fnhost::event::Digest;

use self::gaps::{Deployed, Gaps, Span};
use self::load::Load;
use self::witness::{Progress, Witness};
use crate::app::Stage;
use crate::asked::Asked;
use crate::ground::{Ground, On};
use crate::host::{Asker, Host};
use crate::kafka::{eventually, say, unique};
use crate::measure::quantile;

mod gaps;
mod load;
mod witness;

/// What does not count: connections, caches and the broker's compiler.
const WARM_UP: Duration = Duration::from_secs(60);
/// How long nothing is swapped, at least, and for each swap that follows.
const BASELINE: Duration = Duration::from_secs(20);
const BASELINE_OF_SWAP: Duration = Duration::from_millis(200);
/// So many versions: no more than a host keeps for rollbacks.
const VERSIONS: u32 = 8;
/// What a gap at a swap may be above the p99 of gaps without swaps.
const GOAL_MS: f64 = 20.0;
/// How long a host may take to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a host may take until it is ready.
const READY: Duration = Duration::from_secs(180);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(10);

/// A version of `inventory`.
struct Version {
    wasm: Vec<u8>,
    digest: Digest,
}

/// Swaps, kills, verifies, and tells gaps.
pub(crate) fn swaps(stage: &Stage, asked: &Asked) {
    println!("\n## {} swaps under full load, {} kills\n", asked.swaps, asked.kills);
    let name = unique("bench");
    let (app, _) = stage.app(&name);
    let ground = Ground::lay_out(stage, On::Kafka, &app);
    keep_little(&ground);
    let witness = Witness::begin(stage.kafka());
    let cache = tempfile::tempdir().unwrap();
    let mut hosts = Hosts::start(stage, &ground, &name, cache.path());
    let (versions, mut deployed) = (versions(&app), Vec::new());
    for version in &versions {
        deployed.push(hosts.deploy(version));
    }

    let load = Load::begin(stage.kafka(), &name, witness.progress.clone());
    std::thread::sleep(WARM_UP);
    load.least();
    let begin = now();
    // The longest of many is longer than that of few.
    std::thread::sleep(BASELINE.max(BASELINE_OF_SWAP * u32::try_from(asked.swaps).unwrap()));
    let (baseline, least_without) = (begin..now(), load.least());
    let (begin, before) = (now(), deployed.len());
    let every = asked.swaps.checked_div(asked.kills);
    for swap in 0..asked.swaps {
        if every.is_some_and(|every| swap % every == every / 2) {
            hosts.kill_one();
        }
        swap_to(&versions[swap % versions.len()], &mut hosts, &witness.progress, &mut deployed);
    }
    let (swapped, least_with) = (begin..now(), load.least());
    let kills = hosts.all_are_ready();
    let orders = load.end();
    say(&format!("{orders} orders written; waiting until all have ended"));
    let sight = witness.end(orders);
    hosts.terminate();
    ground.clear();

    sight.each_had_its_effect_once(orders);
    let changes = gaps::never_goes_back(&sight, &deployed);
    let without = gaps::gaps(&sight, &baseline, &[]);
    let with = gaps::gaps(&sight, &swapped, &kills);
    table(&without, &with);
    let undisturbed =
        |one: &&Deployed| !kills.iter().any(|kill| kill.start <= one.asked + 1000 && one.asked <= kill.end);
    let asked_for: Vec<&Deployed> = deployed[before..].iter().filter(undisturbed).collect();
    row("from asking for a deploy to its first event", &gaps::until_first(&sight, &asked_for));
    let seconds = |span: &Span| (span.end - span.start) as f64 / 1e3;
    let killing: f64 = kills.iter().map(|kill| seconds(&(kill.start..kill.end.clamp(kill.start, swapped.end)))).sum();
    println!(
        "\nOrders confirmed a second: {:.0} without swaps, {:.0} with them ({} kills left out). Never fewer than {least_without} \
         and {least_with} were on their way. {:.2} swaps a second.",
        without.events as f64 / seconds(&baseline),
        with.events as f64 / (seconds(&swapped) - killing),
        kills.len(),
        asked.swaps as f64 / seconds(&swapped),
    );
    println!(
        "Left out for {} kills, {killing:.1} s: {} gaps, {} of them at swaps.",
        kills.len(),
        with.left_out,
        with.swaps_left_out
    );
    println!(
        "{orders} orders: each good one was confirmed once and shipped once, each bad one has one error event. {} deploys, {changes} \
         changes of version in {} partitions, none of them back.",
        deployed.len(),
        sight.confirmed.len(),
    );
    goal(&without, &with);
    if let Some((partition, span)) = &with.longest {
        println!(
            "\nIt began {:.1} s after the first swap, in partition {partition}; in {} of the {} others something was confirmed meanwhile.",
            (span.start - swapped.start) as f64 / 1e3,
            gaps::others_went_on(&sight, *partition, span),
            sight.confirmed.len() - 1,
        );
    }
}

/// One swap, until an order was confirmed by the version that it brings.
fn swap_to(version: &Version, hosts: &mut Hosts<'_>, progress: &Progress, deployed: &mut Vec<Deployed>) {
    progress.forget(&version.digest.to_string());
    deployed.push(hosts.deploy(version));
    progress.await_version(&version.digest.to_string());
}

/// What was measured beside what was wanted.
fn goal(without: &Gaps, with: &Gaps) {
    let longest = quantile(&with.at_swaps, 1.0);
    println!("\nThe longest gap at a swap is {longest:.0} ms.");
    let verdict = |what: &str, most: f64| {
        let how = if longest <= most { "met, with" } else { "missed by" };
        println!("- {what}, {most:.0} ms: {how} {:.0} ms", (most - longest).abs());
    };
    verdict("Goal: at most one batch, the longest one without swaps", quantile(&without.batches, 1.0));
    verdict("The same, the longest gap meanwhile in which the version stayed", quantile(&with.within_versions, 1.0));
    verdict(
        "Goal: at most 20 ms above the p99 between batches without swaps",
        quantile(&without.at_batches, 0.99) + GOAL_MS,
    );
    verdict(
        "The same, above the p99 of all gaps, of which most are within a batch",
        quantile(&without.all, 0.99) + GOAL_MS,
    );
}

fn table(without: &Gaps, with: &Gaps) {
    println!("| between two orders confirmed in a partition, in ms | p50 | p99 | most | times |");
    println!("|---|---|---|---|---|");
    row("without swaps: all", &without.all);
    row("without swaps: from one batch to the next", &without.at_batches);
    let moments = with.at_swaps.len();
    row("without swaps: around as many moments as versions begin", &without.around_moments(moments));
    row("with swaps: all", &with.all);
    row("with swaps: from one batch to the next of the same version", &with.at_batches);
    row(
        "with swaps: around as many moments as versions begin, the version staying the same",
        &with.around_moments(moments),
    );
    row("with swaps: from the last event of a version to the first one of the next", &with.at_swaps);
    row("(a batch without swaps, from its first event to that of the next)", &without.batches);
    row("(a batch with swaps)", &with.batches);
}

fn row(what: &str, sorted: &[f64]) {
    let Some(most) = sorted.last() else { return println!("| {what} | - | - | - | 0 |") };
    let [half, nearly] = [0.5, 0.99].map(|share| quantile(sorted, share));
    println!("| {what} | {half:.0} | {nearly:.0} | {most:.0} | {} |", sorted.len());
}

/// Topics that everybody has read keep no more than the disk bears.
fn keep_little(ground: &Ground<'_>) {
    let config = [("retention.bytes", 256 << 20), ("segment.bytes", 16 << 20)];
    let config: BTreeMap<String, String> = config.map(|(key, value)| (key.to_owned(), value.to_string())).into();
    let topics = ["order-received", "order-confirmed", "order-picked-and-packed", "notification"];
    let change = |name: &str| TopicChange::Configure { name: name.to_owned(), config: config.clone() };
    ground.broker().apply(&topics.map(change)).unwrap();
}

/// The component that the app comes with, and a number at its end.
fn versions(app: &App) -> Vec<Version> {
    let function = app.functions.iter().find(|function| function.name == "inventory").unwrap();
    let own = fs::read(app.component_file(function)).unwrap();
    let version = |number: u32| {
        let content = [b"\x07version".as_slice(), &number.to_be_bytes()].concat();
        let section = [&[0, u8::try_from(content.len()).unwrap()], content.as_slice()].concat();
        let wasm = [own.as_slice(), &section].concat();
        Version { digest: Digest::of(&wasm), wasm }
    };
    (0..VERSIONS).map(version).collect()
}

/// Two hosts.
struct Hosts<'a> {
    start: Box<dyn Fn(&str) -> Host + 'a>,
    running: [Option<Host>; 2],
    askers: [Asker; 2],
    agent: ureq::Agent,
    turn: usize,
    number: u64,
    /// Each tells when both hosts were ready after a kill.
    kills: Vec<JoinHandle<Span>>,
}

const INSTANCES: [&str; 2] = ["a", "b"];

impl<'a> Hosts<'a> {
    fn start(stage: &'a Stage, ground: &'a Ground<'_>, name: &'a str, cache: &'a Path) -> Self {
        let start = move |instance: &str| {
            // Each has its own, as on machines of their own.
            Host::start(stage, ground, name, &cache.join(instance), &["--instance", instance])
        };
        let running = INSTANCES.map(&start);
        let askers = running.each_ref().map(Host::asker);
        await_ready(&askers);
        let agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWER)).build().into();
        Self {
            start: Box::new(start),
            running: running.map(Some),
            askers,
            agent,
            turn: 0,
            number: 0,
            kills: Vec::new(),
        }
    }

    /// Deploys through the host whose turn it is, or the other one when it does not run.
    fn deploy(&mut self, version: &Version) -> Deployed {
        let asked = now();
        let number = eventually("a host deploys", || {
            self.turn += 1;
            let made = self.try_deploy(version, &self.askers[self.turn % self.askers.len()].admin()?);
            if made.is_none() {
                std::thread::sleep(PAUSE);
            }
            made
        });
        assert!(number > self.number, "deployment {number} was answered after {}", self.number);
        self.number = number;
        Deployed { version: version.digest.to_string(), asked }
    }

    fn try_deploy(&self, version: &Version, admin: &str) -> Option<u64> {
        let url = format!("http://{admin}/functions/inventory/versions");
        let request = self.agent.post(&url).header("content-digest", content_digest(version.digest));
        if let Ok(mut answer) = request.send(&version.wasm) {
            let body = answer.body_mut().read_to_vec().ok()?;
            if answer.status() == 200 {
                return serde_json::from_slice::<Changed>(&body).unwrap().number;
            }
            say(&format!("a deploy was answered {}: {}", answer.status(), String::from_utf8_lossy(&body)));
        }
        // It may have been made all the same.
        let view = self.agent.get(&url).call().ok()?.body_mut().read_to_vec().ok()?;
        let view: View = serde_json::from_slice(&view).ok()?;
        let is_made = view.number > self.number && view.versions.iter().any(|v| v.active && v.digest == version.digest);
        is_made.then_some(view.number)
    }

    /// Kills one host after the other, and starts it again.
    fn kill_one(&mut self) {
        // One at a time, or nobody would be left.
        self.kills.iter().for_each(|kill| {
            while !kill.is_finished() {
                std::thread::sleep(PAUSE);
            }
        });
        let victim = self.kills.len() % self.running.len();
        let begin = now();
        self.running[victim].take().unwrap().kill();
        let again = (self.start)(INSTANCES[victim]);
        say(&format!("killed host {} after deployment {}", INSTANCES[victim], self.number));
        self.askers[victim] = again.asker();
        self.running[victim] = Some(again);
        let askers = self.askers.clone();
        self.kills.push(std::thread::spawn(move || {
            await_ready(&askers);
            begin..now()
        }));
    }

    /// Waits until no host is starting, and tells from when till when there were not two.
    fn all_are_ready(&mut self) -> Vec<Span> {
        self.kills.drain(..).map(|kill| kill.join().unwrap()).collect()
    }

    fn terminate(self) {
        self.running.into_iter().flatten().for_each(Host::terminate);
    }
}

/// Waits until all are ready, for as long as it takes to restore what a run leaves.
fn await_ready(askers: &[Asker]) {
    let deadline = Instant::now() + READY;
    askers.iter().for_each(|asker| asker.await_ready(deadline));
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
