//! A request's span, and that of its event on the way to the broker.
//!
//! The event's parent is the request's span, as the parent of what a function publishes is its invocation's. That of sending is
//! beside it: it tells how long the broker took.

use std::sync::Arc;

use axum::http::Method;
use opentelemetry::trace::SpanKind;
use tokio::time::error::Elapsed;

use super::{Began, Lies, Span, Spans, cut};
use crate::broker::{PublishError, Stored};
use crate::event::trace::Context;

/// A request that is recorded, until it is answered.
pub struct Entered {
    spans: Arc<Spans>,
    context: Context,
    parent: Option<Context>,
    began: Began,
    method: &'static str,
    path: String,
}

impl Spans {
    /// The context that a request goes on in, and its span if it is recorded. `parent` is what it came with. What comes in no trace and is
    /// not recorded goes on in none: to carry one costs every hop.
    pub fn enter(
        self: &Arc<Self>,
        parent: Option<Context>,
        method: &Method,
        path: &str,
    ) -> (Option<Context>, Option<Entered>) {
        let context = match parent {
            Some(parent) if parent.is_sampled() => parent.at(self.new_span()),
            Some(parent) => return (Some(parent), None),
            None => self.begin(),
        };
        if !context.is_sampled() {
            return (None, None);
        }
        let entered = Entered {
            spans: Arc::clone(self),
            context,
            parent,
            began: Began::now(),
            method: known(method),
            path: cut(path),
        };
        (Some(context), Some(entered))
    }
}

/// One of the methods that everybody knows, so that names of spans are few.
fn known(method: &Method) -> &'static str {
    let all = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    all.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

impl Entered {
    /// The request's event is on its way from now on.
    pub fn send(&self) -> Sending<'_> {
        Sending { request: self, began: Began::now() }
    }

    /// The request was answered with this, by the route with this path if by any; `None` when its client left.
    pub fn answered(self, route: Option<&str>, status: Option<u16>) {
        let method = if self.method == "_OTHER" { "HTTP" } else { self.method };
        let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        let parent = self.parent.map(|parent| (parent, Lies::Elsewhere));
        let mut span = Span::new(self.context, parent, SpanKind::Server, name, self.began.until_now())
            .with("http.request.method", self.method)
            .with("url.scheme", "http")
            .with("url.path", self.path);
        if let Some(route) = route {
            span = span.with("http.route", route.to_owned());
        }
        span = match status {
            None => span.failed("client_gone", "the client left before its body was complete".to_owned()),
            Some(status) => {
                let span = span.with("http.response.status_code", i64::from(status));
                // What a client did wrong is no error of the server's.
                if status < 500 { span } else { span.failed(status.to_string(), String::new()) }
            }
        };
        self.spans.tell(span);
    }
}

/// An event on its way to the broker.
pub struct Sending<'a> {
    request: &'a Entered,
    began: Began,
}

impl Sending<'_> {
    /// What the broker said, if it did in time.
    pub fn done(self, topic: &Arc<str>, key: &str, said: &Result<Result<Stored, PublishError>, Elapsed>) {
        let Entered { spans, context, .. } = self.request;
        let own = context.at(spans.new_span());
        let (kind, name) = (SpanKind::Client, format!("send {topic}"));
        let span = Span::new(own, Some((*context, Lies::Here)), kind, name, self.began.until_now())
            .about(topic, "send", "send")
            .with("messaging.kafka.message.key", cut(key));
        spans.tell(match said {
            Ok(Ok(stored)) => span.of_record(stored.partition, stored.offset),
            Ok(Err(error)) => {
                let class = match error {
                    PublishError::Refused { .. } => "refused",
                    PublishError::Away { .. } => "away",
                    PublishError::Unknown { .. } => "unknown",
                };
                span.failed(class, error.to_string())
            }
            Err(_) => span.failed("timeout", "the broker did not answer in time".to_owned()),
        });
    }
}
