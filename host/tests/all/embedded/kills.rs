//! A process that is killed, over and over: what it was told is stored is there, and no half of a transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fnhost::broker::embedded::{Embedded, Options};
use fnhost::broker::{Broker, Polled, Position, Transaction};
use fnhost::event::{Offset, Partition, Record};

use super::{Place, create, member, raw, told};
use crate::conformance::record_to;
use crate::kafka::block_on;

const KILLS: usize = 50;
const PARTITIONS: i32 = 3;
/// How many records are on their way at once.
const PUBLISHING: usize = 16;
/// A process lives for at most this many lines.
const LINES_MAX: u32 = 400;

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment_and_no_transaction_is_half_there() {
    let place = Place::new();
    let mut told = Told::default();
    for kill in 0..KILLS {
        let mut process = start(&place);
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let moment = uuid::Uuid::new_v4().as_u128() % u128::from(LINES_MAX);
        for _ in 0..=moment {
            told.hear(&lines.next().expect("it goes on until it is killed").unwrap());
        }
        process.kill().unwrap();
        process.wait().unwrap();
        // What it said before it died counts, but for a last line that is not whole.
        let mut said = String::new();
        for line in lines.map_while(Result::ok) {
            told.hear(&std::mem::replace(&mut said, line));
        }
        check(&place.path(), &told, kill);
    }
    assert!(!told.stored.is_empty() && !told.committed.is_empty());
    drop(place.open());
}

#[test]
fn a_file_that_another_process_has_is_refused_until_that_is_gone() {
    let place = Place::new();
    let mut process = start(&place);
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("stored "))).unwrap().unwrap();
    assert!(told(&place.path()).0.ends_with("is in use by another process"));
    process.kill().unwrap();
    process.wait().unwrap();
    drop(place.open());
}

/// What the processes said.
#[derive(Default)]
struct Told {
    stored: BTreeMap<(i32, Offset), String>,
    committed: BTreeMap<i32, Offset>,
}

impl Told {
    fn hear(&mut self, line: &str) {
        // The harness may have written the beginning of the first line.
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [.., "stored", partition, offset, value] => {
                let place = (partition.parse().unwrap(), offset.parse().unwrap());
                let before = self.stored.insert(place, (*value).to_owned());
                assert_eq!(before, None, "{place:?} was given out twice");
            }
            [.., "committed", partition, next] => {
                self.committed.insert(partition.parse().unwrap(), next.parse().unwrap());
            }
            _ => {}
        }
    }
}

/// Compares what is in the file with what was said.
fn check(path: &Path, told: &Told, kill: usize) {
    let broker = Embedded::open(path, &Options::default()).unwrap_or_else(|e| panic!("after kill {kill}: {e:?}"));
    let progress = broker.progress("g", &["input"]).unwrap();
    let at: BTreeMap<i32, Offset> =
        progress.into_iter().map(|of| (of.partition.number, of.position.unwrap_or(0))).collect();
    drop(broker);
    let input: BTreeMap<(i32, Offset), String> = raw::read_a_copy(path, "input")
        .into_iter()
        .map(|event| ((event.partition.number, event.offset), String::from_utf8(event.value.unwrap()).unwrap()))
        .collect();
    for (place, value) in &told.stored {
        assert_eq!(input.get(place), Some(value), "after kill {kill}: {place:?} was acknowledged");
    }
    for (partition, next) in &told.committed {
        assert!(at[partition] >= *next, "after kill {kill}: {partition} was committed up to {next}, and is at {at:?}");
    }
    // Both outputs of exactly those events that lie before the positions, once each.
    let done: Vec<&String> =
        input.iter().filter(|((number, offset), _)| *offset < at[number]).map(|(_, v)| v).collect();
    for topic in ["one", "two"] {
        let output: Vec<String> =
            raw::read_a_copy(path, topic).into_iter().map(|e| String::from_utf8(e.value.unwrap()).unwrap()).collect();
        let distinct: BTreeSet<&String> = output.iter().collect();
        assert_eq!(distinct.len(), output.len(), "after kill {kill}: none twice in {topic}");
        assert_eq!(distinct, done.iter().copied().collect(), "after kill {kill}: {topic} has all or nothing");
    }
}

/// Starts [`the_process_that_is_killed`] in the folder.
fn start(place: &Place) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded::kills::the_process_that_is_killed", "--ignored", "--nocapture"])
        .current_dir(place.folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Publishes, and passes everything on to two topics, and says what was acknowledged, until it is killed.
#[test]
#[ignore = "it runs until it is killed: other tests start it as a process of its own"]
fn the_process_that_is_killed() {
    let broker = Embedded::open(Path::new("broker.redb"), &Options::default()).unwrap();
    if broker.topics(&["two"]).unwrap().is_empty() {
        // A kill may have come between them.
        for topic in ["input", "one", "two"] {
            if broker.topics(&[topic]).unwrap().is_empty() {
                create(&broker, topic, PARTITIONS, &[]);
            }
        }
    }
    std::thread::scope(|scope| {
        scope.spawn(|| publish_for_ever(&broker));
        scope.spawn(|| pass_on_for_ever(&broker));
    });
}

fn publish_for_ever(broker: &Embedded) {
    let publisher = broker.publisher().unwrap();
    let (topic, run): (Arc<str>, _) = ("input".into(), std::process::id());
    block_on(async {
        let mut promises = std::collections::VecDeque::new();
        for number in 0_u64.. {
            let value = format!("{run}-{number}");
            let partition = i32::try_from(number % 3).unwrap();
            promises.push_back((value.clone(), publisher.publish(record_to(&topic, partition, &value))));
            if promises.len() == PUBLISHING {
                let (value, promise) = promises.pop_front().unwrap();
                let stored = promise.await.unwrap();
                println!("stored {} {} {value}", stored.partition, stored.offset);
            }
        }
    });
}

fn pass_on_for_ever(broker: &Embedded) {
    let mut membership = broker.join(&member("g", &["input"])).unwrap();
    loop {
        match membership.poll(Duration::from_secs(1)).unwrap() {
            Polled::Assigned(positions) => {
                membership.resume(&positions.into_keys().collect::<Vec<_>>()).unwrap();
            }
            Polled::Events(events) => {
                let mut positions: BTreeMap<Partition, Position> = BTreeMap::new();
                for event in &events {
                    positions.entry(event.partition.clone()).or_default().next = Some(event.offset + 1);
                }
                let to = |topic: &str| -> Vec<Record> {
                    let topic: Arc<str> = topic.into();
                    let copy = |event: &fnhost::event::Event| Record {
                        value: event.value.clone(),
                        ..record_to(&topic, event.partition.number, "")
                    };
                    events.iter().map(copy).collect()
                };
                let records = to("one").into_iter().chain(to("two")).collect();
                membership.commit(&Transaction::new(positions.clone(), records).unwrap()).unwrap();
                for (partition, position) in positions {
                    println!("committed {} {}", partition.number, position.next.unwrap());
                }
            }
            Polled::Idle | Polled::Revoked { .. } => {}
        }
    }
}
