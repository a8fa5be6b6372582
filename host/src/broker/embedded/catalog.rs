//! The topics there are: in memory as in the file. The writer changes it after each commit; everybody reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::keys::{self, Limits};
use super::log::{Bounds, Place};
use crate::broker::{Topic, TopicChange};
use crate::event::Partition;

/// More partitions than one file is good for are refused.
const PARTITIONS_MAX: i32 = 1000;
/// The longest name of a topic, as in Kafka.
const NAME_BYTES_MAX: usize = 249;

/// A topic in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// What the other tables call it.
    pub(super) id: u32,
    /// How many.
    pub(super) partitions: i32,
    /// What was set.
    pub(super) config: BTreeMap<String, String>,
}

/// A topic.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) name: Arc<str>,
    pub(super) stored: Stored,
    pub(super) limits: Limits,
    /// By partition.
    pub(super) bounds: Vec<Bounds>,
}

impl Held {
    /// The bounds of one of its partitions.
    pub(super) fn bounds_of(&self, number: i32) -> Option<Bounds> {
        usize::try_from(number).ok().and_then(|number| self.bounds.get(number)).copied()
    }

    fn shown(&self) -> Topic {
        Topic {
            name: self.name.to_string(),
            partitions: self.stored.partitions,
            replication: 1,
            config: keys::all(&self.stored.config),
        }
    }
}

/// All topics.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    topics: BTreeMap<Arc<str>, Held>,
    next_id: u32,
}

/// What a change makes of a topic.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) name: Arc<str>,
    pub(super) stored: Stored,
    /// The first partition that is new.
    pub(super) first: i32,
}

impl Catalog {
    pub(super) fn get(&self, topic: &str) -> Option<&Held> {
        self.topics.get(topic)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Held> {
        self.topics.values()
    }

    /// A partition's topic id and bounds.
    pub(super) fn find(&self, partition: &Partition) -> Option<(u32, Bounds)> {
        let held = self.get(&partition.topic)?;
        held.bounds_of(partition.number).map(|bounds| (held.stored.id, bounds))
    }

    /// How many partitions a topic has; 0 when it is not there.
    pub(super) fn partitions(&self, topic: &str) -> i32 {
        self.get(topic).map_or(0, |held| held.stored.partitions)
    }

    /// The named topics, as far as they are there.
    pub(super) fn shown(&self, names: &[&str]) -> Vec<Topic> {
        names.iter().filter_map(|name| self.get(name)).map(Held::shown).collect()
    }

    /// Puts a topic in.
    pub(super) fn add(&mut self, name: Arc<str>, stored: Stored, bounds: Vec<Bounds>) -> Result<(), String> {
        let limits = Limits::of(&stored.config)?;
        self.next_id = self.next_id.max(stored.id + 1);
        self.topics.insert(Arc::clone(&name), Held { name, stored, limits, bounds });
        Ok(())
    }

    /// Takes over what a commit changed.
    pub(super) fn touch(&mut self, touched: &BTreeMap<Place, Bounds>) {
        for held in self.topics.values_mut() {
            for ((_, number), bounds) in touched.range((held.stored.id, 0)..=(held.stored.id, i32::MAX)) {
                if let Some(known) = usize::try_from(*number).ok().and_then(|number| held.bounds.get_mut(number)) {
                    *known = *bounds;
                }
            }
        }
    }

    /// What a change would make of its topic; the error says why it is not made.
    pub(super) fn plan(&self, change: &TopicChange) -> Result<Changed, String> {
        let name: Arc<str> = change.topic().into();
        let known = self.get(&name);
        let missing = || format!("topic `{name}` does not exist");
        let (stored, first) = match change {
            TopicChange::Create { partitions, config, .. } => {
                check_name(&name)?;
                if known.is_some() {
                    return Err(format!("topic `{name}` exists already"));
                }
                (Stored { id: self.next_id, partitions: *partitions, config: config.clone() }, 0)
            }
            TopicChange::Grow { partitions, .. } => {
                let stored = &known.ok_or_else(missing)?.stored;
                let has = stored.partitions;
                if *partitions <= has {
                    return Err(format!("topic `{name}` has {has} partitions, and can only be given more"));
                }
                (Stored { partitions: *partitions, ..stored.clone() }, has)
            }
            TopicChange::Configure { config, .. } => {
                let mut stored = known.ok_or_else(missing)?.stored.clone();
                stored.config.extend(config.clone());
                let first = stored.partitions;
                (stored, first)
            }
        };
        if !(1..=PARTITIONS_MAX).contains(&stored.partitions) {
            return Err(format!("a topic has from 1 to {PARTITIONS_MAX} partitions, not {}", stored.partitions));
        }
        Limits::of(&stored.config)?;
        Ok(Changed { name, stored, first })
    }

    /// Makes a planned change, which is in the file by now.
    pub(super) fn take_over(&mut self, changed: Changed) -> Result<(), String> {
        let mut bounds = self.get(&changed.name).map(|held| held.bounds.clone()).unwrap_or_default();
        bounds.resize(usize::try_from(changed.stored.partitions).unwrap_or(0), Bounds::default());
        self.add(changed.name, changed.stored, bounds)
    }
}

/// Kafka's rule, so that a name that works here works there.
fn check_name(name: &str) -> Result<(), String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let length = 1..=NAME_BYTES_MAX;
    if length.contains(&name.len()) && name.chars().all(is_legal) && !matches!(name, "." | "..") {
        return Ok(());
    }
    Err(format!("a topic's name has 1 to {NAME_BYTES_MAX} ASCII letters, digits, `.`, `_` and `-`, unlike `{name}`"))
}
