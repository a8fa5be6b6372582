//! What the functions of one consumer group must agree on.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::fault::{Fault, undeclared};
use crate::app::manifest::draft::{Draft, Function, Topic};
use crate::app::manifest::read::Reader;
use crate::broker::From;

/// A group by its name in the manifest; `None` is the app's own.
type Group<'a> = Option<&'a str>;

/// Holds every rule about groups against the draft.
pub(super) fn check(reader: &Reader<'_>, draft: &Draft) {
    let mut reads: BTreeMap<Group<'_>, Vec<(&Function, &Topic)>> = BTreeMap::new();
    for function in &draft.functions {
        let topic = |name: &String| draft.topics.iter().find(|topic| topic.name.value == *name);
        let inputs = function.input.iter().filter_map(|input| topic(&input.value));
        let group = reads.entry(function.function.group.as_deref()).or_default();
        group.extend(inputs.map(|topic| (function, topic)));
    }
    for reads in reads.values() {
        inputs_are_even(reader, reads);
        beginnings_agree(reader, reads);
    }
    groups_are_used(reader, draft);
}

/// As many partitions in every input topic. Those that differ from most are at fault.
fn inputs_are_even(reader: &Reader<'_>, reads: &[(&Function, &Topic)]) {
    let topics: BTreeMap<&str, &Topic> = reads.iter().map(|(_, topic)| (topic.name.value.as_str(), *topic)).collect();
    let alike = |topic: &Topic| topics.values().filter(|t| t.spec.partitions == topic.spec.partitions).count();
    // Among as many, the first in the file is right.
    let Some((_, model)) = reads.iter().rev().max_by_key(|(_, topic)| alike(topic)) else {
        return;
    };
    let mut reported = BTreeSet::new();
    for (function, topic) in reads {
        let (right, wrong) = (model.spec.partitions, topic.spec.partitions);
        let (name, model) = (&topic.name.value, &model.name.value);
        if wrong == right || !reported.insert(name) {
            continue;
        }
        let message =
            format!("topics `{model}` and `{name}` are read by one group, but have {right} and {wrong} partitions");
        let alone = match function.input.len() {
            1 => format!(
                ", or give {} a group of its own with `group = \"{}\"`",
                function.title(),
                function.function.name
            ),
            _ => String::new(),
        };
        let hint = format!(
            "partition N of every topic of a group lies on one worker, which needs as many of each: make them \
             equal{alone}"
        );
        let fault = Fault::new(message).note(format!("`{model}` has {right}"));
        reader.report(&topic.partitions, fault.hint(hint));
    }
}

/// One beginning for each topic.
fn beginnings_agree(reader: &Reader<'_>, reads: &[(&Function, &Topic)]) {
    let mut first: BTreeMap<&str, &Function> = BTreeMap::new();
    for (function, topic) in reads {
        let name = topic.name.value.as_str();
        let earlier = *first.entry(name).or_insert(function);
        if earlier.function.from == function.function.from {
            continue;
        }
        let (one, other) = (earlier.title(), function.title());
        let message = format!("{one} and {other} share a group, but not where it begins in topic `{name}`");
        let hint = format!(
            "a group has one position in each partition: the same `from` for both, or a group of its own with `group \
             = \"{}\"`",
            function.function.name
        );
        let note = format!("{one} begins from {}", from_text(earlier.function.from));
        reader.report(&function.from, Fault::new(message).note(note).hint(hint));
    }
}

fn groups_are_used(reader: &Reader<'_>, draft: &Draft) {
    let used: BTreeSet<&str> = draft.functions.iter().filter_map(|f| f.function.group.as_deref()).collect();
    let known: Vec<&str> = used.iter().copied().collect();
    for group in draft.groups.iter().filter(|group| !used.contains(group.name.value.as_str())) {
        let name = &group.name.value;
        let fault = undeclared(format!("no function has the group `{name}`"), name, &known, "no function has a group");
        let hint = format!(
            "give a function `group = \"{name}\"`; the workers of the app's own group stand at the top: `workers = 2`"
        );
        reader.report(&group.name.span, fault.hint(hint));
    }
}

fn from_text(from: From) -> &'static str {
    match from {
        From::Earliest => "earliest",
        From::Latest => "latest",
    }
}
