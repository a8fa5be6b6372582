//! Topics and positions: what is asked of a broker outside the data path.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::{Duration, Instant};

use rdkafka::Offset as Place;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::context::Quiet;
use super::errors::{Demand, Fault, is_away};
use super::settings::{ASKED_FOR, Settings};
use crate::broker::{Error, Progress, Topic, TopicChange};
use crate::event::{Offset, Partition};

/// One question.
const ASK: Duration = Duration::from_secs(10);

/// How long a change of configuration may take to show, and a broker to be there for a new topic.
const SHOWN: Duration = Duration::from_secs(5);

/// More topics than this are asked for all at once, with all others that the cluster has.
const ONE_BY_ONE_MAX: usize = 8;

/// A position this close before the end is looked behind: there may be nothing but markers of transactions.
const MARKERS_MAX: Offset = 100;
/// How long that look may take; a partition that is not seen through in time counts as not read.
const MARKERS_WAIT: Duration = Duration::from_secs(2);

/// Waits for a future of the admin client, which runs on librdkafka's threads and wants no runtime.
fn wait<T>(settings: &Settings, future: impl Future<Output = Result<T, KafkaError>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| Error::Bug { what: "waiting for the broker", cause: Box::new(e) })?;
    runtime.block_on(future).map_err(|e| Fault::of("changing topics", &e).into_error(&settings.brokers))
}

/// What looks at topics and changes them.
pub(super) type Admin = AdminClient<Quiet>;

pub(super) fn client(settings: &Settings) -> Result<Admin, Error> {
    settings
        .base()
        .create_with_context(Quiet::default())
        .map_err(|e| Fault::of("creating the admin client", &e).into_error(&settings.brokers))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK))
}

/// The named topics, without those that do not exist.
pub(super) fn topics(
    settings: &Settings,
    admin: &Admin,
    asker: &BaseConsumer<Quiet>,
    names: &[&str],
) -> Result<Vec<Topic>, Error> {
    let known = described(settings, asker, names)?;
    let topic = |(name, (partitions, replication))| Topic { name, partitions, replication, config: BTreeMap::new() };
    let mut found: Vec<Topic> = known.into_iter().map(topic).collect();
    let configs = configs(settings, admin, &found.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), |_| true)?;
    for topic in &mut found {
        topic.config = configs.get(&topic.name).cloned().unwrap_or_default();
    }
    Ok(found)
}

/// How many partitions each of the named topics has.
pub(super) fn partitions(
    settings: &Settings,
    asker: &BaseConsumer<Quiet>,
    names: &[&str],
) -> Result<BTreeMap<String, i32>, Error> {
    let known = described(settings, asker, names)?;
    Ok(known.into_iter().map(|(name, (partitions, _))| (name, partitions)).collect())
}

/// Partitions and replicas of each of the named topics that exist.
fn described(
    settings: &Settings,
    asker: &BaseConsumer<Quiet>,
    names: &[&str],
) -> Result<BTreeMap<String, (i32, i32)>, Error> {
    let mut known = BTreeMap::new();
    // librdkafka asks for one topic or for all of them.
    let questions: Vec<Option<&str>> = match names.len() {
        ..=ONE_BY_ONE_MAX => names.iter().copied().map(Some).collect(),
        _ => vec![None],
    };
    let wanted: BTreeSet<&str> = names.iter().copied().collect();
    for question in questions {
        let metadata = asker
            .fetch_metadata(question, ASK)
            .map_err(|e| Fault::of("reading topics", &e).into_error(&settings.brokers))?;
        for topic in metadata.topics().iter().filter(|topic| wanted.contains(topic.name())) {
            match topic.error().map(Code::from) {
                None => {}
                Some(Code::UnknownTopic | Code::UnknownTopicOrPartition) => continue,
                Some(code) => {
                    return Err(
                        Fault::of("reading topics", &KafkaError::MetadataFetch(code)).into_error(&settings.brokers)
                    );
                }
            }
            let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
            let replicas = topic.partitions().first().map_or(0, |p| p.replicas().len());
            known.insert(topic.name().to_owned(), (partitions, i32::try_from(replicas).unwrap_or(i32::MAX)));
        }
    }
    Ok(known)
}

/// The configuration of topics, as far as its source is wanted.
fn configs(
    settings: &Settings,
    admin: &Admin,
    names: &[&str],
    wanted: impl Fn(&ConfigSource) -> bool,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let resources: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let described = wait(settings, admin.describe_configs(&resources, &options()))?;
    let mut all = BTreeMap::new();
    for (name, resource) in names.iter().zip(described) {
        let resource = resource.map_err(|code| {
            Fault::of("reading configuration", &KafkaError::AdminOp(code)).into_error(&settings.brokers)
        })?;
        let entries = resource.entries.into_iter().filter(|entry| wanted(&entry.source));
        all.insert((*name).to_owned(), entries.filter_map(|e| e.value.map(|value| (e.name, value))).collect());
    }
    Ok(all)
}

/// Whether a broker answers a client, and knows of one.
pub(super) fn is_answered<X: ConsumerContext>(client: &BaseConsumer<X>, within: Duration) -> Result<(), Fault> {
    const CALL: &str = "asking the broker";
    let metadata = client.fetch_metadata(Some(ASKED_FOR), within).map_err(|e| Fault::of(CALL, &e))?;
    if metadata.brokers().is_empty() {
        let text = "it knows of no broker that is there".to_owned();
        return Err(Fault { call: CALL, code: Code::BrokerNotAvailable, demand: Demand::Retry, text });
    }
    Ok(())
}

/// Makes one change.
pub(super) fn apply(settings: &Settings, admin: &Admin, change: &TopicChange) -> Result<(), Error> {
    let results: Vec<Result<(), Code>> = match change {
        TopicChange::Create { name, partitions, replication, config } => {
            let mut topic = NewTopic::new(name, *partitions, TopicReplication::Fixed(replication.unwrap_or(-1)));
            for (key, value) in config {
                topic = topic.set(key, value);
            }
            let until = Instant::now() + SHOWN;
            loop {
                let done = wait(settings, admin.create_topics([&topic], &options()))?;
                let done: Vec<_> = done.into_iter().map(|r| r.map(drop).map_err(|(_, code)| code)).collect();
                // So does a cluster answer whose brokers are too busy to be counted, for a moment.
                let is_fenced = done.iter().any(|r| matches!(r, Err(Code::InvalidReplicationFactor)));
                if !is_fenced || Instant::now() >= until {
                    break done;
                }
                std::thread::sleep(Duration::from_millis(250));
            }
        }
        TopicChange::Grow { name, partitions } => {
            let grown = NewPartitions::new(name, usize::try_from(*partitions).unwrap_or(0));
            let done = wait(settings, admin.create_partitions([&grown], &options()))?;
            done.into_iter().map(|r| r.map(drop).map_err(|(_, code)| code)).collect()
        }
        TopicChange::Configure { name, config } => {
            // AlterConfigs replaces everything that was set on the topic, so what is to stay is sent along.
            let mut all = configs(settings, admin, &[name], |source| *source == ConfigSource::DynamicTopic)?
                .remove(name)
                .unwrap_or_default();
            all.extend(config.clone());
            let mut altered = AlterConfig::new(ResourceSpecifier::Topic(name));
            for (key, value) in &all {
                altered = altered.set(key, value);
            }
            let known = configs(settings, admin, &[name], |_| true)?.remove(name).unwrap_or_default();
            if let Some(unknown) = config.keys().find(|key| !known.contains_key(*key)) {
                let cause = format!("topics have no key `{unknown}`").into();
                return Err(Error::Refused { action: format!("configure topic `{name}`"), cause });
            }
            wait(settings, admin.alter_configs([&altered], &options()))?;
            return await_config(settings, admin, name, config);
        }
    };
    let action = match change {
        TopicChange::Create { name, .. } => format!("create topic `{name}`"),
        TopicChange::Grow { name, partitions } => format!("give topic `{name}` {partitions} partitions"),
        TopicChange::Configure { name, .. } => format!("configure topic `{name}`"),
    };
    match results.into_iter().find_map(Result::err) {
        None => Ok(()),
        Some(code) if is_away(code) => {
            Err(Fault::of("changing topics", &KafkaError::AdminOp(code)).into_error(&settings.brokers))
        }
        Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            Err(Error::Denied { operation: "Create or Alter", resource: format!("topic `{}`", change.topic()) })
        }
        Some(code) => Err(Error::Refused { action, cause: Box::new(KafkaError::AdminOp(code)) }),
    }
}

/// Waits until a topic has this configuration. rdkafka 0.39 says that every change was made, so that a refused one can be
/// told only by looking.
fn await_config(
    settings: &Settings,
    admin: &Admin,
    name: &str,
    wanted: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let until = Instant::now() + SHOWN;
    loop {
        let shown = configs(settings, admin, &[name], |_| true)?.remove(name).unwrap_or_default();
        let Some((key, value)) = wanted.iter().find(|(key, value)| shown.get(*key) != Some(*value)) else {
            return Ok(());
        };
        if Instant::now() >= until {
            let shown = shown.get(key).map_or("", String::as_str);
            let cause = format!("`{key}` is to be `{value}` and stays `{shown}`").into();
            return Err(Error::Refused { action: format!("configure topic `{name}`"), cause });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A client that asks on behalf of a group, which it does not join.
pub(super) fn of_group(settings: &Settings, group: &str) -> Result<BaseConsumer<Quiet>, Error> {
    asking_for(settings, group, "read_committed")
        .map_err(|e| Fault::of("creating a client", &e).into_error(&settings.brokers))
}

fn asking_for(settings: &Settings, group: &str, isolation: &str) -> Result<BaseConsumer<Quiet>, KafkaError> {
    let mut config = settings.reader(isolation);
    config.set("group.id", group);
    config.create_with_context(Quiet::default())
}

/// A group's positions as they are, whatever open transactions are about to make of them: a client that reads what is uncommitted does
/// not ask for stable ones (KIP-447).
pub(super) fn unstable(
    settings: &Settings,
    group: &str,
    partitions: TopicPartitionList,
    within: Duration,
) -> Result<TopicPartitionList, KafkaError> {
    asking_for(settings, group, "read_uncommitted")?.committed_offsets(partitions, within)
}

/// A group's positions against the ends of the topics' partitions.
pub(super) fn progress(
    settings: &Settings,
    asker: &BaseConsumer<Quiet>,
    (group, of_group): (&str, &BaseConsumer<Quiet>),
    topics: &[&str],
) -> Result<Vec<Progress>, Error> {
    let away = |call, e: &KafkaError| Fault::of(call, e).into_error(&settings.brokers);
    let mut list = TopicPartitionList::new();
    for (name, partitions) in partitions(settings, asker, topics)? {
        for number in 0..partitions {
            list.add_partition(&name, number);
        }
    }
    if list.count() == 0 {
        return Ok(Vec::new());
    }
    // A transaction that does not end must not hide how far the group is behind.
    let anyway = |error| match Fault::of("reading committed positions", &error).demand {
        Demand::Retry => unstable(settings, group, list.clone(), ASK).map_err(|_| error),
        Demand::Abort | Demand::Replace => Err(error),
    };
    let committed = of_group.committed_offsets(list.clone(), ASK).or_else(anyway);
    let committed = committed.map_err(|e| away("reading committed positions", &e))?;
    let bounds = |at| bounds(of_group, &committed, at).map_err(|e| away("reading the bounds of partitions", &e));
    let (starts, ends) = (bounds(Place::Beginning)?, bounds(Place::End)?);
    let mut all = Vec::new();
    for element in committed.elements() {
        let partition = Partition::new(element.topic(), element.partition());
        let (Some(start), Some(end)) = (starts.get(&partition).copied(), ends.get(&partition).copied()) else {
            continue;
        };
        let position = match element.offset() {
            Place::Offset(next) if (end - MARKERS_MAX..end).contains(&next) => {
                let only_markers = only_markers_from(of_group, element.topic(), element.partition(), next);
                Some(if only_markers.map_err(|e| away("reading behind a position", &e))? { end } else { next })
            }
            Place::Offset(next) => Some(next),
            _ => None,
        };
        all.push(Progress { partition, position, start, end });
    }
    Ok(all)
}

/// Where each partition begins or ends, asked of each leader once. librdkafka hands these places on as Kafka's `ListOffsets` has them,
/// in the place of a time; the end is that of what is committed, because the reader reads no more.
fn bounds(
    reader: &BaseConsumer<Quiet>,
    partitions: &TopicPartitionList,
    at: Place,
) -> Result<BTreeMap<Partition, Offset>, KafkaError> {
    let mut list = TopicPartitionList::new();
    for element in partitions.elements() {
        list.add_partition_offset(element.topic(), element.partition(), at)?;
    }
    let found = reader.offsets_for_times(list, ASK)?;
    let mut bounds = BTreeMap::new();
    for element in found.elements() {
        element.error()?;
        if let Place::Offset(offset) = element.offset() {
            bounds.insert(Partition::new(element.topic(), element.partition()), offset);
        }
    }
    Ok(bounds)
}

/// Whether no record lies between an offset and the end of what is committed. Positions are those after events, and each
/// transaction leaves a marker behind its records: without this a group that has read all would never be done.
fn only_markers_from(
    reader: &BaseConsumer<Quiet>,
    topic: &str,
    partition: i32,
    from: Offset,
) -> Result<bool, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Place::Offset(from))?;
    reader.assign(&list)?;
    let only_markers = match reader.poll(MARKERS_WAIT) {
        Some(Err(KafkaError::PartitionEOF(_))) => true,
        Some(Err(error)) => return Err(error),
        Some(Ok(_)) | None => false,
    };
    reader.unassign()?;
    Ok(only_markers)
}
