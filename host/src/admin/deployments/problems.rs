//! What a change of deployments is refused with, for people: what is wrong, and what mends it.

use axum::http::StatusCode;

use crate::broker::Error;
use crate::deploy::book::Refusal;
use crate::deploy::ledger::WriteError;
use crate::ingress::problem::Problem;

/// What a note is.
pub const NOTE_RULE: &str = "one line of 1024 bytes at most, of nothing that is not seen";
/// The longest note, in bytes.
const NOTE_BYTES_MAX: usize = 1024;

/// Whether a text can be a note ([`NOTE_RULE`]): what is not seen could have a line show something else.
pub fn is_note(text: &str) -> bool {
    // Separators of lines and paragraphs, marks of direction, and what has no width.
    let is_unseen = |c: char| matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    text.len() <= NOTE_BYTES_MAX && !text.chars().any(|c| c.is_control() || is_unseen(c))
}

pub(super) fn noted(note: String) -> Result<String, Problem> {
    if is_note(&note) {
        return Ok(note);
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, "the note cannot be kept").detail(format!("a note is {NOTE_RULE}")))
}

pub(super) fn unreadable(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "the request cannot be read").detail(detail)
}

/// Nothing was written, and nothing will be.
pub(super) fn unread(error: Error) -> Problem {
    match error {
        Error::Away { .. } => Problem::new(StatusCode::GATEWAY_TIMEOUT, "the broker did not answer in time")
            .detail("nothing was changed; ask again"),
        error => {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::error!(error, "deployments cannot be read");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the deployments could not be read").detail(error)
        }
    }
}

pub(super) fn unwritten(function: &str, error: WriteError) -> Problem {
    let conflict = |title: String| Problem::new(StatusCode::CONFLICT, title);
    match error {
        WriteError::Refused(
            refusal @ (Refusal::UnknownVersion { .. } | Refusal::NeverDeployed(_) | Refusal::NoShadow(_)),
        ) => Problem::new(StatusCode::NOT_FOUND, refusal.to_string())
            .detail(format!("fnhost versions {function} shows what there is")),
        WriteError::Refused(refusal @ Refusal::Ambiguous { .. }) => conflict(refusal.to_string())
            .detail(format!("give more of its digits: fnhost versions {function} shows them")),
        WriteError::Refused(refusal @ Refusal::OtherShadow { .. }) => {
            conflict(refusal.to_string()).detail(format!("fnhost shadow {function} shows what it does"))
        }
        overtaken @ (WriteError::Raced | WriteError::Refused(Refusal::Overtaken(_))) => conflict(overtaken.to_string())
            .detail(format!("look at what they did (fnhost versions {function}), then ask again")),
        WriteError::Refused(refusal) => conflict(refusal.to_string()),
        WriteError::Broker(Error::Away { .. }) => {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "the broker did not answer in time")
                .detail(format!("the deployment may have been made: fnhost versions {function} tells"))
        }
        WriteError::Broker(error) => {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::error!(error, "a deployment cannot be written");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the deployment could not be written").detail(error)
        }
    }
}
