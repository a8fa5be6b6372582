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
//! does. What is refused changes nothing. One change at a time; of two hosts that are asked at once, one is told.
//!
//! Refused: components of more than [`COMPONENT_BYTES_MAX`], or that take longer than `UPLOAD_WITHIN` to arrive. Every change, and
//! every attempt that is refused, is a line of the log with target `audit`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

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

pub use self::shadow::{ExampleView, Known, ShadowView, Took};
use self::wire::digest_of;
pub use self::wire::{Changed, Rollback, VersionView, View, content_digest};
use super::status::Status;
use crate::app::fault::instead_of;
use crate::broker::Error;
use crate::deploy::Deploy;
use crate::deploy::book::{Book, Candidate, Change, Deployed, Deployment, Module, Refusal};
use crate::deploy::follow::Nudge;
use crate::deploy::ledger::{Layout, Ledger, WriteError};
use crate::event::Digest;
use crate::ingress::body;
use crate::ingress::problem::Problem;
use crate::worker::error_event::{epoch_ms, rfc3339};

mod shadow;
mod wire;

/// The largest component.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// How long a component may take to arrive.
const UPLOAD_WITHIN: Duration = Duration::from_secs(60);
/// The longest note, in bytes.
const NOTE_BYTES_MAX: usize = 1024;

/// Looks at components before they are deployed. Blocks, for as long as compiling takes.
pub trait Stage: Send + Sync {
    /// Compiles a component and makes one instance of it.
    ///
    /// # Errors
    /// Why it is no version of any function.
    fn stage(&self, function: &str, digest: Digest, wasm: &[u8]) -> Result<Staged, Refused>;

    /// What the component that the app came with may reach.
    fn own_grants(&self, function: &str) -> BTreeSet<String>;

    /// The component that the app came with, if there is one.
    fn own(&self, function: &str) -> Option<Own>;
}

/// The component that an app came with.
pub struct Own {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub wasm: Vec<u8>,
    /// The layout of the state that it keeps.
    pub state_format: String,
}

/// A component that could be deployed.
pub struct Staged {
    /// The interfaces that it imports, without their versions, and that give it something to reach.
    pub grants: BTreeSet<String>,
    /// The layout of the state that it keeps.
    pub state_format: String,
    /// What it calls itself in what it publishes, as far as it says.
    pub source: Option<String>,
}

/// Why a component could not be staged.
pub struct Refused {
    /// What is wrong with it.
    pub reason: String,
    /// What mends that.
    pub hint: Option<String>,
}

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

    /// Writes a change, and has this host follow it at once.
    fn write<'a>(
        &self,
        function: &str,
        change: impl FnOnce(&Book, &mut Layout<'a>) -> Result<Change, Refusal>,
    ) -> Result<Changed, Problem> {
        let was = self.active(function);
        let written = self.ledger.write(self.deploy.seen(), change).map_err(unwritten)?;
        self.nudge.nudge();
        let Deployment { number, active, shadow, .. } = written;
        let (function, shadow) = (function.to_owned(), shadow.map(|shadow| shadow.digest));
        Ok(Changed { function, number: Some(number), was, active, shadow, ..Changed::default() })
    }

    /// Every step of a deployment, on a thread that may block.
    fn deploy(&self, function: &str, asked: &Asked, wasm: &[u8], digest: Digest) -> Result<Changed, Problem> {
        let staged = self.stage.stage(function, digest, wasm).map_err(|Refused { reason, hint }| {
            let problem =
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the component cannot be deployed: {reason}"));
            match hint {
                Some(hint) => problem.detail(hint),
                None => problem,
            }
        })?;
        let active = self.deploy.active().versions.get(function).cloned();
        let is_called = active.as_ref().and_then(|version| version.source());
        if let (Some(says), Some(is), false) = (staged.source.as_deref(), is_called, asked.allow_wider) {
            is_the_same(function, says, is)?;
        }
        // What a version before it was trusted with is nothing new: one that reaches less must not stand in its way.
        let mut before = self.stage.own_grants(function);
        before.extend(active.as_ref().map(|version| version.grants()).unwrap_or_default());
        let is_kept = active.is_some_and(|version| version.state_format() == staged.state_format);
        let state_format = (!is_kept).then(|| staged.state_format.clone());
        let wider: Vec<String> = staged.grants.difference(&before).cloned().collect();
        let narrower: Vec<String> = before.difference(&staged.grants).cloned().collect();
        if !wider.is_empty() && !asked.allow_wider {
            let detail = format!(
                "it imports {}, and the active version does not; allow that if it is meant to (--allow-wider)",
                wider.join(", ")
            );
            return Err(
                Problem::new(StatusCode::CONFLICT, "the component reaches more than the active version").detail(detail)
            );
        }
        if let (true, Some(format)) = (asked.shadow, &state_format) {
            let detail = format!(
                "its state has format {format}, another one than that of the active version, so it could not read that"
            );
            let title = "the component cannot run beside the active version";
            return Err(Problem::new(StatusCode::CONFLICT, title).detail(detail));
        }
        if asked.dry_run {
            let was = self.active(function);
            if was == Some(digest) {
                return Err(unwritten(Refusal::Active(digest).into()));
            }
            let function = function.to_owned();
            let (active, shadow) = if asked.shadow { (was, Some(digest)) } else { (Some(digest), None) };
            return Ok(Changed { function, number: None, was, active, shadow, wider, narrower, state_format });
        }
        let own = self.stage.own(function);
        let changed = self.write(function, |book, layout| {
            let (bytes, note) = (wasm.len() as u64, asked.note.clone());
            let candidate = Candidate { digest, bytes, note, state_format: Some(staged.state_format) };
            if asked.shadow {
                let own = own.as_ref().map(|own| own.digest);
                return book.shadow(
                    function,
                    candidate,
                    layout.bring(book, digest, wasm),
                    own,
                    epoch_ms(SystemTime::now()),
                );
            }
            let own = own_beneath(book, function, own.as_ref(), layout);
            let module = layout.bring(book, digest, wasm);
            book.deploy(function, candidate, module, own, epoch_ms(SystemTime::now()))
        })?;
        Ok(Changed { wider, narrower, state_format, ..changed })
    }
}

/// Refuses a component that calls itself something else than the active version does: it would reject whatever it is given.
fn is_the_same(function: &str, says: &str, is: &str) -> Result<(), Problem> {
    if says == is {
        return Ok(());
    }
    let detail = format!(
        "it calls itself {says}, and the active version of `{function}` {is}; deploy it to its own function, or allow it if it was given \
         another name (--allow-wider)"
    );
    Err(Problem::new(StatusCode::CONFLICT, "the component is one of another function").detail(detail))
}

/// What is to lie beneath the first version of a function that is deployed: the component that the app came with.
fn own_beneath<'a>(
    book: &Book,
    function: &str,
    own: Option<&'a Own>,
    layout: &mut Layout<'a>,
) -> Option<(Candidate, Module)> {
    let own = own.filter(|_| book.function(function).is_none_or(|known| known.active.is_none()));
    own.map(|Own { digest, wasm, state_format }| {
        let note = "the app came with it".to_owned();
        let state_format = Some(state_format.clone());
        let candidate = Candidate { digest: *digest, bytes: wasm.len() as u64, note, state_format };
        (candidate, layout.bring(book, *digest, wasm))
    })
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
    let asked = Asked { note: is_note(asked.note)?, ..asked };
    if !deployments.functions.contains(function) {
        deployments.known(function)?;
        let title = "the app has no such function any more";
        return Err(Problem::new(StatusCode::NOT_FOUND, title).detail("only what was deployed of it is still known"));
    }
    let said = digest_of(headers).ok_or_else(|| {
        unreadable("Content-Digest: sha-256=:BASE64: says what the body is to be, and it is not there".to_owned())
    })?;
    let wasm = body::read(body, COMPONENT_BYTES_MAX, UPLOAD_WITHIN).await?;
    let digest = Digest::of(&wasm);
    if digest != said {
        let detail = format!("Content-Digest says {said}, and the body is {digest}; send it again");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "the body is not what it is said to be").detail(detail));
    }
    Ok((asked, wasm, digest))
}

/// The note, if it can be one.
fn is_note(note: String) -> Result<String, Problem> {
    match note.len() > NOTE_BYTES_MAX || note.chars().any(char::is_control) {
        true => Err(unreadable(format!("a note is one line of {NOTE_BYTES_MAX} bytes at most"))),
        false => Ok(note),
    }
}

async fn rollback(
    State(deployments): State<Arc<Deployments>>,
    Path(function): Path<String>,
    asked: Result<Json<Rollback>, JsonRejection>,
) -> Result<Json<Changed>, Problem> {
    let asked = deployments.known(&function).and_then(|()| asked.map_err(|error| unreadable(error.body_text())));
    let Json(Rollback { version }) = match asked {
        Ok(asked) => asked,
        Err(problem) => return audit(&function, "rollback", None, Err(problem)),
    };
    let name = function.clone();
    let work = move |deployments: &Deployments| {
        let was = deployments.state_format(&function);
        let mut format = None;
        let changed = deployments.write(&function, |book, _| {
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
) -> Result<Json<Changed>, Problem> {
    if let Err(problem) = deployments.known(&function) {
        return audit(&function, "remove", None, Err(problem));
    }
    let name = function.clone();
    let work = move |deployments: &Deployments| deployments.write(&function, |book, _| book.remove(&function));
    blocking(&deployments, name, "remove", None, work).await
}

fn unreadable(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "the request cannot be read").detail(detail)
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

fn unwritten(error: WriteError) -> Problem {
    let conflict = |title: String| Problem::new(StatusCode::CONFLICT, title);
    match error {
        WriteError::Refused(
            refusal @ (Refusal::UnknownVersion { .. } | Refusal::NeverDeployed(_) | Refusal::NoShadow(_)),
        ) => Problem::new(StatusCode::NOT_FOUND, refusal.to_string())
            .detail("fnhost versions FUNCTION shows what there is"),
        WriteError::Refused(refusal) => conflict(refusal.to_string()),
        WriteError::Raced => conflict(WriteError::Raced.to_string())
            .detail("look at what they did (fnhost versions FUNCTION), then ask again"),
        WriteError::Broker(Error::Away { .. }) => {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "the broker did not answer in time")
                .detail("the deployment may have been made: fnhost versions FUNCTION tells")
        }
        WriteError::Broker(error) => {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::error!(error, "a deployment cannot be written");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the deployment could not be written").detail(error)
        }
    }
}
