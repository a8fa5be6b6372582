//! One request, from its first line to its answer.
//!
//! Once its body is there a request goes on in a task of its own: a client that leaves loses the answer, not the
//! event. The task holds the request's permit and its measurement, so both last as long as the work does.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{EXPECT, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::envelope::{Composed, compose};
use super::headers::Trace;
use super::problem::Problem;
use super::{Shared, Target, body, headers};
use crate::admin::metrics::Metrics;
use crate::broker::{PublishError, Stored};
use crate::event::Header;
use crate::spans::Entered;
use crate::sync::lock;

/// When to come back if too many requests are in flight.
const RETRY_AFTER_BUSY_SECONDS: u64 = 1;

/// When to come back if the broker is away.
const RETRY_AFTER_AWAY_SECONDS: u64 = 5;

/// The metric's label for a request that no route takes.
const NO_ROUTE: &str = "none";

/// The metric's status of a request whose client left before its body was complete. nginx has the same number.
const CLIENT_GONE: u16 = 499;

/// The least time between two lines of log about requests of one route.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// The answer to a request whose event the broker has.
#[derive(Debug, Serialize)]
struct Accepted {
    id: String,
    topic: String,
    partition: i32,
    offset: i64,
}

/// What an answered request took, told to the metrics and as its span when it is dropped: a request that is cancelled counts too.
struct Measured {
    metrics: Arc<Metrics>,
    target: Option<Arc<Target>>,
    span: Option<Entered>,
    status: u16,
    began: Instant,
}

impl Drop for Measured {
    fn drop(&mut self) {
        let target = self.target.as_deref();
        self.metrics.ingress(target.map_or(NO_ROUTE, |target| &target.label), self.status, self.began.elapsed());
        if let Some(span) = self.span.take() {
            let status = Some(self.status).filter(|status| *status != CLIENT_GONE);
            span.answered(target.map(|target| target.route.path.as_str()), status);
        }
    }
}

/// Answers one request.
pub(super) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let began = Instant::now();
    let (head, mut body) = request.into_parts();
    let came = headers::parent(&head.headers);
    let entered = shared.spans.as_ref().map(|spans| spans.enter(came, &head.method, head.uri.path()));
    let (goes, span) = entered.unwrap_or((came, None));
    let metrics = Arc::clone(&shared.metrics);
    let mut measured = Measured { metrics, target: None, span, status: CLIENT_GONE, began };
    let answer = match shared.find(&head.method, head.uri.path()) {
        Ok(target) => {
            measured.target = Some(Arc::clone(&target));
            match admit(&shared, &target, &head.headers, Trace { came, goes }, &mut body).await {
                Ok(admitted) => return detach(shared, target, admitted, measured).await,
                Err(problem) => problem,
            }
        }
        Err(problem) => problem,
    };
    measured.status = answer.status().as_u16();
    // A client that waits for `100 Continue` sends nothing after a refusal.
    if !head.headers.contains_key(EXPECT) {
        body::discard(body);
    }
    answer.into_response()
}

/// A request that is complete.
struct Admitted {
    key: Option<String>,
    /// In which trace it is.
    trace: Vec<Header>,
    body: Vec<u8>,
    permit: OwnedSemaphorePermit,
}

/// Everything that can be refused before the body is looked at.
async fn admit(
    shared: &Shared,
    target: &Target,
    headers: &HeaderMap,
    trace: Trace,
    body: &mut axum::body::Body,
) -> Result<Admitted, Problem> {
    if !shared.publisher.is_reachable() {
        return Err(away());
    }
    let permit = Arc::clone(&shared.in_flight).try_acquire_owned().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once")
            .detail("nothing was stored; send the request again")
            .retry_after(RETRY_AFTER_BUSY_SECONDS)
    })?;
    headers::expect_json(headers)?;
    let key = headers::idempotency_key(headers)?;
    let body = body::read(body, target.route.body_bytes_max, shared.options.body_read_timeout).await?;
    Ok(Admitted { key, trace: headers::carried(headers, trace), body, permit })
}

/// Goes on in a task that nothing cancels.
async fn detach(shared: Arc<Shared>, target: Arc<Target>, admitted: Admitted, mut measured: Measured) -> Response {
    // What a panic in the task leaves behind.
    measured.status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
    let task = tokio::spawn(async move {
        let Admitted { key, trace, body, permit } = admitted;
        let answer = match publish(&shared, &target, key.as_deref(), trace, body, measured.span.as_ref()).await {
            Ok(accepted) => accepted.answer(&target.route.path),
            Err(problem) => problem.into_response(),
        };
        measured.status = answer.status().as_u16();
        drop(measured);
        drop(permit);
        answer
    });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request's task panicked");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be handled")
            .detail("it may have been accepted: send the same request again with the same Idempotency-Key")
            .into_response()
    })
}

/// Makes the event and waits until its fate is known. What the body grows into is gone before the wait.
async fn publish(
    shared: &Shared,
    target: &Target,
    key: Option<&str>,
    trace: Vec<Header>,
    body: Vec<u8>,
    span: Option<&Entered>,
) -> Result<Accepted, Problem> {
    let Composed { id, mut record } = compose(target, key, &body, (shared.clock)())?;
    record.headers.extend(trace);
    drop(body);
    let sending = span.map(Entered::send);
    let published = timeout(shared.options.publish_timeout, shared.publisher.publish(record)).await;
    if let Some(sending) = sending {
        sending.done(&target.route.topic, &id, &published);
    }
    match published {
        Ok(Ok(Stored { partition, offset })) => {
            Ok(Accepted { id, topic: target.route.topic.to_string(), partition, offset })
        }
        Ok(Err(error)) => Err(unpublished(target, &error)),
        Err(_) => Err(unknown()),
    }
}

fn unpublished(target: &Target, error: &PublishError) -> Problem {
    match error {
        PublishError::Refused { too_large: true, .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
                .detail(format!("topic `{}` takes no event of this size; nothing was stored", target.route.topic))
        }
        // A missing topic, a missing permission, a policy: nothing that the caller could send otherwise.
        PublishError::Refused { cause, .. } => {
            if target.log.lets_through(Instant::now()) {
                tracing::error!(route = target.label, topic = %target.route.topic, error = %cause, "the broker refuses events");
            }
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the broker refuses the event")
                .detail("nothing was stored; the request is not at fault, and an operator has to act")
        }
        PublishError::Away { cause } => {
            tracing::debug!(route = target.label, error = %cause, "the broker is away");
            away()
        }
        PublishError::Unknown { cause } => {
            tracing::debug!(route = target.label, error = %cause, "whether an event is stored is unknown");
            unknown()
        }
    }
}

fn away() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the broker is away")
        .detail("nothing was stored; send the request again")
        .retry_after(RETRY_AFTER_AWAY_SECONDS)
}

fn unknown() -> Problem {
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "the broker did not answer in time").detail(
        "the request may have been accepted: send the same request again with the same Idempotency-Key, \
         and it takes effect once; without a key it may take effect twice",
    )
}

impl Accepted {
    fn answer(self, path: &str) -> Response {
        let location = format!("{}/{}", path.trim_end_matches('/'), escape(&self.id));
        let location = HeaderValue::from_str(&location).ok().map(|value| (LOCATION, value));
        (StatusCode::ACCEPTED, HeaderMap::from_iter(location), Json(self)).into_response()
    }
}

/// One segment of a path (RFC 3986).
fn escape(id: &str) -> String {
    let mut escaped = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Lets one line of log through in [`LOG_PAUSE`].
#[derive(Default)]
pub(super) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    fn lets_through(&self, now: Instant) -> bool {
        let mut last = lock(&self.0);
        let through = last.is_none_or(|last| now.duration_since(last) >= LOG_PAUSE);
        if through {
            *last = Some(now);
        }
        through
    }
}

impl Shared {
    fn find(&self, method: &Method, path: &str) -> Result<Arc<Target>, Problem> {
        let Some(methods) = self.routes.get(path) else {
            return Err(Problem::new(StatusCode::NOT_FOUND, "nothing is served at this path"));
        };
        methods.get(method.as_str()).cloned().ok_or_else(|| {
            let allowed = methods.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not served at this path")
                .detail(format!("{allowed} is"))
                .allow(&allowed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_request_meets_is_logged_seldom() {
        let (log, now) = (Seldom::default(), Instant::now());
        let after = [0, 1, 9, 10, 11].map(|seconds| log.lets_through(now + Duration::from_secs(seconds)));
        assert_eq!(after, [true, false, false, true, false]);
    }

    #[test]
    fn an_id_is_one_segment_of_a_path() {
        assert_eq!(escape("A-z_0.9~:"), "A-z_0.9~:");
        assert_eq!(escape("a/b?c#d%\r\né"), "a%2Fb%3Fc%23d%25%0D%0A%C3%A9");
    }
}
