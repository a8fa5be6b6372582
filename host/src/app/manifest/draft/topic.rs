//! `[topics.NAME]`.

use std::time::Duration;

use super::Span;
use crate::app::fault::Fault;
use crate::app::manifest::read::{Section, Spanned, size_text};
use crate::app::{App, TopicSpec};

/// A topic as it was read.
pub(in crate::app::manifest) struct Topic {
    pub(in crate::app::manifest) name: Spanned<String>,
    pub(in crate::app::manifest) spec: TopicSpec,
    pub(in crate::app::manifest) partitions: Span,
    /// `None` when it was left out.
    pub(in crate::app::manifest) message_bytes_max: Option<Span>,
    pub(in crate::app::manifest) schema: Option<Span>,
}

/// How many partitions a topic gets that does not say.
const PARTITIONS: i32 = 6;
/// How long a topic keeps records that does not say.
const RETENTION: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// Kafka's own default of `max.message.bytes`.
pub(in crate::app::manifest) const MESSAGE_BYTES: u64 = 1_048_588;
/// The `batch.size` of the client. A batch is refused whole when it is larger than its topic takes.
const MESSAGE_BYTES_MIN: u64 = 1_000_000;
/// The largest record that the client lets through to the broker.
pub(in crate::app::manifest) const MESSAGE_BYTES_MAX: u64 = 64 << 20;

impl Topic {
    pub(in crate::app::manifest) fn is_error(&self) -> bool {
        self.name.value == App::ERROR_TOPIC
    }
}

pub(super) fn read(section: &Section<'_>, name: Spanned<String>) -> Topic {
    section.only(&["partitions", "replication", "retention", "max-message", "schema", "validate"]);
    check_topic_name(section, &name);
    let partitions = section.integer("partitions", 1..10_001);
    let replication = section.integer("replication", 1..i64::from(i16::MAX) + 1);
    let retention = section.duration("retention", Duration::from_secs(1)..Duration::from_secs(100 * 365 * 86_400));
    let message = section.size("max-message", 1..MESSAGE_BYTES_MAX + 1);
    if let Some(small) = message.as_ref().filter(|message| message.value < MESSAGE_BYTES_MIN) {
        let fault = Fault::new(format!("`max-message` of {} is less than a full batch", section.title));
        let fault = fault.note(format!("at least {}", size_text(MESSAGE_BYTES_MIN)));
        section.reader.report(&small.span, fault.hint(
            "Kafka holds it against a whole batch of records, and the client fills one up to this size; how large one \
             event may be is `limits.output` of its function, or `max-body` of its route",
        ));
    }
    let schema = section.string("schema");
    let validate = section.boolean("validate");
    if let (Some(true), None) = (validate, &schema) {
        let fault = Fault::new(format!("{} is to be validated, but names no schema", section.title));
        section
            .reader
            .report(&section.key_span("validate"), fault.hint("add `schema = \"…\"`, or leave `validate` out"));
    }
    Topic {
        spec: TopicSpec {
            partitions: partitions.as_ref().and_then(|p| i32::try_from(p.value).ok()).unwrap_or(PARTITIONS),
            replication: replication.and_then(|r| i32::try_from(r.value).ok()),
            retention: retention.map_or(RETENTION, |r| r.value),
            message_bytes_max: message.as_ref().map_or(MESSAGE_BYTES, |m| m.value),
            schema: schema.as_ref().map(|s| s.value.clone()),
            validate: validate.unwrap_or(true),
        },
        partitions: partitions.map_or_else(|| name.span.clone(), |p| p.span),
        message_bytes_max: message.map(|m| m.span),
        schema: schema.map(|s| s.span),
        name,
    }
}

/// Kafka's rule for topic names.
fn check_topic_name(section: &Section<'_>, name: &Spanned<String>) {
    let taken = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let note = match name.value.as_str() {
        "" | "." | ".." => "Kafka does not take this name",
        "__consumer_offsets" | "__transaction_state" => "Kafka keeps this one for itself",
        long if long.len() > 249 => "Kafka takes 249 characters at most",
        odd if !odd.chars().all(taken) => "Kafka takes letters, digits, `.`, `_` and `-`",
        _ => return,
    };
    section.reader.report(&name.span, Fault::new(format!("`{}` cannot name a topic", name.value)).note(note));
}
