//! Topic configuration: Kafka's keys, their defaults, and what of them the embedded broker acts on.
//!
//! A key that Kafka does not have is refused, as Kafka does. One that only a cluster, or segments of files, could honour is kept
//! and shown, so that `app.toml` need not know which broker it will meet.

use std::collections::BTreeMap;

/// Kafka's topic keys and their defaults (4.0). Ordered by key.
const DEFAULTS: [(&str, &str); 33] = [
    (CLEANUP_POLICY, "delete"),
    ("compression.gzip.level", "-1"),
    ("compression.lz4.level", "9"),
    ("compression.type", "producer"),
    ("compression.zstd.level", "3"),
    (DELETE_RETENTION, "86400000"),
    ("file.delete.delay.ms", "60000"),
    ("flush.messages", "9223372036854775807"),
    ("flush.ms", "9223372036854775807"),
    ("follower.replication.throttled.replicas", ""),
    ("index.interval.bytes", "4096"),
    ("leader.replication.throttled.replicas", ""),
    ("local.retention.bytes", "-2"),
    ("local.retention.ms", "-2"),
    ("max.compaction.lag.ms", "9223372036854775807"),
    (MESSAGE_BYTES_MAX, "1048588"),
    ("message.timestamp.after.max.ms", "3600000"),
    ("message.timestamp.before.max.ms", "9223372036854775807"),
    ("message.timestamp.type", "CreateTime"),
    ("min.cleanable.dirty.ratio", "0.5"),
    ("min.compaction.lag.ms", "0"),
    ("min.insync.replicas", "1"),
    ("preallocate", "false"),
    ("remote.log.copy.disable", "false"),
    ("remote.log.delete.on.disable", "false"),
    ("remote.storage.enable", "false"),
    (RETENTION_BYTES, "-1"),
    (RETENTION, "604800000"),
    ("segment.bytes", "1073741824"),
    ("segment.index.bytes", "10485760"),
    ("segment.jitter.ms", "0"),
    ("segment.ms", "604800000"),
    ("unclean.leader.election.enable", "false"),
];

const CLEANUP_POLICY: &str = "cleanup.policy";
const DELETE_RETENTION: &str = "delete.retention.ms";
const MESSAGE_BYTES_MAX: &str = "max.message.bytes";
const RETENTION: &str = "retention.ms";
const RETENTION_BYTES: &str = "retention.bytes";

/// What is acted on.
const HONOURED: [&str; 5] = [CLEANUP_POLICY, DELETE_RETENTION, MESSAGE_BYTES_MAX, RETENTION_BYTES, RETENTION];

/// A topic's configuration as it is acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Whether old records are deleted.
    pub(super) deletes: bool,
    /// Whether only the newest record of each key is kept.
    pub(super) compacts: bool,
    /// The largest record, by Kafka's measure.
    pub(super) message_bytes_max: usize,
    /// How long a record is kept; `None` is for ever.
    pub(super) retention_ms: Option<u64>,
    /// How large a partition may become; `None` is without end.
    pub(super) retention_bytes: Option<u64>,
    /// How long a deletion is kept.
    pub(super) tombstone_ms: u64,
}

impl Limits {
    /// Reads what was set; the error says which key is wrong, and how.
    pub(super) fn of(set: &BTreeMap<String, String>) -> Result<Self, String> {
        if let Some(unknown) = set.keys().find(|key| default_of(key).is_none()) {
            let near = DEFAULTS
                .iter()
                .max_by(|a, b| strsim::jaro_winkler(a.0, unknown).total_cmp(&strsim::jaro_winkler(b.0, unknown)));
            let near = near.map_or("", |(key, _)| key);
            return Err(format!("topics have no key `{unknown}`; the nearest is `{near}`"));
        }
        let (deletes, compacts) = policy(value(set, CLEANUP_POLICY))?;
        Ok(Self {
            deletes,
            compacts,
            message_bytes_max: usize::try_from(number(set, MESSAGE_BYTES_MAX, 0, i32::MAX.into())?).unwrap_or(0),
            retention_ms: u64::try_from(number(set, RETENTION, -1, i64::MAX)?).ok(),
            retention_bytes: u64::try_from(number(set, RETENTION_BYTES, -1, i64::MAX)?).ok(),
            tombstone_ms: u64::try_from(number(set, DELETE_RETENTION, 0, i64::MAX)?).unwrap_or(0),
        })
    }
}

fn default_of(key: &str) -> Option<&'static str> {
    DEFAULTS.iter().find(|(known, _)| *known == key).map(|(_, default)| *default)
}

fn value<'a>(set: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    set.get(key).map_or_else(|| default_of(key).unwrap_or_default(), String::as_str)
}

fn policy(value: &str) -> Result<(bool, bool), String> {
    let (mut deletes, mut compacts) = (false, false);
    for word in value.split(',') {
        match word.trim() {
            "delete" => deletes = true,
            "compact" => compacts = true,
            _ => return Err(format!("`{CLEANUP_POLICY}` is `delete`, `compact` or both with a comma, not `{value}`")),
        }
    }
    Ok((deletes, compacts))
}

fn number(set: &BTreeMap<String, String>, key: &str, least: i64, most: i64) -> Result<i64, String> {
    let value = value(set, key);
    let number = value.trim().parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("`{key}` is a number from {least} to {most}, not `{value}`"))
}

/// Every key with its value, set or not.
pub(super) fn all(set: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let defaults = DEFAULTS.iter().map(|(key, default)| ((*key).to_owned(), (*default).to_owned()));
    defaults.chain(set.clone()).collect()
}

/// The keys that were set to something that nothing will come of.
pub(super) fn not_honoured(set: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    let differs = |(key, value): &(&String, &String)| default_of(key) != Some(value.as_str());
    set.iter().filter(differs).map(|(key, _)| key.as_str()).filter(|key| !HONOURED.contains(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_not_set_is_kafkas_default() {
        let limits = Limits::of(&set(&[])).unwrap();
        assert_eq!((limits.deletes, limits.compacts, limits.message_bytes_max), (true, false, 1_048_588));
        assert_eq!((limits.retention_ms, limits.retention_bytes), (Some(604_800_000), None));
        assert!(DEFAULTS.is_sorted(), "by key");
    }

    #[test]
    fn a_wrong_key_or_value_is_said_with_what_is_right() {
        let wrong = |key, value| Limits::of(&set(&[(key, value)])).unwrap_err();
        assert_eq!(wrong("retention.sm", "1"), "topics have no key `retention.sm`; the nearest is `retention.ms`");
        assert_eq!(
            wrong("cleanup.policy", "remove"),
            "`cleanup.policy` is `delete`, `compact` or both with a comma, not `remove`"
        );
        let number = format!("`retention.ms` is a number from -1 to {}, not `3d`", i64::MAX);
        assert_eq!(wrong("retention.ms", "3d"), number);
    }

    #[test]
    fn only_what_differs_from_the_default_and_is_not_acted_on_is_said() {
        let set = set(&[("min.insync.replicas", "2"), ("retention.ms", "5"), ("segment.ms", "604800000")]);
        assert_eq!(not_honoured(&set).collect::<Vec<_>>(), ["min.insync.replicas"]);
        assert_eq!(all(&set)["min.insync.replicas"], "2");
    }
}
