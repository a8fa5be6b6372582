//! `[[routes]]`.

use super::Span;
use super::topic::MESSAGE_BYTES_MAX;
use crate::app;
use crate::app::fault::Fault;
use crate::app::manifest::read::{Section, Spanned};

/// A route as it was read.
pub(in crate::app::manifest) struct Route {
    pub(in crate::app::manifest) route: app::Route,
    pub(in crate::app::manifest) header: Span,
    pub(in crate::app::manifest) path: Span,
    pub(in crate::app::manifest) topic: Span,
    pub(in crate::app::manifest) body: Span,
    pub(in crate::app::manifest) body_bytes_max: Span,
}

/// The largest body of a route that does not say.
const BODY_BYTES: u64 = 256 << 10;

pub(super) fn read(section: &Section<'_>) -> Route {
    section.only(&["method", "path", "body", "topic", "type", "id", "member", "max-body"]);
    let required = |name: &str, meaning: &str| {
        let missing = Spanned { value: String::new(), span: section.span.clone() };
        section.required(name, meaning).unwrap_or(missing)
    };
    let method = section.string("method").map_or_else(|| "POST".into(), |method| checked_method(section, method));
    let path = required("path", "what clients ask for, such as \"/orders\"");
    let body = required("body", "the schema of the body, by its name in the schemas folder");
    let topic = required("topic", "where the event goes");
    let event_type = required("type", "the CloudEvents type of the event, such as \"shop.order-received\"");
    let member = required("member", "the member of `data` that holds the body, such as \"order\"");
    let id = required("id", "where the id goes in the body, such as \"/id\"");
    let body_bytes_max = section.size("max-body", 1..MESSAGE_BYTES_MAX + 1);

    let report = |at: &Spanned<String>, message: String, note: &str| {
        // An empty value that was left out is reported already.
        if at.span != section.span {
            section.reader.report(&at.span, Fault::new(message).note(note));
        }
    };
    if !is_path(&path.value) {
        report(&path, format!("`{}` is no path", path.value), "such as /orders: no pattern, query or empty part");
    }
    if !is_pointer(&id.value) {
        report(&id, format!("`{}` is no JSON Pointer to a member", id.value), "such as /id");
    }
    for (key, value) in [("type", &event_type), ("member", &member), ("topic", &topic), ("body", &body)] {
        if value.value.trim().is_empty() {
            report(value, format!("`{key}` of {} is empty", section.title), "a name belongs here");
        }
    }
    Route {
        body_bytes_max: body_bytes_max.as_ref().map_or_else(|| section.span.clone(), |b| b.span.clone()),
        route: app::Route {
            method,
            path: path.value,
            body: body.value,
            topic: topic.value.into(),
            event_type: event_type.value,
            member: member.value,
            id: id.value,
            body_bytes_max: usize::try_from(body_bytes_max.map_or(BODY_BYTES, |b| b.value)).unwrap_or(usize::MAX),
        },
        header: section.span.clone(),
        path: path.span,
        topic: topic.span,
        body: body.span,
    }
}

fn checked_method(section: &Section<'_>, method: Spanned<String>) -> String {
    const METHODS: [&str; 3] = ["POST", "PUT", "PATCH"];
    if !METHODS.contains(&method.value.as_str()) {
        let fault = Fault::new(format!("`{}` is no method of a route", method.value));
        section.reader.report(&method.span, fault.note(format!("one of {}", METHODS.join(", "))));
    }
    method.value
}

fn is_path(path: &str) -> bool {
    let part = |p: &str| !p.is_empty() && p.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c));
    path.len() <= 256 && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
}

/// A JSON Pointer (RFC 6901) to something beneath the root.
fn is_pointer(pointer: &str) -> bool {
    let escaped = |token: &str| token.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    pointer.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|token| !token.is_empty() && escaped(token)))
}
