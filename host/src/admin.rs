//! The listener for operators and their tools: health, metrics, functions and events over HTTP.
//!
//! | path | answers |
//! |---|---|
//! | `/livez` | 200 while every worker's loop goes round; 503 says which does not. Not about the broker: a restart would not mend that. |
//! | `/readyz` | 200 while all workers run, nothing is stopped, the broker is there and the host is not draining; 503 says why not |
//! | `/metrics` | Prometheus' text format, see [`metrics`] |
//! | `/functions` | what runs here: versions, groups, partitions, lag |
//! | `/functions/NAME/versions`, `/functions/NAME/rollback` | what was deployed, and changes of it, see [`deployments`] |
//! | `/events/TOPIC` | events of a topic, and one event more, see [`events`] |
//!
//! It shows all of the app's events, takes new ones and changes what code runs, so it is bound to loopback unless told otherwise, and
//! elsewhere asks for a [`Token`]. Health and metrics need none: probes and scrapers have none.
//! Bounded by [`Limits`], with fewer connections than the public listener. What is refused is problem details (RFC 9457).

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT, HOST, WWW_AUTHENTICATE};
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;

use self::deployments::Deployments;
use self::events::Events;
use self::metrics::Metrics;
use self::status::{Reason, Status};
use crate::config::Token;
use crate::ingress::body;
use crate::ingress::problem::Problem;
use crate::ingress::server::{self, Drained, Limits};

pub mod deployments;
pub mod events;
pub mod metrics;
pub mod status;

/// The most connections at once. Probes, a scraper and some people need few.
const CONNECTIONS_MAX: usize = 64;

/// The version of the text format that [`Metrics::render`] gives.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
struct Shared {
    status: Arc<Status>,
    metrics: Arc<Metrics>,
}

/// What bounds the admin listener unless told otherwise.
pub fn limits() -> Limits {
    Limits { connections_max: CONNECTIONS_MAX, ..Limits::default() }
}

/// The admin listener's paths. What operates deployments and errors can be merged in.
pub fn router(
    status: Arc<Status>,
    metrics: Arc<Metrics>,
    events: Arc<Events>,
    deployments: Arc<Deployments>,
    token: Option<Token>,
) -> Router {
    let token = token.map(Arc::new);
    let shared = Shared { status, metrics };
    let guarded = Router::new()
        .route("/functions", get(functions))
        .method_not_allowed_fallback(only_read)
        .with_state(shared.clone())
        .merge(events::routes(events))
        .merge(deployments::routes(deployments))
        .layer(middleware::from_fn_with_state(token, authorised))
        .layer(middleware::from_fn(by_address));
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .fallback(|uri: Uri| async move {
            Problem::new(StatusCode::NOT_FOUND, "nothing is served at this path")
                .detail(format!("{} is not one of /livez, /readyz, /metrics, /functions, /functions/NAME/versions, /functions/NAME/rollback and /events/TOPIC", uri.path()))
        })
        .method_not_allowed_fallback(only_read)
        .with_state(shared)
        .merge(guarded)
}

/// Refuses what a browser was led to by a name that somebody else gives out: a page could otherwise read events, or send some.
/// Addresses, `localhost` and names without a dot are nobody else's.
async fn by_address(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(n, _)| n);
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    if is_address || !name.contains('.') {
        return next.run(request).await;
    }
    unread(request);
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "this is served by address only")
        .detail("name the host by its IP address, or by a name without a dot")
        .into_response()
}

/// Has a client come to read why its request is refused.
fn unread(request: Request) {
    // One that waits for `100 Continue` sends nothing after a refusal.
    if !request.headers().contains_key(EXPECT) {
        body::discard(request.into_body());
    }
}

/// Refuses who does not show the token, when there is one.
async fn authorised(State(token): State<Option<Arc<Token>>>, request: Request, next: Next) -> Response {
    let Some(token) = token else { return next.run(request).await };
    let given = request.headers().get(AUTHORIZATION).and_then(|given| given.as_bytes().strip_prefix(b"Bearer "));
    let title = match given {
        Some(given) if token.is(given) => return next.run(request).await,
        Some(_) => "the token is another one",
        None => "this host asks for a token",
    };
    tracing::warn!(target: "audit", method = %request.method(), path = request.uri().path(), "{title}");
    unread(request);
    let problem = Problem::new(StatusCode::UNAUTHORIZED, title).detail(
        "send it as `Authorization: Bearer TOKEN`; fnhost does with --admin-token-file FILE, or FNHOST_ADMIN_TOKEN",
    );
    ([(WWW_AUTHENTICATE, "Bearer")], problem).into_response()
}

/// Serves `router` until `shutdown` resolves, then lets what is in flight end for at most `drain_within`. Health should
/// be told for as long as there is any: this listener is the last to end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    shutdown: impl Future<Output = ()> + Send,
    drain_within: Duration,
) -> Drained {
    server::serve(listener, router, limits, shutdown, drain_within).await
}

async fn only_read() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not served at this path").allow("GET, HEAD")
}

async fn live(State(shared): State<Shared>) -> Response {
    health("live", "the host is not live", shared.status.dead())
}

async fn ready(State(shared): State<Shared>) -> Response {
    health("ready", "the host is not ready", shared.status.unready())
}

fn health(good: &'static str, bad: &'static str, reasons: Vec<Reason>) -> Response {
    if reasons.is_empty() {
        return Json(serde_json::json!({ "status": good })).into_response();
    }
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, bad).reasons(reasons).into_response()
}

async fn render(State(shared): State<Shared>) -> Response {
    shared.metrics.health(&shared.status.health());
    ([(CONTENT_TYPE, METRICS_TYPE)], shared.metrics.render()).into_response()
}

async fn functions(State(shared): State<Shared>) -> Response {
    Json(shared.status.functions()).into_response()
}
