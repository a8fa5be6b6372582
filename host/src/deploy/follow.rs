//! A host follows the deployments topic: what it says becomes active here, one deployment after the other.
//!
//! A [`Follower`] is one thread. It reads the topic every [`EVERY`], and at once when it is nudged. For each deployment that is not
//! active yet it fetches and loads the version, which may take seconds of compiling, and only then hands it to the workers. A version
//! that cannot be loaded here holds up those after it: the host says so and tries again, and its partitions go on with what was
//! active, but none is taken over from a host that is further.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::book::{Deployed, Deployment, Number};
use super::ledger::{FetchError, Ledger, WriteError};
use super::shadow::Shadow;
use super::trial::{self, Blame};
use super::{Active, Deploy, Step};
use crate::broker::{Cause, Error};
use crate::event::Digest;
use crate::invocation::Handler;
use crate::sync::lock;

/// How often the topic is looked at.
pub const EVERY: Duration = Duration::from_millis(500);

/// How often what cannot be loaded is tried again, at least.
const HELD_UP_MAX: Duration = Duration::from_secs(30);

/// Makes versions of what was deployed. Off the workers' threads: it may take long.
pub trait Loader: Send + Sync {
    /// The version that the app came with.
    ///
    /// # Errors
    /// Why there is none.
    fn own(&self, function: &str) -> Result<Arc<dyn Handler>, Cause>;

    /// The version of these bytes; `fetch` gets them, if they are not at hand.
    ///
    /// # Errors
    /// Why it cannot be run here, or what `fetch` says.
    fn deployed(
        &self,
        digest: Digest,
        fetch: &mut dyn FnMut() -> Result<Vec<u8>, Cause>,
    ) -> Result<Arc<dyn Handler>, Cause>;

    /// These are the versions that may still be asked for.
    fn keep(&self, digests: &BTreeSet<Digest>);
}

/// Told what a follower does.
pub trait Witness: Send + Sync {
    /// A function's workers handle their next batch with this version.
    fn activated(&self, function: &str, version: Digest, deployment: &Deployment);

    /// A candidate is beside the function's active version.
    fn shadowed(&self, function: &str, candidate: Digest);

    /// A version failed, `active` took its place here, and deployment `number` tells every host; `None` when they knew.
    fn failed(&self, blame: &Blame, active: Option<Digest>, number: Option<Number>);

    /// This is active here, and this keeps the host from the next deployment, if anything does. Told again and again.
    fn reached(&self, active: &Active, held_up: Option<String>);
}

/// What follows.
pub struct Follower {
    /// What is followed.
    pub ledger: Arc<Ledger>,
    /// Where it becomes active.
    pub deploy: Arc<Deploy>,
    /// What makes versions.
    pub loader: Arc<dyn Loader>,
    /// Told of it.
    pub witness: Arc<dyn Witness>,
    /// The functions that this host runs. Deployments of others are passed over.
    pub functions: BTreeSet<String>,
    /// Set when the host ends.
    pub stop: Arc<AtomicBool>,
    /// Wakes it.
    pub nudge: Arc<Nudge>,
}

/// Wakes a follower before its time.
#[derive(Default)]
pub struct Nudge {
    due: Mutex<bool>,
    changed: Condvar,
}

impl Nudge {
    /// Has it look at once.
    pub fn nudge(&self) {
        *lock(&self.due) = true;
        self.changed.notify_all();
    }

    fn wait(&self, within: Duration) {
        let due = lock(&self.due);
        let waited = self.changed.wait_timeout_while(due, within, |due| !*due);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

impl Follower {
    /// Follows until it is told to stop.
    pub fn run(&self) {
        let mut wait = EVERY;
        while !self.stop.load(Ordering::Relaxed) {
            self.nudge.wait(wait);
            self.tell();
            wait = match self.follow() {
                Ok(true) => EVERY,
                // To load it may cost a core for a minute.
                Ok(false) => (wait * 2).min(HELD_UP_MAX),
                Err(error) => {
                    // That the broker is away is said by whoever watches it.
                    if !matches!(error, Error::Away { .. }) {
                        let why = format!("{:#}", anyhow::Error::new(error));
                        self.witness.reached(&self.deploy.active(), Some(why));
                    }
                    EVERY
                }
            };
        }
    }

    /// Reads what was deployed and makes it active, as far as it can be loaded here. Says whether all of it is.
    ///
    /// # Errors
    /// The topic cannot be read.
    pub fn follow(&self) -> Result<bool, Error> {
        self.ledger.catch_up()?;
        let book = self.ledger.book();
        let unreadable = self.ledger.unreadable().into_iter().find(|(function, _)| self.functions.contains(function));
        let reached = self.deploy.active().number;
        let mut newer: Vec<&Deployment> = book.functions().filter(|d| d.number > reached).collect();
        newer.sort_by_key(|deployment| deployment.number);
        for deployment in newer {
            if let Err(cause) = self.take(deployment) {
                let cause = anyhow::Error::from_boxed(cause);
                let why = format!("deployment {} of `{}`: {cause:#}", deployment.number, deployment.function);
                self.witness.reached(&self.deploy.active(), Some(why));
                return Ok(false);
            }
        }
        if reached < book.number() {
            self.deploy.pass(book.number());
            self.loader.keep(&book.functions().flat_map(Deployment::kept).map(|version| version.digest).collect());
        }
        let held_up = unreadable.map(|(function, why)| {
            format!("the newest record of `{function}` on `{}` is none: {why}; deploy it again", self.ledger.topic())
        });
        self.witness.reached(&self.deploy.active(), held_up);
        Ok(true)
    }

    /// Makes one deployment active.
    fn take(&self, deployment: &Deployment) -> Result<(), Cause> {
        let (function, number) = (deployment.function.as_str(), deployment.number);
        if !self.functions.contains(function) {
            self.deploy.pass(number);
            return Ok(());
        }
        let version = match deployment.active {
            None => self.loader.own(function)?,
            Some(digest) => {
                let known = deployment.versions.iter().find(|version| version.digest == digest);
                self.load(known.ok_or("the version that is to be active is not among those that are kept")?)?
            }
        };
        let digest = version.digest();
        let was = self.deploy.active().versions.get(function).cloned();
        let previous = self.previous(deployment, was.as_ref());
        // It could not read what this one wrote.
        let previous = previous.filter(|previous| previous.state_format() == version.state_format());
        let shadow = self.shadow(deployment, &version, was.as_ref())?;
        self.deploy.advance(number, function, Step { version, previous, shadow });
        if was.is_none_or(|was| was.digest() != digest) {
            self.witness.activated(function, digest, deployment);
        }
        Ok(())
    }

    fn load(&self, deployed: &Deployed) -> Result<Arc<dyn Handler>, Cause> {
        let (digest, module) = (deployed.digest, deployed.module);
        self.loader.deployed(digest, &mut || Ok(self.ledger.fetch(digest, module)?))
    }

    /// The candidate that is to be beside `version`. It is no reason to stay behind: where it cannot be run, there is none.
    /// `was` is what it was beside until now.
    fn shadow(
        &self,
        deployment: &Deployment,
        version: &Arc<dyn Handler>,
        was: Option<&Arc<dyn Handler>>,
    ) -> Result<Option<Arc<Shadow>>, Cause> {
        let function = &deployment.function;
        let Some(wanted) = &deployment.shadow else { return Ok(None) };
        let known = self.deploy.active().shadows.get(function).cloned();
        let is_compared_with_it = was.is_some_and(|was| was.digest() == version.digest());
        if let Some(known) = known.filter(|known| known.version.digest() == wanted.digest && is_compared_with_it) {
            return Ok(Some(known));
        }
        let loaded = self.load(wanted);
        match loaded {
            Ok(candidate) if candidate.state_format() == version.state_format() => {
                self.witness.shadowed(function, candidate.digest());
                Ok(Shadow::new(candidate).map(Arc::new))
            }
            Ok(candidate) => {
                let (format, active) = (candidate.state_format(), version.state_format());
                tracing::warn!(
                    function,
                    format,
                    active,
                    "the candidate cannot read the active version's state, and is not run"
                );
                Ok(None)
            }
            Err(cause) if is_away(&cause) => Err(cause),
            Err(error) => {
                tracing::warn!(function, %error, "the candidate cannot be run here");
                Ok(None)
            }
        }
    }

    /// What the version that a deployment brought is on trial against, if it is: it must be new, and there must be one before it.
    fn previous(&self, deployment: &Deployment, was: Option<&Arc<dyn Handler>>) -> Option<Arc<dyn Handler>> {
        let (brought, others) = deployment.versions.split_first()?;
        let before = others.iter().find(|version| version.failed.is_none());
        // What this host had already is no trial, nor what it goes back to.
        let is_brought = brought.number > self.deploy.active().number;
        let at = UNIX_EPOCH + Duration::from_millis(brought.at_ms);
        // One of the future is as new as any: clocks differ.
        let is_new = SystemTime::now().duration_since(at).map_or(true, |age| age < trial::TIME);
        if !is_brought || !is_new {
            return None;
        }
        let Some(before) = before else { return was.map(Arc::clone) };
        match was.filter(|was| was.digest() == before.digest) {
            Some(was) => Some(Arc::clone(was)),
            None => self
                .load(before)
                .inspect_err(|error| tracing::warn!(function = deployment.function, %error, "there is nothing to try it against"))
                .ok(),
        }
    }

    /// Has every host go back from versions that were taken back here.
    fn tell(&self) {
        for blame in self.deploy.blamed() {
            let Blame { function, version, reason } = &blame;
            let active = self.deploy.digests().get(function).copied();
            match self.ledger.write(self.deploy.seen(), |book, _| book.fail(function, *version, reason)) {
                Ok(deployment) => self.witness.failed(&blame, active, Some(deployment.number)),
                // Somebody else found it out, or went on from it.
                Err(WriteError::Refused(_)) => {
                    self.witness.failed(&blame, active, None);
                }
                Err(error) => {
                    tracing::warn!(function, %error, "that a version failed could not be told; trying again");
                    continue;
                }
            }
            self.deploy.told(&blame);
        }
    }
}

/// Whether the broker was not there to give the bytes: the next time it may be.
fn is_away(cause: &Cause) -> bool {
    matches!(cause.downcast_ref(), Some(FetchError::Broker(Error::Away { .. })))
}
