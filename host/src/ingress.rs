//! HTTP requests become events: a body that fits its route's schema gets an id, is wrapped as a CloudEvent and
//! published, and the answer 202 says where the broker has it.
//!
//! ```text
//! request ─▶ route ─▶ headers ─▶ body (bounded) ─▶ [json] ─▶ schema ─▶ id ─▶ CloudEvent ─▶ its schema ─▶ publisher ─▶ 202
//! ```
//!
//! The command that runs the host calls [`serve`]. 202 is sent only when the record is stored. Any other status means
//! that it is not, but for 504: then nobody knows, and the same request with the same `Idempotency-Key` is safe to
//! send again, because it becomes the same id, the same event id and the same bytes of `data`.
//!
//! Who gives the id, in this order: the body, at the route's `id` pointer; the `Idempotency-Key`, from which it is
//! derived; else it is a fresh UUIDv7. A body's id wins over a key, for nothing here can tell whether the two mean the
//! same. Nor can it be seen here that one id comes with two contents: inventory keeps a hash of what it saw, and the
//! second content becomes an error event.
//!
//! Bounded by [`Options`]: connections, requests in flight (beyond them 503), body bytes (413), time for headers (the
//! connection is closed), for the body (408) and for the broker (504). A request whose body is complete is published
//! even when its client has gone. Errors are problem details (RFC 9457); those that hyper answers itself, for what is
//! not HTTP (400) and for headers that are too large (431), have no body.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::Method;
use axum::http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::admin::metrics::Metrics;
use crate::app::schemas::{Schema, Schemas};
use crate::app::{App, Route};
use crate::broker::Publisher;
use crate::spans::Spans;

pub(crate) mod body;
mod envelope;
pub(crate) mod headers;
mod ids;
mod json;

pub(crate) mod problem;
mod request;
pub(crate) mod server;

pub use server::{Drained, Limits};

/// What tells the wall time. It stands in ids and in an event's `time`; nothing is bounded by it.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What bounds the public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What bounds connections and headers.
    pub server: Limits,
    /// How many requests may be read or published at once. One more is answered 503, and told to come back. With
    /// [`Route::body_bytes_max`] it bounds the memory that bodies take. 256 unless told otherwise.
    pub requests_max: usize,
    /// How long a body may take to arrive, whatever its size; then 408. 10 s unless told otherwise.
    pub body_read_timeout: Duration,
    /// How long the broker may take to say that it has the record; then 504. Longer than the publisher's own
    /// delivery time-out, so that this one is met only when the client hangs. 30 s unless told otherwise.
    pub publish_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server: Limits::default(),
            requests_max: 256,
            body_read_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
        }
    }
}

/// Why the routes cannot be served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A route names a schema that is not there.
    #[error("route `{route}` needs schema `{schema}`, which is not in the schemas folder: add `{schema}.schema.json`")]
    NoSuchSchema {
        /// Method and path.
        route: String,
        /// The schema's name.
        schema: String,
    },
    /// A route names a topic that the app does not declare.
    #[error("route `{route}` writes to topic `{topic}`, which app.toml does not declare: add `[topics.{topic}]`")]
    NoSuchTopic {
        /// Method and path.
        route: String,
        /// The topic's name.
        topic: String,
    },
    /// Two routes have one method and path.
    #[error("route `{route}` is declared twice: remove one `[[routes]]` table or change its path")]
    Twice {
        /// Method and path.
        route: String,
    },
    /// A route's method, path or id pointer cannot be used.
    #[error("route `{route}`: `{key} = \"{value}\"` cannot be used: {reason}")]
    Unusable {
        /// Method and path.
        route: String,
        /// The manifest's key.
        key: &'static str,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// An app's routes, ready to be served.
pub struct Ingress {
    shared: Arc<Shared>,
}

/// What all requests share.
struct Shared {
    /// By path, then by method.
    routes: BTreeMap<String, BTreeMap<String, Arc<Target>>>,
    publisher: Arc<dyn Publisher>,
    metrics: Arc<Metrics>,
    /// Where spans of requests go, if anywhere.
    spans: Option<Arc<Spans>>,
    /// A permit for each request in flight.
    in_flight: Arc<Semaphore>,
    options: Options,
    clock: Clock,
}

/// A route, with what is looked up once.
struct Target {
    app: String,
    /// Method and path: the metric's label, and part of what derived ids are made of.
    label: String,
    route: Route,
    id: json::Pointer,
    body: Arc<Schema>,
    event: Option<Arc<Schema>>,
    /// For what an operator has to hear of, but not at every request.
    log: request::Seldom,
}

impl Ingress {
    /// Prepares an app's routes.
    ///
    /// # Errors
    /// [`Error`] when a route names what is not there.
    pub fn new(
        app: &App,
        schemas: &Schemas,
        publisher: Arc<dyn Publisher>,
        metrics: Arc<Metrics>,
        spans: Option<Arc<Spans>>,
        options: Options,
        clock: Clock,
    ) -> Result<Self, Error> {
        let mut routes: BTreeMap<String, BTreeMap<String, Arc<Target>>> = BTreeMap::new();
        for route in &app.routes {
            let target = Target::new(app, schemas, route)?;
            let label = target.label.clone();
            let methods = routes.entry(route.path.clone()).or_default();
            if methods.insert(route.method.clone(), Arc::new(target)).is_some() {
                return Err(Error::Twice { route: label });
            }
        }
        let in_flight = Arc::new(Semaphore::new(options.requests_max.min(Semaphore::MAX_PERMITS)));
        Ok(Self { shared: Arc::new(Shared { routes, publisher, metrics, spans, in_flight, options, clock }) })
    }
}

impl Target {
    fn new(app: &App, schemas: &Schemas, route: &Route) -> Result<Self, Error> {
        let label = format!("{} {}", route.method, route.path);
        let unusable =
            |key, value: &str, reason| Error::Unusable { route: label.clone(), key, value: value.to_owned(), reason };
        if Method::from_bytes(route.method.as_bytes()).is_err() {
            return Err(unusable("method", &route.method, "it is no HTTP method"));
        }
        let path: Option<PathAndQuery> = route.path.parse().ok();
        if !path.is_some_and(|p| p.path() == route.path && route.path.starts_with('/')) {
            return Err(unusable("path", &route.path, "it must begin with `/` and hold neither query nor blanks"));
        }
        let id = json::Pointer::parse(&route.id)
            .ok_or_else(|| unusable("id", &route.id, "it must be a JSON Pointer to a member, such as `/id`"))?;
        let schema = |name: &str| {
            schemas.get(name).ok_or_else(|| Error::NoSuchSchema { route: label.clone(), schema: name.to_owned() })
        };
        let topic = app
            .topics
            .get(&route.topic)
            .ok_or_else(|| Error::NoSuchTopic { route: label.clone(), topic: route.topic.to_string() })?;
        let event = topic.schema.as_deref().map(schema).transpose()?;
        let body = schema(&route.body)?;
        Ok(Self {
            app: app.name.clone(),
            route: route.clone(),
            id,
            body,
            event,
            label,
            log: request::Seldom::default(),
        })
    }
}

/// Serves the routes until `shutdown` resolves, then lets what is in flight end for at most `drain_within`.
///
/// Readiness should be withdrawn first, so that nothing new is sent here: from `shutdown` on connections are refused.
pub async fn serve(
    listener: TcpListener,
    ingress: Ingress,
    shutdown: impl Future<Output = ()> + Send,
    drain_within: Duration,
) -> Drained {
    let shared = ingress.shared;
    let router = Router::new().fallback(request::handle).with_state(Arc::clone(&shared));
    let mut deadline = Instant::now();
    let noted = async {
        shutdown.await;
        deadline = Instant::now() + drain_within;
    };
    let mut drained = server::serve(listener, router, &shared.options.server, noted, drain_within).await;
    // A client may have gone while its request is being published.
    let all = shared.options.requests_max;
    let everyone = shared.in_flight.acquire_many(u32::try_from(all).unwrap_or(u32::MAX));
    if timeout_at(deadline, everyone).await.is_err() {
        drained.requests = all.saturating_sub(shared.in_flight.available_permits());
    }
    drained
}
