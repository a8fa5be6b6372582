//! Apache Kafka behind the broker seam, over rdkafka.
//!
//! Everything about librdkafka stays in here: its properties (`settings`), callbacks (`context`), error classes
//! (`errors`) and the lives of its producers. What decides (`membership`, `commit`) speaks to librdkafka through one
//! trait (`client`), so that a model can stand in its place.
//!
//! - `commit` is the path of a transaction, and the only place that commits.
//! - `replay` reads changelogs; `publisher` stores what ingress takes in; `exclusive` writes what belongs to no partition.
//! - `admin` asks about and changes topics; `probe` finds out whether the broker can give the guarantee.
//! - `watchdog` ends a process that hangs in a call; `silence` tells when a client is to be
//!   replaced, and `ending` lets it take its time to end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use self::admin::Admin;
use self::context::Quiet;
use self::errors::Fault;
use self::membership::KafkaMembership;
use self::rdkafka_client::RdkafkaClient;
use self::replay::{KafkaReplay, Readers};
use self::settings::Settings;
use self::silence::Silence;
use self::watchdog::Guard;
use super::{Broker, Error, Exclusive, Identity, Member, Membership, Progress, Publisher, Replay, Topic, TopicChange};
use crate::event::{Offset, Partition};
use crate::sync::lock;

mod admin;
mod client;
mod commit;
mod context;
mod ending;
mod errors;
mod exclusive;
mod membership;
mod polled;
mod probe;
mod publisher;
mod rdkafka_client;
mod replay;
mod settings;
mod silence;
mod watchdog;

/// One question about a partition.
const ASK: Duration = Duration::from_secs(10);

/// A Kafka cluster as one host sees it.
pub struct Kafka {
    settings: Settings,
    /// Reads uncommitted: its high watermarks are the true ends.
    asker: Mutex<Arc<BaseConsumer<Quiet>>>,
    /// Whether it is answered.
    silence: Mutex<Silence>,
    readers: Arc<Readers>,
    /// Looks at topics and changes them, until that fails. To connect takes longer than most changes do.
    admin: Mutex<Option<Arc<Admin>>>,
    /// Ask for the positions of groups, by group. As many as the app has groups.
    group_askers: Mutex<BTreeMap<String, BaseConsumer<Quiet>>>,
    /// Whether the last question was answered. Written by [`Kafka::check`], read by publishers.
    reachable: Arc<AtomicBool>,
    /// Found out once: a broker does not change under a running host.
    identity: Mutex<Option<Identity>>,
}

impl Kafka {
    /// A handle on the cluster at `brokers` (`HOST:PORT`, comma-separated). Connects in the background.
    ///
    /// # Errors
    /// [`Error::Config`] when librdkafka refuses a property or its value.
    pub fn connect(brokers: &str, properties: &BTreeMap<String, String>, app: &str) -> Result<Self, Error> {
        let settings = Settings { brokers: brokers.to_owned(), properties: properties.clone(), app: app.to_owned() };
        let asker = asker_of(&settings).map_err(config_error)?;
        let readers = Arc::new(Readers::new(settings.clone()));
        Ok(Self {
            settings,
            asker: Mutex::new(Arc::new(asker)),
            silence: Mutex::default(),
            readers,
            admin: Mutex::default(),
            group_askers: Mutex::default(),
            reachable: Arc::new(AtomicBool::new(false)),
            identity: Mutex::new(None),
        })
    }

    fn asker(&self) -> Arc<BaseConsumer<Quiet>> {
        Arc::clone(&lock(&self.asker))
    }

    /// Asks through new clients from now on: some never find back ([`silence::SILENT`]).
    fn renew(&self) {
        let Ok(asker) = asker_of(&self.settings) else { return };
        ending::end(std::mem::replace(&mut *lock(&self.asker), Arc::new(asker)));
        // Whoever asks with them right now would be waited for.
        let of_groups = self.group_askers.try_lock().map(|mut askers| std::mem::take(&mut *askers)).unwrap_or_default();
        ending::end(Arc::new((of_groups, self.readers.renew())));
    }

    /// Notes whether a question was answered.
    fn answered(&self, is_answered: bool) {
        let mut silence = lock(&self.silence);
        silence.note(is_answered);
        if silence.too_long().is_some() {
            *silence = Silence::default();
            drop(silence);
            self.renew();
        }
    }

    /// Looks at topics or changes them.
    fn administer<T>(&self, what: impl FnOnce(&Admin) -> Result<T, Error>) -> Result<T, Error> {
        let mut kept = lock(&self.admin);
        let admin = match kept.take() {
            Some(admin) => admin,
            None => Arc::new(admin::client(&self.settings)?),
        };
        let done = what(&admin);
        match done {
            Ok(_) => *kept = Some(admin),
            Err(_) => ending::end(admin),
        }
        done
    }

    fn bounds(&self, partition: &Partition) -> Result<(Offset, Offset), Error> {
        self.asker().fetch_watermarks(&partition.topic, partition.number, ASK).map_err(|e| {
            use rdkafka::error::RDKafkaErrorCode as Code;
            match e.rdkafka_error_code() {
                Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
                    Error::NoSuchTopic { topic: partition.topic.to_string() }
                }
                _ => Fault::of("reading a partition's bounds", &e).into_error(&self.settings.brokers),
            }
        })
    }
}

fn asker_of(settings: &Settings) -> rdkafka::error::KafkaResult<BaseConsumer<Quiet>> {
    settings.reader("read_uncommitted").create_with_context(Quiet::default())
}

fn config_error(error: rdkafka::error::KafkaError) -> Error {
    match error {
        rdkafka::error::KafkaError::ClientConfig(_, reason, key, _) => Error::Config { key, reason },
        other => Error::Bug { what: "creating a client", cause: Box::new(other) },
    }
}

impl Broker for Kafka {
    fn join(&self, member: &Member) -> Result<Box<dyn Membership>, Error> {
        let client =
            RdkafkaClient::new(&self.settings, member).map_err(|fault| fault.into_error(&self.settings.brokers))?;
        let guard =
            Guard::new(&member.name).map_err(|e| Error::Bug { what: "starting the watchdog", cause: Box::new(e) })?;
        let (endpoint, reachable) = (self.settings.brokers.clone(), Arc::clone(&self.reachable));
        Ok(Box::new(KafkaMembership::new(client, member.clone(), endpoint, guard, reachable)))
    }

    fn replay(&self, partition: &Partition, from: Offset) -> Result<Box<dyn Replay>, Error> {
        Ok(Box::new(KafkaReplay::new(&self.readers, partition, from, self.bounds(partition)?)?))
    }

    fn exclusive(&self, name: &str) -> Result<Box<dyn Exclusive>, Error> {
        Ok(Box::new(exclusive::KafkaExclusive::new(&self.settings, name)?))
    }

    fn publisher(&self) -> Result<Arc<dyn Publisher>, Error> {
        Ok(Arc::new(publisher::KafkaPublisher::new(&self.settings, Arc::clone(&self.reachable))?))
    }

    fn topics(&self, names: &[&str]) -> Result<Vec<Topic>, Error> {
        self.administer(|admin| admin::topics(&self.settings, admin, &self.asker(), names))
    }

    fn partitions(&self, names: &[&str]) -> Result<BTreeMap<String, i32>, Error> {
        admin::partitions(&self.settings, &self.asker(), names)
    }

    fn apply(&self, changes: &[TopicChange]) -> Result<(), Error> {
        self.administer(|admin| changes.iter().try_for_each(|change| admin::apply(&self.settings, admin, change)))
    }

    fn progress(&self, group: &str, topics: &[&str]) -> Result<Vec<Progress>, Error> {
        let mut askers = lock(&self.group_askers);
        if !askers.contains_key(group) {
            askers.insert(group.to_owned(), admin::of_group(&self.settings, group)?);
        }
        let Some(of_group) = askers.get(group) else { return Ok(Vec::new()) };
        let progress = admin::progress(&self.settings, &self.asker(), (group, of_group), topics);
        if let Err(Error::Away { .. }) = progress
            && let Some(of_group) = askers.remove(group)
        {
            ending::end(Arc::new(of_group));
        }
        progress
    }

    fn check(&self, within: Duration) -> Result<Identity, Error> {
        let known = lock(&self.identity).clone();
        let checked = match known {
            Some(identity) => admin::is_answered(&*self.asker(), within)
                .map(|()| identity)
                .map_err(|fault| fault.into_error(&self.settings.brokers)),
            None => probe::identify(&self.settings, within),
        };
        self.reachable.store(checked.is_ok(), Ordering::Relaxed);
        if let Ok(identity) = &checked {
            *lock(&self.identity) = Some(identity.clone());
        }
        self.answered(checked.is_ok());
        checked
    }
}
