//! A refused request, as a person and a program read it: problem details for HTTP APIs (RFC 9457).
//!
//! Bounded: a problem names at most [`ERRORS_MAX`] places, and each detail is cut at [`DETAIL_CHARS_MAX`], because
//! validators quote what they refuse.

use std::borrow::Cow;
use std::fmt;

use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};

use crate::admin::status::Reason;
use crate::app::schemas::Mismatch;

/// A problem names at most this many places; how many more there are is said in its detail.
const ERRORS_MAX: usize = 32;

/// The longest detail, in characters.
const DETAIL_CHARS_MAX: usize = 400;

/// What is wrong, and with what status it is answered.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: AboutBlank,
    title: Cow<'static, str>,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Place>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
    #[serde(skip)]
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

/// The problem is of no type of its own: status and title say what it is.
#[derive(Debug)]
struct AboutBlank;

impl Serialize for AboutBlank {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("about:blank")
    }
}

/// One place in the body that is wrong.
#[derive(Debug, Serialize)]
struct Place {
    /// A JSON Pointer (RFC 6901).
    pointer: String,
    detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.title),
            None => f.write_str(&self.title),
        }
    }
}

impl Problem {
    /// A problem that its title tells. Titles name no data of the request.
    pub(crate) fn new(status: StatusCode, title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: AboutBlank,
            title: title.into(),
            status,
            detail: None,
            errors: vec![],
            reasons: vec![],
            header: None,
        }
    }

    /// With what the caller can do about it.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(cut(detail.into()));
        self
    }

    /// With the places that are wrong.
    pub(crate) fn errors(mut self, mismatches: impl IntoIterator<Item = Mismatch>) -> Self {
        let mut mismatches = mismatches.into_iter();
        let places = mismatches.by_ref().take(ERRORS_MAX);
        self.errors = places.map(|m| Place { pointer: cut(m.pointer), detail: cut(m.detail) }).collect();
        match mismatches.count() {
            0 => self,
            more => self.detail(format!("and {more} more places")),
        }
    }

    /// With what keeps the host from being live or ready.
    pub(crate) fn reasons(mut self, reasons: Vec<Reason>) -> Self {
        self.reasons = reasons;
        self
    }

    /// With when to come back.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.header = Some(Box::new((RETRY_AFTER, HeaderValue::from(seconds))));
        self
    }

    /// With the methods that are allowed, such as `GET, POST`.
    pub(crate) fn allow(self, methods: &str) -> Self {
        self.header(ALLOW, methods)
    }

    /// With a header. The last one counts.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.header = HeaderValue::from_str(value).ok().map(|value| Box::new((name, value)));
        self
    }

    /// The status it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Strings and numbers always serialize; were it otherwise, the status still says enough.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        (self.status, kind, HeaderMap::from_iter(self.header.map(|header| *header)), body).into_response()
    }
}

fn number<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// At most [`DETAIL_CHARS_MAX`] characters of it.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(DETAIL_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mismatches(number: usize) -> impl Iterator<Item = Mismatch> {
        (0..number).map(|n| Mismatch { pointer: format!("/{n}"), detail: "é".repeat(n * 100) })
    }

    #[test]
    fn a_problem_names_32_places_and_counts_the_others() {
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "t").errors(mismatches(40));
        assert_eq!((problem.errors.len(), problem.detail.as_deref()), (32, Some("and 8 more places")));
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "t").errors(mismatches(32));
        assert_eq!((problem.errors.len(), problem.detail), (32, None));
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "t").errors(mismatches(6));
        let lengths: Vec<_> = problem.errors.iter().map(|place| place.detail.chars().count()).collect();
        assert_eq!(lengths, [0, 100, 200, 300, 400, 401]);
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        let problem = serde_json::to_string(&Problem::new(StatusCode::NOT_FOUND, "t")).unwrap();
        assert_eq!(problem, r#"{"type":"about:blank","title":"t","status":404}"#);
    }
}
