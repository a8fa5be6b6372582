//! The watch over the broker: is it there, is it fit, are the topics, how far behind are the groups.
//!
//! Workers wait for its first good answer; readiness and ingress follow it from then on. A broker that is away is waited for
//! without end; one that is unfit, or that lacks the app's topics, ends the host with the command that mends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::admin::metrics::Metrics;
use crate::admin::status::Status;
use crate::app::App;
use crate::broker::{Broker, Error};
use crate::deploy::follow::Follower;
use crate::event::Partition;
use crate::schedule::Timekeeper;

/// How often the broker is asked whether it is there.
const EVERY: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How often the topics are looked for.
const TOPICS_EVERY: Duration = Duration::from_secs(5);
/// How often lag is measured.
const LAG_EVERY: Duration = Duration::from_secs(5);
/// How often a broker that stays away is mentioned.
const REMIND_EVERY: Duration = Duration::from_secs(10);

/// How often in a row a topic must be missing before the host ends.
const MISSING_MAX: u32 = 3;

/// What the watch works with.
pub(super) struct Watch {
    /// What is watched.
    pub(super) broker: Arc<dyn Broker>,
    /// Whose topics and groups.
    pub(super) app: App,
    /// The broker's address, for people.
    pub(super) endpoint: String,
    /// Where lag and the broker's errors are counted.
    pub(super) metrics: Arc<Metrics>,
    /// Where health is shown.
    pub(super) status: Arc<Status>,
    /// Set when the host ends.
    pub(super) stop: Arc<AtomicBool>,
    /// Set here when workers may begin.
    pub(super) begun: Arc<AtomicBool>,
    /// What brings the host up to what is deployed, if it is to.
    pub(super) follower: Option<Arc<Follower>>,
}

impl Watch {
    /// Watches until told to stop.
    ///
    /// # Errors
    /// A broker that cannot be used, a topic that is missing or has another partition count than it must.
    pub(super) fn run(&self) -> Result<(), Error> {
        let mut reminded: Option<Instant> = None;
        let mut looked: Option<Instant> = None;
        let mut missing = 0_u32;
        while !self.stop.load(Ordering::Relaxed) {
            let answer = self.ask(&mut missing);
            answer.as_ref().err().into_iter().for_each(|error| self.metrics.broker_error(error));
            match answer {
                Ok(()) => {
                    if reminded.take().is_some() {
                        tracing::info!(broker = self.endpoint, "the broker answers");
                    }
                    self.status.set_broker_reachable(true);
                    let has_begun = self.begun.load(Ordering::Relaxed);
                    if has_begun && looked.is_none_or(|at| at.elapsed() >= TOPICS_EVERY) {
                        looked = Some(Instant::now());
                        missing = match self.missing(missing) {
                            // What else may be wrong is the business of the next question.
                            Err(error) if !is_missing(&error) => 0,
                            times => times?,
                        };
                    }
                }
                Err(error @ Error::Away { .. }) => {
                    self.status.set_broker_reachable(false);
                    if reminded.is_none_or(|at| at.elapsed() >= REMIND_EVERY) {
                        reminded = Some(Instant::now());
                        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                        tracing::warn!(%error, cause, "waiting for the broker; orders are answered 503");
                    }
                }
                Err(error) => return Err(error),
            }
            self.pause(EVERY);
        }
        Ok(())
    }

    /// Asks once; the first good answer lets the workers begin, once all topics are there. `missing` is how often in a row one was not.
    fn ask(&self, missing: &mut u32) -> Result<(), Error> {
        let identity = self.broker.check(ANSWER)?;
        if !self.begun.load(Ordering::Relaxed) {
            *missing = self.missing(std::mem::take(missing))?;
            if *missing > 0 {
                return Ok(());
            }
            // No event is handled by what was replaced before this host began.
            if self.follower.as_ref().map_or(Ok(true), |follower| follower.follow())? {
                tracing::info!(broker = self.endpoint, identity = identity.name, "connected");
                self.begun.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Follows what is deployed until told to stop.
    pub(super) fn follow(&self) -> Result<(), Error> {
        while !self.begun.load(Ordering::Relaxed) {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        if let Some(follower) = &self.follower {
            follower.run();
        }
        Ok(())
    }

    /// Every topic of the app, every changelog and the topics of deployments and schedules must be there; a changelog must have its input's partition count.
    fn check_topics(&self) -> Result<(), Error> {
        let (changelogs, deployments) = (self.app.changelogs(), self.app.deployments_topic());
        let schedules = self.app.schedules_topic();
        let own = changelogs.keys().chain([&deployments]).chain(&schedules).map(String::as_str);
        let names: Vec<&str> = self.app.topics.keys().map(AsRef::as_ref).chain(own).collect();
        let found = self.broker.partitions(&names)?;
        let partitions = |name: &str| found.get(name).copied();
        if let Some(missing) = names.iter().find(|name| partitions(name).is_none()) {
            return Err(Error::NoSuchTopic { topic: (*missing).to_owned() });
        }
        for (changelog, input) in &changelogs {
            let (has, wants) = (partitions(changelog), partitions(input));
            if has != wants {
                let reason = format!(
                    "it has {} partitions and `{input}` has {}; state belongs to an input's partition",
                    has.unwrap_or(0),
                    wants.unwrap_or(0)
                );
                return Err(Error::Unfit { name: format!("topic `{changelog}`"), reason });
            }
        }
        Ok(())
    }

    /// Looks whether the topics are there; `times` is how often in a row one was missing. A broker that has only just come up may not
    /// know of all of them yet, nor every broker of one that was only just made.
    fn missing(&self, times: u32) -> Result<u32, Error> {
        match self.check_topics() {
            Ok(()) => Ok(0),
            Err(error) if is_missing(&error) && times + 1 < MISSING_MAX => Ok(times + 1),
            Err(error) => Err(error),
        }
    }

    /// Measures lag until told to stop. Apart from [`Watch::run`], which must not wait for a partition that does not answer.
    pub(super) fn measure_lag(&self) -> Result<(), Error> {
        while !self.stop.load(Ordering::Relaxed) {
            if self.begun.load(Ordering::Relaxed) && self.status.is_broker_reachable() {
                self.measure();
                self.pause(LAG_EVERY);
            } else {
                self.pause(EVERY);
            }
        }
        Ok(())
    }

    fn measure(&self) {
        for (group, functions) in self.app.groups() {
            let inputs = App::inputs(&functions);
            let names: Vec<&str> = inputs.iter().map(AsRef::as_ref).collect();
            match self.broker.progress(&group, &names) {
                Ok(progress) => {
                    for of in &progress {
                        let partition: &Partition = &of.partition;
                        self.metrics.lag(&group, partition, of.lag());
                    }
                    self.status.set_lag(&group, &progress);
                }
                Err(error) => {
                    self.metrics.broker_error(&error);
                    tracing::debug!(%error, group, "lag cannot be measured");
                }
            }
        }
    }

    /// Writes the ticks of the app's schedules until told to stop, when no other host does.
    pub(super) fn tick(&self) -> Result<(), Error> {
        let (broker, metrics) = (Arc::clone(&self.broker), Arc::clone(&self.metrics));
        let Some(mut timekeeper) = Timekeeper::new(&self.app, broker, metrics, Arc::new(SystemTime::now)) else {
            return Ok(());
        };
        while !self.stop.load(Ordering::Relaxed) {
            if !self.begun.load(Ordering::Relaxed) || !self.status.is_broker_reachable() {
                self.pause(Duration::from_millis(50));
                continue;
            }
            match timekeeper.step() {
                Ok(wait) => self.pause(wait),
                Err(error) => {
                    self.metrics.broker_error(&error);
                    tracing::warn!(
                        error = format!("{:#}", anyhow::Error::new(error)),
                        "no ticks could be written; trying again"
                    );
                    self.pause(EVERY);
                }
            }
        }
        Ok(())
    }

    fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while !self.stop.load(Ordering::Relaxed) && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

/// Whether a topic is missing, or not what it must be.
fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NoSuchTopic { .. } | Error::Unfit { .. })
}
