//! Candidates beside active versions over HTTP: what is known of one, and its end.
//!
//! A candidate comes as a version does, by `POST /functions/NAME/versions?shadow=true`, through the same steps. What is known of it is
//! this host's: how many events it was beside, and what differed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};

use super::problems::{noted, unreadable, unwritten};
use super::steps::own_beneath;
use super::wire::{Changed, VersionView};
use super::{Deployments, Problem, audit, blocking, viewed};
use crate::deploy::book::Candidate;
use crate::deploy::shadow::{Difference, Example, Tally, Times};
use crate::worker::error_event::epoch_ms;

/// What is known of a candidate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShadowView {
    /// The function.
    pub function: String,
    /// The candidate.
    pub candidate: VersionView,
    /// What this host knows of it; `None` while it does not run here.
    pub here: Option<Known>,
}

/// What one host knows of a candidate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Known {
    /// Events that both handled.
    pub events: u64,
    /// Those of which both made the same.
    pub same: u64,
    /// Those that one fails and the other does not, or for other reasons.
    pub verdict: u64,
    /// Those that both apply, and publish something else.
    pub outputs: u64,
    /// Those of which they publish the same, and keep something else.
    pub state: u64,
    /// Those that the candidate was not given, because it would have held up the active version.
    pub passed_over: u64,
    /// Those that the candidate was stopped in the middle of, for the same reason.
    pub cut_short: u64,
    /// What the active version's invocations took.
    pub active_took: Took,
    /// What the candidate's took.
    pub candidate_took: Took,
    /// Some that differ, the oldest first.
    pub examples: Vec<ExampleView>,
}

/// How long invocations took, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Took {
    /// Half of them at most.
    pub p50_us: f64,
    /// All but one in a hundred at most.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// One event that the two made something else of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExampleView {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// In what they differ: `verdict`, `outputs` or `state`.
    pub differ_in: String,
    /// What the active version did.
    pub active: String,
    /// What the candidate would have done.
    pub candidate: String,
}

impl Known {
    fn of(tally: &Tally) -> Self {
        let [verdict, outputs, state] = tally.differ;
        Self {
            events: tally.same + verdict + outputs + state,
            same: tally.same,
            verdict,
            outputs,
            state,
            passed_over: tally.passed_over,
            cut_short: tally.cut_short,
            active_took: Took::of(tally.active_times()),
            candidate_took: Took::of(tally.candidate_times()),
            examples: tally.examples.iter().map(ExampleView::of).collect(),
        }
    }
}

impl Took {
    fn of(times: Times) -> Self {
        let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
        Self { p50_us: micros(times.p50), p99_us: micros(times.p99), max_us: micros(times.max) }
    }
}

impl ExampleView {
    fn of(example: &Example) -> Self {
        let Example { partition, offset, difference, active, candidate } = example;
        Self {
            topic: partition.topic.to_string(),
            partition: partition.number,
            offset: *offset,
            differ_in: Difference::name(*difference).to_owned(),
            active: active.clone(),
            candidate: candidate.clone(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Asked {
    version: String,
    note: Option<String>,
}

impl Deployments {
    fn shadow(&self, function: &str) -> Result<ShadowView, Problem> {
        let book = self.ledger.book();
        let shadow = book.shadow_of(function).map_err(|refusal| unwritten(function, refusal.into()))?;
        let runs = self.deploy.active().shadows.get(function).cloned();
        let runs = runs.filter(|runs| runs.version.digest() == shadow.digest);
        Ok(ShadowView {
            function: function.to_owned(),
            candidate: viewed(shadow, None),
            here: runs.map(|runs| Known::of(&runs.tally())),
        })
    }

    /// Makes the candidate the active version, which it is on trial as, like any that was deployed.
    fn promote(&self, function: &str, version: &str, note: Option<String>) -> Result<Changed, Problem> {
        let base = self.base(function)?;
        let own = self.stage.own(function);
        let was = self.state_format(function);
        let mut format = None;
        let changed = self.change(function, base, false, |book, layout| {
            let shadow = book.shadow_named(function, version)?;
            format.clone_from(&shadow.state_format);
            let note = note.unwrap_or_else(|| shadow.note.clone());
            let (bytes, state_format) = (shadow.module.bytes, shadow.state_format.clone());
            let candidate = Candidate { digest: shadow.digest, bytes, note, state_format };
            let own = own_beneath(book, function, own.as_ref(), layout);
            book.deploy(function, candidate, shadow.module, own, epoch_ms(SystemTime::now()))
        })?;
        // Another version may have become active beside it.
        Ok(Changed { state_format: format.filter(|format| was.as_ref() != Some(format)), ..changed })
    }

    fn discard(&self, function: &str, version: &str) -> Result<Changed, Problem> {
        let base = self.base(function)?;
        let changed = self.change(function, base, false, |book, _| book.discard(function, version))?;
        // The active version stays, whoever it came from.
        Ok(Changed { active: changed.was, ..changed })
    }
}

pub(super) async fn get(
    State(deployments): State<Arc<Deployments>>,
    Path(function): Path<String>,
) -> Result<Json<ShadowView>, Problem> {
    deployments.known(&function)?;
    Ok(Json(deployments.shadow(&function)?))
}

pub(super) async fn promote(
    State(deployments): State<Arc<Deployments>>,
    Path(function): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Changed>, Problem> {
    let asked = deployments.known(&function).and_then(|()| {
        let Query(Asked { version, note }) = asked.map_err(|error| unreadable(error.body_text()))?;
        Ok((version, note.map(noted).transpose()?))
    });
    let (version, note) = match asked {
        Ok(asked) => asked,
        Err(problem) => return audit(&function, "promote", None, Err(problem)),
    };
    let (name, said) = (function.clone(), note.clone());
    blocking(&deployments, name, "promote", said, move |deployments| deployments.promote(&function, &version, note))
        .await
}

pub(super) async fn discard(
    State(deployments): State<Arc<Deployments>>,
    Path(function): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Changed>, Problem> {
    let asked = deployments.known(&function).and_then(|()| asked.map_err(|error| unreadable(error.body_text())));
    let version = match asked {
        Ok(Query(Asked { version, .. })) => version,
        Err(problem) => return audit(&function, "discard", None, Err(problem)),
    };
    let name = function.clone();
    blocking(&deployments, name, "discard", None, move |deployments| deployments.discard(&function, &version)).await
}
