//! What a host says of deployments as it follows them: in its status and in the log.

use std::sync::{Arc, Mutex};

use crate::admin::metrics::Metrics;
use crate::admin::status::{Deployments, OnTrial, Status};
use crate::deploy::Active;
use crate::deploy::book::{Deployment, Number};
use crate::deploy::follow::Witness;
use crate::deploy::trial::Blame;
use crate::event::Digest;
use crate::sync::lock;

/// Shows it.
pub(super) struct Seen {
    status: Arc<Status>,
    metrics: Arc<Metrics>,
    /// What was said last, so that it is said once.
    said: Mutex<Option<String>>,
}

impl Seen {
    pub(super) fn new(status: Arc<Status>, metrics: Arc<Metrics>) -> Self {
        Self { status, metrics, said: Mutex::default() }
    }

    fn runs(&self, function: &str, version: Digest) {
        self.status.set_version(function, version);
        self.metrics.activated(function, version);
    }
}

impl Witness for Seen {
    fn activated(&self, function: &str, version: Digest, deployment: &Deployment) {
        tracing::info!(function, version = version.short(), deployment = deployment.number, "handles the next batch");
        self.runs(function, version);
    }

    fn shadowed(&self, function: &str, candidate: Digest) {
        tracing::info!(function, candidate = candidate.short(), "a candidate is beside the active version");
    }

    fn failed(&self, blame: &Blame, active: Option<Digest>, number: Option<Number>) {
        let Blame { function, version, reason } = blame;
        let (version, back_to) = (version.short(), active.map(|digest| digest.short()));
        tracing::error!(
            target: "audit", what = "take back", function, version, back_to, reason, deployment = number,
            "a new version failed where the one before it did not; no event was lost to it",
        );
        if let Some(active) = active {
            self.runs(function, active);
        }
    }

    fn reached(&self, active: &Active, held_up: Option<String>) {
        let number = active.number;
        let mut said = lock(&self.said);
        if *said != held_up {
            if let Some(why) = &held_up {
                tracing::error!(why, reached = number, "what is deployed cannot be run here; trying again");
            } else {
                tracing::info!(reached = number, "all that is deployed runs here");
            }
            said.clone_from(&held_up);
        }
        self.metrics.deployment(number, held_up.is_some());
        let on_trial = active.trials.iter().filter(|(_, trial)| !trial.is_over());
        let on_trial = on_trial.map(|(function, trial)| OnTrial {
            function: function.clone(),
            version: trial.version.to_string(),
            events_left: trial.events_left(),
        });
        self.status.set_deployments(Deployments { number, held_up, on_trial: on_trial.collect() });
    }
}
