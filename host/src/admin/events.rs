//! Events of the app's topics over HTTP: a page of what a topic holds, and one event more.
//!
//! | request | answers |
//! |---|---|
//! | `GET /events/TOPIC?from=…&since=…&key=…&limit=…` | `{ "events": […], "next": CURSOR, "more": BOOL }`: committed events from a place on, by time. `from=CURSOR` goes on; asking again and again follows the topic |
//! | `POST /events/TOPIC` | 200 `{ "topic", "partition", "offset" }` when the broker has the event |
//!
//! How an event is written stands in [`crate::form`]. `from` is a [`Start`]: `earliest` unless told otherwise. `key` compares
//! with the whole key, which must be text. `since` leaves out what is older, in milliseconds since the Unix epoch. `limit` is at most [`PAGE_EVENTS_MAX`], which it is unless told otherwise. A page of
//! few or no events may say `more`: ask again.
//!
//! Only the app's topics can be read, and the changelogs of its functions' state; only the app's topics can be written to. What is
//! sent is held against no schema: to see what becomes of a broken event is one reason to send it. The broker's seam has no
//! index by time: with `since`, what is older is read and left out.
//!
//! Bounded: `READS_MAX` pages and `SENDS_MAX` events at once (beyond them 503), a page by `page::Limits`, an event by
//! its topic's `max-message`. Refused: bodies that are not said to be JSON, so that no web page can send events from a
//! browser on the operator's machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::EXPECT;
use axum::routing::get;
use axum::{Json, Router};
use serde::ser::{SerializeSeq as _, Serializer};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task;
use tokio::time::timeout;

use self::page::{Page, Wanted};
use super::status::Status;
use crate::app::App;
use crate::app::fault::{Faults, instead_of};
use crate::broker::{Broker, Error, PublishError, Publisher, Stored};
use crate::event::{Event, Record};
use crate::form::read::Document;
use crate::form::{Published, Written};
use crate::ingress::problem::Problem;
use crate::ingress::{Options, body, headers};

mod page;

pub use page::{STARTS, Start};

/// The most events of a page.
pub const PAGE_EVENTS_MAX: usize = 10_000;
/// The most pages that are read at once: each is a thread and a reader of the broker.
const READS_MAX: usize = 4;
/// The most events that are sent at once.
const SENDS_MAX: usize = 4;
/// How much of an event's JSON is no part of it: names, and what a value of few bytes grows by.
const ENVELOPE_BYTES_MAX: usize = 64 << 10;
/// The largest body that is ever read.
const BODY_BYTES_MAX: usize = 16 << 20;
/// When to come back if too many ask, or the broker is away.
const RETRY_AFTER_SECONDS: u64 = 1;

/// What may be done with a topic, and the largest event that it takes.
#[derive(Clone, Copy, Debug)]
enum Access {
    /// A topic of the app.
    ReadAndWrite { message_bytes_max: u64 },
    /// One that only the host writes to.
    Read,
}

/// An app's topics, for operators.
pub struct Events {
    broker: Arc<dyn Broker>,
    publisher: Arc<dyn Publisher>,
    status: Arc<Status>,
    topics: BTreeMap<String, Access>,
    /// A group without positions, beneath the app's name as every ACL has it.
    group: String,
    reads: Arc<Semaphore>,
    sends: Arc<Semaphore>,
}

impl Events {
    /// The topics of `app` on `broker`. What is sent goes through `publisher`.
    pub fn new(app: &App, broker: Arc<dyn Broker>, publisher: Arc<dyn Publisher>, status: Arc<Status>) -> Arc<Self> {
        let own = app
            .topics
            .iter()
            .map(|(name, spec)| (name.to_string(), Access::ReadAndWrite { message_bytes_max: spec.message_bytes_max }));
        let changelogs = app.changelogs().into_keys().map(|name| (name, Access::Read));
        Arc::new(Self {
            broker,
            publisher,
            status,
            topics: changelogs.chain(own).collect(),
            group: format!("{}.events", app.name),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            sends: Arc::new(Semaphore::new(SENDS_MAX)),
        })
    }

    fn access(&self, topic: &str) -> Result<Access, Problem> {
        self.topics.get(topic).copied().ok_or_else(|| {
            let own: Vec<&str> = self.topics.keys().map(String::as_str).collect();
            Problem::new(StatusCode::NOT_FOUND, "the app has no such topic").detail(instead_of(topic, &own))
        })
    }

    /// The broker is there, and not too many ask it.
    fn admit(&self, slots: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
        if !self.status.is_broker_reachable() {
            return Err(away());
        }
        Arc::clone(slots).try_acquire_owned().map_err(|_| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests for events at once")
                .detail("ask again")
                .retry_after(RETRY_AFTER_SECONDS)
        })
    }
}

/// The paths of [`Events`].
pub(super) fn routes(events: Arc<Events>) -> Router {
    let refused = || async {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not served at this path").allow("GET, HEAD, POST")
    };
    Router::new().route("/events/{topic}", get(read).post(send).fallback(refused)).with_state(events)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    from: Option<String>,
    key: Option<String>,
    since: Option<u64>,
    limit: Option<usize>,
}

/// A page, as it is answered.
#[derive(Serialize)]
struct Answer {
    #[serde(serialize_with = "written")]
    events: Vec<Event>,
    next: String,
    more: bool,
}

fn written<S: Serializer>(events: &[Event], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(events.len()))?;
    for event in events {
        list.serialize_element(&Written(event))?;
    }
    list.end()
}

async fn read(
    State(events): State<Arc<Events>>,
    topic: Result<Path<String>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Answer>, Problem> {
    let Path(topic) = topic.map_err(|error| unreadable(error.body_text()))?;
    let Query(asked) = asked.map_err(|error| unreadable(error.body_text()))?;
    events.access(&topic)?;
    let from = asked.from.as_deref().unwrap_or("earliest");
    let from = from.parse().map_err(|error| unreadable(format!("`from` cannot be read: {error}")))?;
    let limit = asked.limit.unwrap_or(PAGE_EVENTS_MAX);
    if !(1..=PAGE_EVENTS_MAX).contains(&limit) {
        return Err(unreadable(format!("`limit` is 1 to {PAGE_EVENTS_MAX}")));
    }
    let permit = events.admit(&events.reads)?;
    let wanted = Wanted { topic, from, key: asked.key.map(String::into_bytes), since_ms: asked.since, limit };
    // A client that leaves does not end it; its limits do.
    let page = task::spawn_blocking(move || {
        let _permit = permit;
        page::read(&*events.broker, &events.group, &wanted, &page::Limits::default())
    });
    match page.await {
        Ok(Ok(Page { events, next, more })) => Ok(Json(Answer { events, next: next.to_string(), more })),
        Ok(Err(error)) => Err(unread(&error)),
        Err(error) => {
            tracing::error!(%error, "reading events panicked");
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the events could not be read"))
        }
    }
}

fn unreadable(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "the request cannot be read").detail(detail)
}

fn away() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the broker is away")
        .detail("ask again when it is back")
        .retry_after(RETRY_AFTER_SECONDS)
}

fn unread(error: &Error) -> Problem {
    match error {
        Error::Away { .. } => away(),
        Error::NoSuchTopic { topic } => Problem::new(StatusCode::NOT_FOUND, "the broker has no such topic")
            .detail(format!("fnhost topics apply makes `{topic}`")),
        Error::Shrunk { .. } => Problem::new(StatusCode::CONFLICT, "the topic is shorter than it was")
            .detail(format!("{error}; read it anew with from=earliest")),
        error => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(%error, cause, "events cannot be read");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the events could not be read").detail(error.to_string())
        }
    }
}

/// Where a sent event lies.
#[derive(Debug, Serialize)]
struct Sent {
    topic: String,
    partition: i32,
    offset: i64,
}

async fn send(
    State(events): State<Arc<Events>>,
    topic: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Sent>, Problem> {
    let (head, mut body) = request.into_parts();
    let read = async {
        let Path(topic) = topic.map_err(|error| unreadable(error.body_text()))?;
        let Access::ReadAndWrite { message_bytes_max } = events.access(&topic)? else {
            return Err(Problem::new(StatusCode::FORBIDDEN, "only the host writes to this topic")
                .detail("it holds the state of a function, which would be broken"));
        };
        headers::expect_json(&head.headers)?;
        let permit = events.admit(&events.sends)?;
        // As Base64, and some: what grows more is a text of control characters.
        let twice = usize::try_from(message_bytes_max).unwrap_or(BODY_BYTES_MAX).saturating_mul(2);
        let bytes_max = twice.saturating_add(ENVELOPE_BYTES_MAX).min(BODY_BYTES_MAX);
        let bytes = body::read(&mut body, bytes_max, Options::default().body_read_timeout).await?;
        Ok((topic, permit, bytes))
    };
    let (topic, _permit, bytes) = match read.await {
        Ok(read) => read,
        Err(problem) => {
            // A client that waits for `100 Continue` sends nothing after a refusal.
            if !head.headers.contains_key(EXPECT) {
                body::discard(body);
            }
            return Err(problem);
        }
    };
    let Published { key, headers, value, .. } = event_of(&bytes).map_err(|faults| no_event(&faults))?;
    let record = Record { topic: topic.as_str().into(), partition: None, key, value, headers };
    publish(&events, topic, record, Options::default().publish_timeout).await.map(Json)
}

fn event_of(bytes: &[u8]) -> Result<Published, Faults> {
    Document::read("the body".as_ref(), bytes)?.with(Published::read_to_send)
}

fn no_event(faults: &Faults) -> Problem {
    let fault = |fault: &crate::app::fault::Fault| match &fault.note {
        Some(note) => format!("{} ({note})", fault.message),
        None => fault.message.clone(),
    };
    let detail = faults.iter().map(fault).collect::<Vec<_>>().join("; ");
    Problem::new(StatusCode::BAD_REQUEST, "the body is no event").detail(detail)
}

async fn publish(events: &Events, topic: String, record: Record, within: Duration) -> Result<Sent, Problem> {
    let unknown = || {
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "the broker did not answer in time")
            .detail("the event may be stored: look for it before you send it again")
    };
    match timeout(within, events.publisher.publish(record)).await {
        Ok(Ok(Stored { partition, offset })) => Ok(Sent { topic, partition, offset }),
        Ok(Err(PublishError::Refused { too_large: true, .. })) => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the event is too large").detail(format!(
                "topic `{topic}` takes no event of this size: see its `max-message`; nothing was stored"
            )))
        }
        Ok(Err(PublishError::Refused { cause, .. })) => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the broker refuses the event")
                .detail(format!("{cause}; nothing was stored")))
        }
        Ok(Err(PublishError::Away { cause })) => {
            tracing::debug!(topic, error = %cause, "the broker is away");
            Err(away())
        }
        Ok(Err(PublishError::Unknown { cause })) => {
            tracing::debug!(topic, error = %cause, "whether an event is stored is unknown");
            Err(unknown())
        }
        Err(_) => Err(unknown()),
    }
}
