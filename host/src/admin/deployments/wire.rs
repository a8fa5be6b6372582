//! What deployments are asked and answered with, by hosts and by the verbs that ask them.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::deploy::book::Number;
use crate::event::Digest;

/// What was deployed of a function.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The function.
    pub function: String,
    /// What is active on this host.
    pub active: Option<Digest>,
    /// The newest deployment of the function; 0 when there was none.
    pub number: Number,
    /// The version last made active first.
    pub versions: Vec<VersionView>,
    /// The candidate beside the active version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<VersionView>,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionView {
    /// Its digest.
    pub digest: Digest,
    /// Whether it is what every host is to run.
    pub active: bool,
    /// How many bytes its component has.
    pub bytes: u64,
    /// When it was deployed (RFC 3339, UTC).
    pub at: String,
    /// What was said of it.
    pub note: String,
    /// Why it is not to be used any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What a change made of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The function.
    pub function: String,
    /// The deployment's number; `None` when nothing was written, because that was asked for.
    pub number: Option<Number>,
    /// What was to be active before; the component that the host's app came with when nothing was deployed.
    pub was: Option<Digest>,
    /// What is to be active; `None` is the component that the app came with.
    pub active: Option<Digest>,
    /// The candidate that is to be beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Digest>,
    /// The candidate that was beside the active version, and is to be neither any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discarded: Option<Digest>,
    /// What it calls itself in what it publishes, when the version before calls itself something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    /// What it reaches, and the one before it did not.
    #[serde(default)]
    pub wider: Vec<String>,
    /// What the one before it reached, and it does not.
    #[serde(default)]
    pub narrower: Vec<String>,
    /// The layout of its state, when that is another one than the version before it has: then nobody goes back by himself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_format: Option<String>,
}

/// Which version to go back to.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Rollback {
    /// The first digits of its digest; the version that was active before when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The SHA-256 of a `Content-Digest` header.
pub(super) fn digest_of(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get("content-digest")?.to_str().ok()?;
    value.split(',').find_map(|member| {
        let (algorithm, digest) = member.trim().split_once('=')?;
        let digest = digest.strip_prefix(':')?.strip_suffix(':')?;
        (algorithm == "sha-256").then(|| BASE64.decode(digest).ok()?.try_into().ok()).flatten().map(Digest)
    })
}

/// A component's digest as a `Content-Digest` header has it.
pub fn content_digest(digest: Digest) -> String {
    format!("sha-256=:{}:", BASE64.encode(digest.0))
}
