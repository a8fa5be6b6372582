//! What a request's headers say: that its body is JSON, and which `Idempotency-Key` it has.

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};

use super::problem::Problem;
use crate::event::Header;
use crate::event::trace::{self, Context, TRACEPARENT, TRACESTATE};

/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest `Idempotency-Key`, in characters.
const KEY_CHARS_MAX: usize = 255;

/// Refuses a body that is not said to be JSON in UTF-8. Only `application/json`: a body of another `+json` type, a
/// finished CloudEvent say, means something else than the route's schema describes.
pub(crate) fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !said.is_some_and(is_json) || headers.get_all(CONTENT_TYPE).iter().count() > 1 {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is not said to be JSON")
            .detail("send it with the header `content-type: application/json`; its charset, if given, is utf-8")
            .header(ACCEPT, "application/json"));
    }
    if headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is compressed")
            .detail("send it as it is, without the header `content-encoding`")
            .header(ACCEPT_ENCODING, "identity"));
    }
    Ok(())
}

/// `application/json`, with no charset or with UTF-8.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    json && parts.filter(|parameter| !parameter.is_empty()).all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

/// The request's `Idempotency-Key`. `"abc"`, as the draft has it, and a bare `abc` are one key.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let key = if text.starts_with('"') { unquote(text) } else { bare(text) };
    match key {
        Some(key) if values.next().is_none() && (1..=KEY_CHARS_MAX).contains(&key.len()) => Ok(Some(key)),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, "the Idempotency-Key cannot be used").detail(format!(
            "send one key of 1 to {KEY_CHARS_MAX} visible ASCII characters, bare or in double quotes, such as a UUID"
        ))),
    }
}

/// In which trace a request is.
#[derive(Clone, Copy)]
pub(super) struct Trace {
    /// The context that it came with.
    pub(super) came: Option<Context>,
    /// The one that it goes on with.
    pub(super) goes: Option<Context>,
}

/// In which trace a request comes. What cannot be read is in none.
pub(super) fn parent(headers: &HeaderMap) -> Option<Context> {
    // Two parents are none (W3C Trace Context, 3.2.4).
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let parent = parents.next().filter(|_| parents.next().is_none())?;
    Context::parse(parent.as_bytes())
}

/// What says in which trace a request goes on, as a record carries it. A state without a parent is none.
pub(super) fn carried(headers: &HeaderMap, trace: Trace) -> Vec<Header> {
    let Some(context) = trace.goes else { return Vec::new() };
    if trace.came.is_none() {
        return trace::headers(context, None);
    }
    let states: Vec<&[u8]> = headers.get_all(TRACESTATE).iter().map(|state| state.as_bytes()).collect();
    trace::headers(context, Some(&states.join(&b","[..])))
}

fn bare(text: &str) -> Option<String> {
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| text.to_owned())
}

/// What a string of RFC 8941 says. Parameters after it have no meaning here and are refused.
fn unquote(text: &str) -> Option<String> {
    let mut inner = text.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut key = String::new();
    while let Some(char) = inner.next() {
        match char {
            '\\' => key.push(inner.next().filter(|c| matches!(c, '"' | '\\'))?),
            '"' => return None,
            ' '..='~' => key.push(char),
            _ => return None,
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn key_of(value: &str) -> Result<Option<String>, StatusCode> {
        let headers = HeaderMap::from_iter([(IDEMPOTENCY_KEY, HeaderValue::from_str(value).unwrap())]);
        idempotency_key(&headers).map_err(|problem| problem.status())
    }

    #[test]
    fn a_key_is_the_same_bare_and_quoted() {
        assert_eq!(key_of("8e03978e-40d5"), Ok(Some("8e03978e-40d5".to_owned())));
        assert_eq!(key_of("\"8e03978e-40d5\""), Ok(Some("8e03978e-40d5".to_owned())));
        assert_eq!(key_of(r#""a \"b\" \\ c""#), Ok(Some(r#"a "b" \ c"#.to_owned())));
    }

    #[test]
    fn a_key_is_1_to_255_visible_characters() {
        assert!(key_of(&"k".repeat(255)).is_ok());
        let quoted = ["\"\"", "\"", "\"a", "\"a\"b\"", r#""a\b""#, r#""a\""#, "\"a\";p=1"];
        let bare = ["", "a b", "ä", "a\tb", &"k".repeat(256)];
        for value in quoted.into_iter().chain(bare) {
            assert_eq!(key_of(value), Err(StatusCode::BAD_REQUEST), "{value:?}");
        }
    }

    #[test]
    fn two_keys_are_refused_and_none_is_fine() {
        let mut headers = HeaderMap::new();
        assert!(matches!(idempotency_key(&headers), Ok(None)));
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        assert!(idempotency_key(&headers).is_err());
    }

    #[test]
    fn only_json_in_utf_8_is_json() {
        for good in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
            assert!(is_json(good), "{good}");
        }
        for good in ["application/json;charset=\"UTF-8\"", "application/json; profile=x", "application/json;"] {
            assert!(is_json(good), "{good}");
        }
        let bad = ["", "text/plain", "application/cloudevents+json", "application/jsonp", "application/json; charset"];
        for bad in bad.into_iter().chain(["application/json; charset=latin1"]) {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
