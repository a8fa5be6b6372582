//! What is to change so that the broker's topics are those of an app. Pure: it asks nobody and changes nothing.
//!
//! The topics of `app.toml`, and a changelog for each function and input topic. Of a topic's configuration only what
//! `app.toml` speaks of is touched.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::{App, TopicSpec};
use crate::broker::{Topic, TopicChange};

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
    /// Whether keys that were written have something that stays behind when they move to another partition.
    keyed: bool,
}

/// Every topic that the app needs.
pub(super) fn names(app: &App) -> BTreeSet<String> {
    app.topics.keys().map(ToString::to_string).chain(app.changelogs().into_keys()).collect()
}

/// What is to change, where `existing` is what the broker has of [`names`].
pub(super) fn plan(app: &App, existing: &[Topic]) -> Plan {
    let existing: BTreeMap<&str, &Topic> = existing.iter().map(|topic| (topic.name.as_str(), topic)).collect();
    let mut plan = Plan::default();
    for wanted in wanted(app, &existing) {
        plan.add(wanted, &existing);
    }
    plan.warnings.extend(uneven_groups(app, &existing));
    plan
}

/// The app's topics, then the changelogs. A changelog has the partitions that its input will have, not those that
/// `app.toml` would like: there is no taking partitions away.
fn wanted(app: &App, existing: &BTreeMap<&str, &Topic>) -> Vec<Wanted> {
    let inputs: BTreeSet<&str> = app.functions.iter().flat_map(|f| &f.input).map(|topic| &**topic).collect();
    let topic = |(name, spec): (&std::sync::Arc<str>, &TopicSpec)| Wanted {
        name: name.to_string(),
        partitions: spec.partitions,
        replication: spec.replication,
        config: config(&[
            ("cleanup.policy", "delete"),
            ("max.message.bytes", &spec.message_bytes_max.to_string()),
            ("retention.ms", &spec.retention.as_millis().to_string()),
        ]),
        keyed: inputs.contains(&**name),
    };
    let changelog = |(name, input): (String, std::sync::Arc<str>)| {
        let spec = app.topics.get(&input)?;
        Some(Wanted {
            name,
            partitions: partitions(&input, spec, existing),
            replication: spec.replication,
            config: config(&[("cleanup.policy", "compact")]),
            keyed: false,
        })
    };
    app.topics.iter().map(topic).chain(app.changelogs().into_iter().filter_map(changelog)).collect()
}

/// How many partitions a topic has once the plan is done.
fn partitions(name: &str, spec: &TopicSpec, existing: &BTreeMap<&str, &Topic>) -> i32 {
    existing.get(name).map_or(spec.partitions, |topic| topic.partitions.max(spec.partitions))
}

fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Plan {
    fn add(&mut self, wanted: Wanted, existing: &BTreeMap<&str, &Topic>) {
        let Wanted { name, partitions, replication, config, keyed } = wanted;
        let Some(topic) = existing.get(name.as_str()) else {
            self.changes.push(TopicChange::Create { name, partitions, replication, config });
            return;
        };
        if topic.partitions > partitions {
            self.warnings.push(format!(
                "topic `{name}` has {} partitions, not {partitions}: Kafka takes none away",
                topic.partitions
            ));
        }
        if replication.is_some_and(|replicas| replicas != topic.replication) {
            self.warnings.push(format!(
                "topic `{name}` has {} replicas, not {}: change that with kafka-reassign-partitions.sh",
                topic.replication,
                replication.unwrap_or(topic.replication)
            ));
        }
        let differs = |(key, value): &(String, String)| topic.config.get(key) != Some(value);
        let config: BTreeMap<String, String> = config.into_iter().filter(differs).collect();
        if topic.partitions < partitions {
            if keyed {
                self.warnings.push(format!(
                    "more partitions for `{name}` move keys to other partitions: functions do not find the state they \
                     wrote under those keys"
                ));
            }
            self.changes.push(TopicChange::Grow { name: name.clone(), partitions });
        }
        if !config.is_empty() {
            self.changes.push(TopicChange::Configure { name, config });
        }
    }
}

/// Groups whose input topics will still differ in partitions, because one has more than it should.
fn uneven_groups(app: &App, existing: &BTreeMap<&str, &Topic>) -> Vec<String> {
    let uneven = |(group, functions): (String, Vec<_>)| {
        let counts: BTreeMap<i32, String> = App::inputs(&functions)
            .iter()
            .filter_map(|input| Some((partitions(input, app.topics.get(input)?, existing), input.to_string())))
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
