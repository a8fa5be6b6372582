//! Versions of functions over HTTP: what there is, and what changes it.
//!
//! | request | answers |
//! |---|---|
//! | `GET /functions/NAME/versions` | [`View`]: what was deployed, the version last made active first |
//! | `POST /functions/NAME/versions?note=…&allow-wider=true&dry-run=true` | 200 [`Changed`]: the body is a component, which every host activates between two batches |
//! | the same with `shadow=true` | 200 [`Changed`]: every host runs it beside the active version, and what it does goes nowhere |
//! | `GET /functions/NAME/shadow` | [`ShadowView`]: what is known of that candidate |
//! | `POST /functions/NAME/shadow/promote?version=DIGITS&note=…` | 200 [`Changed`]: that candidate becomes the active version |
//! | `DELETE /functions/NAME/shadow?version=DIGITS` | 200 [`Changed`]: there is no candidate any more |
//! | `POST /functions/NAME/rollback` | 200 [`Changed`]: `{"version": DIGITS}`, or `{}` for the version that was active before |
//! | `DELETE /functions/NAME/versions` | 200 [`Changed`]: forgets what was deployed; the app's own component is active again |
//!
//! A component passes every step before anything is written: its size, its digest (`Content-Digest`, RFC 9530), a compiler in a
//! process of its own with limits of time and memory, the contract, an instance, and what it imports beside what the active version
//! does. What is refused changes nothing. One change at a time; of two that were asked for at once, on whichever hosts, one is refused,
//! because what it was made upon is no longer what there is.
//!
//! Refused: components of more than [`COMPONENT_BYTES_MAX`], or that take longer than `UPLOAD_WITHIN` to arrive. Every change, and
//! every attempt that is refused, is a line of the log with target `audit`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::EXPECT;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task;

pub use self::problems::{NOTE_RULE, is_note};
use self::problems::{noted, unread, unreadable, unwritten};
pub use self::shadow::{ExampleView, Known, ShadowView, Took};
pub use self::steps::{Own, Refused, Stage, Staged};
use self::wire::digest_of;
pub use self::wire::{Changed, Rollback, VersionView, View, content_digest};
use super::status::Status;
use crate::app::fault::instead_of;
use crate::deploy::Deploy;
use crate::deploy::book::{Book, Change, Deployed, Deployment, Number, Refusal};
use crate::deploy::follow::Nudge;
use crate::deploy::ledger::{Layout, Ledger, WriteError};
use crate::event::Digest;
use crate::ingress::body;
use crate::ingress::problem::Problem;
use crate::worker::error_event::rfc3339;

mod problems;
mod shadow;
mod steps;
#[cfg(test)]
mod tests;
mod wire;

/// The largest component.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// How long a component may take to arrive.
const UPLOAD_WITHIN: Duration = Duration::from_secs(60);
/// How long an answer waits until its host does what it says.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks whether it does.
const LOOK: Duration = Duration::from_millis(10);

/// What deployments are made with.
pub struct Deployments {
    /// The functions of the app.
    pub functions: BTreeSet<String>,
    /// Where they are written.
    pub ledger: Arc<Ledger>,
    /// What is active here.
    pub deploy: Arc<Deploy>,
    /// Looks at components.
    pub stage: Arc<dyn Stage>,
    /// Wakes what follows the ledger here.
    pub nudge: Arc<Nudge>,
    /// Whether the broker is there.
    pub status: Arc<Status>,
    /// One change at a time: compiling takes a core.
    pub slot: Semaphore,
    /// Whether this host follows the ledger. One that is for developing does not, and deploys nothing.
    pub follows: bool,
}

/// No parameters: one that is not known must not be taken for done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Asked {
    note: String,
    allow_wider: bool,
    dry_run: bool,
    shadow: bool,
}

/// The paths of [`Deployments`].
pub(super) fn routes(deployments: Arc<Deployments>) -> Router {
    let refused = |allowed: &'static str| {
        move || async move {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not served at this path").allow(allowed)
        }
    };
    let versions = get(versions).post(deploy).delete(remove).fallback(refused("GET, HEAD, POST, DELETE"));
    Router::new()
        .route("/functions/{function}/versions", versions)
        .route(
            "/functions/{function}/shadow",
            get(shadow::get).delete(shadow::discard).fallback(refused("GET, HEAD, DELETE")),
        )
        .route("/functions/{function}/shadow/promote", post(shadow::promote).fallback(refused("POST")))
        .route("/functions/{function}/rollback", post(rollback).fallback(refused("POST")))
        .with_state(deployments)
}

impl Deployments {
    /// That there is such a function.
    fn known(&self, function: &str) -> Result<(), Problem> {
        // What was deployed of a function that the app has no more can still be removed.
        if self.functions.contains(function) || self.ledger.book().function(function).is_some() {
            return Ok(());
        }
        let own: Vec<&str> = self.functions.iter().map(String::as_str).collect();
        let detail = instead_of(function, &own);
        Err(Problem::new(StatusCode::NOT_FOUND, "the app has no such function").detail(detail))
    }

    fn admit(&self) -> Result<SemaphorePermit<'_>, Problem> {
        if !self.follows {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "this host runs what is built, and nothing that is deployed",
            )
            .detail("fnhost dev takes every saved change; deploy to a host that fnhost run started"));
        }
        if !self.status.is_broker_reachable() {
            return Err(
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the broker is away").detail("ask again when it is back")
            );
        }
        self.slot.try_acquire().map_err(|_| {
            Problem::new(StatusCode::CONFLICT, "another deployment is under way on this host")
                .detail("ask again when it is through")
        })
    }

    fn view(&self, function: &str) -> View {
        let book = self.ledger.book();
        let known = book.function(function);
        let version = |deployed: &Deployed| viewed(deployed, known.and_then(|known| known.active));
        View {
            function: function.to_owned(),
            active: self.active(function),
            number: known.map_or(0, |known| known.number),
            versions: known.into_iter().flat_map(|known| &known.versions).map(version).collect(),
            shadow: known.and_then(|known| known.shadow.as_ref()).map(version),
        }
    }

    fn active(&self, function: &str) -> Option<Digest> {
        self.deploy.digests().get(function).copied()
    }

    /// The layout of the state that a function's active version keeps.
    fn state_format(&self, function: &str) -> Option<String> {
        self.deploy.active().versions.get(function).map(|version| version.state_format().to_owned())
    }

    /// The newest deployment of a function, which this host follows. One that it cannot load must not keep what mends that from being
    /// deployed.
    fn base(&self, function: &str) -> Result<Number, Problem> {
        self.ledger.catch_up().map_err(unread)?;
        let book = self.ledger.book();
        if !self.is_followed(book.number()) && self.status.deployments().held_up.is_none() {
            let title = "this host does not run the newest deployment yet";
            return Err(Problem::new(StatusCode::CONFLICT, title).detail("nothing was changed; ask again in a while"));
        }
        Ok(number_of(&book, function))
    }

    /// Whether this host follows a deployment, after a while.
    fn is_followed(&self, number: Number) -> bool {
        let until = Instant::now() + FOLLOWED_WITHIN;
        self.nudge.nudge();
        while self.deploy.active().number < number {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    /// Writes a change that is made upon this deployment of the function, and has this host follow it at once; a dry run only says what it
    /// would be.
    fn change<'a>(
        &self,
        function: &str,
        base: Number,
        dry_run: bool,
        change: impl FnOnce(&Book, &mut Layout<'a>) -> Result<Change, Refusal>,
    ) -> Result<Changed, Problem> {
        let (mut was, mut candidate) = (None, None);
        let change = |book: &Book, layout: &mut Layout<'a>| {
            if number_of(book, function) != base {
                return Err(Refusal::Overtaken(function.to_owned()));
            }
            was = book.function(function).and_then(|known| known.active);
            candidate = book.shadow_of(function).ok().map(|shadow| shadow.digest);
            change(book, layout)
        };
        let refused = |error| match error {
            WriteError::Broker(error) if dry_run => unread(error),
            error => unwritten(function, error),
        };
        let Deployment { number, active, shadow, .. } = if dry_run {
            self.ledger.rehearse(self.deploy.seen(), change).map_err(refused)?
        } else {
            let written = self.ledger.write(self.deploy.seen(), change).map_err(refused)?;
            self.is_followed(written.number);
            written
        };
        let was = was.or_else(|| self.stage.own(function).map(|own| own.digest));
        let shadow = shadow.map(|shadow| shadow.digest);
        let discarded = candidate.filter(|candidate| shadow != Some(*candidate) && active != Some(*candidate));
        let (function, number) = (function.to_owned(), (!dry_run).then_some(number));
        Ok(Changed { function, number, was, active, shadow, discarded, ..Changed::default() })
    }
}

fn number_of(book: &Book, function: &str) -> Number {
    book.function(function).map_or(0, |known| known.number)
}

fn viewed(deployed: &Deployed, active: Option<Digest>) -> VersionView {
    VersionView {
        digest: deployed.digest,
        active: active == Some(deployed.digest),
        bytes: deployed.module.bytes,
        at: rfc3339(deployed.at_ms),
        note: deployed.note.clone(),
        failed: deployed.failed.clone(),
    }
}

async fn versions(
    State(deployments): State<Arc<Deployments>>,
    Path(function): Path<String>,
) -> Result<Json<View>, Problem> {
    deployments.known(&function)?;
    Ok(Json(deployments.view(&function)))
}

async fn deploy(
    State(deployments): State<Arc<Deployments>>,
    Path(function): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Result<Json<Changed>, Problem> {
    let (head, mut body) = request.into_parts();
    let read = read(&deployments, &function, asked, &head.headers, &mut body).await;
    let (asked, wasm, digest) = match read {
        Ok(read) => read,
        Err(problem) => {
            if !head.headers.contains_key(EXPECT) {
                body::discard(body);
            }
            return audit(&function, "deploy", None, Err(problem));
        }
    };
    let (name, note) = (function.clone(), asked.note.clone());
    let what = if asked.shadow { "shadow" } else { "deploy" };
    let work = move |deployments: &Deployments| deployments.deploy(&function, &asked, &wasm, digest);
    blocking(&deployments, name, what, Some(note), work).await
}

async fn read(
    deployments: &Deployments,
    function: &str,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<(Asked, Vec<u8>, Digest), Problem> {
    let Query(asked) = asked.map_err(|error| unreadable(error.body_text()))?;
    let asked = Asked { note: noted(asked.note)?, ..asked };
    if !deployments.functions.contains(function) {
        deployments.known(function)?;
        let title = "the app has no such function any more";
        return Err(Problem::new(StatusCode::NOT_FOUND, title).detail("only what was deployed of it is still known"));
    }
    let said = digest_of(headers).ok_or_else(|| {
        unreadable(
            "Content-Digest: sha-256=:BASE64: says what the body is to be, and there is none of that form".to_owned(),
        )
    })?;
    let wasm = body::read(body, COMPONENT_BYTES_MAX, UPLOAD_WITHIN).await?;
    let digest = Digest::of(&wasm);
    if digest != said {
        let detail = format!("Content-Digest says {said}, and the body is {digest}; send it again");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "the body is not what it is said to be").detail(detail));
    }
    Ok((asked, wasm, digest))
}

async fn rollback(
    State(deployments): State<Arc<Deployments>>,
    Path(function): Path<String>,
    parameters: Result<Query<Nothing>, QueryRejection>,
    asked: Result<Json<Rollback>, JsonRejection>,
) -> Result<Json<Changed>, Problem> {
    let asked = deployments.known(&function).and_then(|()| {
        parameters.map_err(|error| unreadable(error.body_text()))?;
        asked.map_err(|error| unreadable(error.body_text()))
    });
    let Json(Rollback { version }) = match asked {
        Ok(asked) => asked,
        Err(problem) => return audit(&function, "rollback", None, Err(problem)),
    };
    let name = function.clone();
    let work = move |deployments: &Deployments| {
        let base = deployments.base(&function)?;
        let was = deployments.state_format(&function);
        let mut format = None;
        let changed = deployments.change(&function, base, false, |book, _| {
            let change = book.rollback(&function, version.as_deref())?;
            format = change.deployment.versions.first().and_then(|version| version.state_format.clone());
            Ok(change)
        })?;
        // Of one that an older host wrote down it is not known.
        Ok(Changed { state_format: format.filter(|format| was.as_ref() != Some(format)), ..changed })
    };
    blocking(&deployments, name, "rollback", None, work).await
}

async fn remove(
    State(deployments): State<Arc<Deployments>>,
    Path(function): Path<String>,
    parameters: Result<Query<Nothing>, QueryRejection>,
) -> Result<Json<Changed>, Problem> {
    let asked =
        deployments.known(&function).and_then(|()| parameters.map(drop).map_err(|error| unreadable(error.body_text())));
    if let Err(problem) = asked {
        return audit(&function, "remove", None, Err(problem));
    }
    let name = function.clone();
    let work = move |deployments: &Deployments| {
        let base = deployments.base(&function)?;
        deployments.change(&function, base, false, |book, _| book.remove(&function))
    };
    blocking(&deployments, name, "remove", None, work).await
}

/// Does what blocks, one at a time, and notes it down. A client that leaves ends neither.
async fn blocking(
    deployments: &Arc<Deployments>,
    function: String,
    what: &'static str,
    note: Option<String>,
    work: impl FnOnce(&Deployments) -> Result<Changed, Problem> + Send + 'static,
) -> Result<Json<Changed>, Problem> {
    let deployments = Arc::clone(deployments);
    let done = task::spawn_blocking(move || {
        let done = deployments.admit().and_then(|_permit| work(&deployments));
        audit(&function, what, note.as_deref(), done)
    });
    done.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a deployment panicked");
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the deployment could not be made"))
    })
}

/// A line of the log for everything that was asked for.
fn audit(
    function: &str,
    what: &'static str,
    note: Option<&str>,
    done: Result<Changed, Problem>,
) -> Result<Json<Changed>, Problem> {
    match &done {
        Ok(Changed { number, was, active, shadow, .. }) => {
            let [was, active, shadow] = [was, active, shadow].map(|digest| digest.map(|digest| digest.to_string()));
            tracing::info!(target: "audit", what, function, number, was, active, shadow, note, "done");
        }
        Err(problem) => tracing::warn!(target: "audit", what, function, note, %problem, "refused"),
    }
    done.map(Json)
}
