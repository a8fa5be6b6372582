//! What is to change so that the broker's topics are those of an app. Pure: it asks nobody and changes nothing.
//!
//! The topics of `app.toml`, a changelog for each function and input topic, the topic of deployments, and that of schedules. Of a topic's configuration only what
//! `app.toml` speaks of is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::app::{App, TopicSpec};
use crate::broker::{Topic, TopicChange};
use crate::deploy::record;
use crate::schedule;

/// What is to change, in this order, and what cannot be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) changes: Vec<TopicChange>,
    /// For people, a line each.
    pub(super) warnings: Vec<String>,
}

/// A topic as it is wanted.
struct Wanted {
    name: String,
    partitions: i32,
    replication: Option<i32>,
    config: BTreeMap<String, String>,
    /// How many partitions `app.toml` asks for, when that is not what it gets.
    asked: i32,
}

/// Every topic that the app needs.
pub(super) fn names(app: &App) -> BTreeSet<String> {
    let own = app.changelogs().into_keys().chain([app.deployments_topic()]).chain(app.schedules_topic());
    app.topics.keys().map(ToString::to_string).chain(own).collect()
}

/// Whether input topics get partitions added. Keys then map to other partitions than those that hold their state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Inputs {
    Grow,
    Keep,
}

/// What is to change, where `existing` is what the broker has of [`names`].
pub(super) fn plan(app: &App, existing: &[Topic], inputs: Inputs) -> Plan {
    let existing: BTreeMap<&str, &Topic> = existing.iter().map(|topic| (topic.name.as_str(), topic)).collect();
    let mut plan = Plan::default();
    for wanted in wanted(app, &existing, inputs) {
        plan.add(wanted, &existing);
    }
    plan.warnings.extend(uneven_groups(app, &existing, inputs));
    plan
}

/// The app's topics, then the changelogs. A changelog has the partitions that its input will have, whatever `app.toml`
/// asks for.
fn wanted(app: &App, existing: &BTreeMap<&str, &Topic>, inputs: Inputs) -> Vec<Wanted> {
    let read: BTreeSet<&str> = app.functions.iter().flat_map(|f| &f.input).map(|topic| &**topic).collect();
    let topic = |(name, spec): (&Arc<str>, &TopicSpec)| Wanted {
        name: name.to_string(),
        partitions: match read.contains(&**name) {
            true => input_partitions(name, spec, existing, inputs),
            false => spec.partitions,
        },
        asked: spec.partitions,
        replication: spec.replication,
        config: config(&[
            ("cleanup.policy", "delete"),
            ("max.message.bytes", &spec.message_bytes_max.to_string()),
            ("retention.ms", &spec.retention.as_millis().to_string()),
        ]),
    };
    let changelog = |(name, input): (String, Arc<str>)| {
        let spec = app.topics.get(&input)?;
        let partitions = input_partitions(&input, spec, existing, inputs);
        Some(Wanted {
            name,
            partitions,
            asked: partitions,
            replication: spec.replication,
            config: config(&[("cleanup.policy", "compact")]),
        })
    };
    let own = |(name, partitions): (String, i32)| Wanted {
        name,
        partitions,
        asked: partitions,
        replication: app.topics.get(App::ERROR_TOPIC).and_then(|spec| spec.replication),
        config: config(&[("cleanup.policy", "compact")]),
    };
    let schedules = app.schedules_topic().map(|name| (name, schedule::record::PARTITIONS));
    let own = [(app.deployments_topic(), record::PARTITIONS)].into_iter().chain(schedules).map(own);
    let changelogs = app.changelogs().into_iter().filter_map(changelog);
    app.topics.iter().map(topic).chain(changelogs).chain(own).collect()
}

/// How many partitions an input topic has once the plan is done. Kafka takes none away.
fn input_partitions(name: &str, spec: &TopicSpec, existing: &BTreeMap<&str, &Topic>, inputs: Inputs) -> i32 {
    match (existing.get(name), inputs) {
        (None, _) => spec.partitions,
        (Some(topic), Inputs::Keep) => topic.partitions,
        (Some(topic), Inputs::Grow) => topic.partitions.max(spec.partitions),
    }
}

fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Plan {
    fn add(&mut self, wanted: Wanted, existing: &BTreeMap<&str, &Topic>) {
        let Wanted { name, partitions, asked, replication, config } = wanted;
        let Some(topic) = existing.get(name.as_str()) else {
            self.changes.push(TopicChange::Create { name, partitions, replication, config });
            return;
        };
        let has = topic.partitions;
        if has > asked {
            self.warnings.push(format!("topic `{name}` has {has} partitions, not {asked}: Kafka takes none away"));
        }
        if partitions < asked {
            self.warnings.push(format!(
                "topic `{name}` has {has} partitions, not {asked}: more of them would move keys away from the state that \
                 functions wrote under them; --grow adds them all the same"
            ));
        }
        if let Some(replicas) = replication.filter(|replicas| *replicas != topic.replication) {
            self.warnings.push(format!(
                "topic `{name}` has replication {}, not {replicas}: change that with kafka-reassign-partitions.sh",
                topic.replication
            ));
        }
        if has < partitions {
            self.changes.push(TopicChange::Grow { name: name.clone(), partitions });
        }
        let differs = |(key, value): &(String, String)| topic.config.get(key) != Some(value);
        let config: BTreeMap<String, String> = config.into_iter().filter(differs).collect();
        if !config.is_empty() {
            self.changes.push(TopicChange::Configure { name, config });
        }
    }
}

/// Groups whose input topics will still differ in partitions.
fn uneven_groups(app: &App, existing: &BTreeMap<&str, &Topic>, inputs: Inputs) -> Vec<String> {
    let uneven = |(group, functions): (String, Vec<_>)| {
        let counts: BTreeMap<i32, String> = App::inputs(&functions)
            .iter()
            .filter_map(|input| {
                let spec = app.topics.get(input)?;
                Some((input_partitions(input, spec, existing, inputs), input.to_string()))
            })
            .collect();
        let differing: Vec<String> = counts.iter().map(|(count, topic)| format!("`{topic}` {count}")).collect();
        (counts.len() > 1).then(|| {
            format!("group `{group}` needs as many partitions in each topic it reads, but {}", differing.join(", "))
        })
    };
    app.groups().into_iter().filter_map(uneven).collect()
}

#[cfg(test)]
mod tests;
