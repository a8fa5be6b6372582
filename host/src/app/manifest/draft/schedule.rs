//! `[schedules.NAME]`.

use std::time::Duration;

use super::{Span, check_name};
use crate::app;
use crate::app::manifest::read::{Section, Spanned};

/// A schedule as it was read.
pub(in crate::app::manifest) struct Schedule {
    pub(in crate::app::manifest) schedule: app::Schedule,
    pub(in crate::app::manifest) topic: Span,
}

/// A year.
const EVERY_MAX: Duration = Duration::from_secs(31_557_600);

pub(super) fn read(section: &Section<'_>, name: Spanned<String>) -> Schedule {
    section.only(&["every", "topic"]);
    check_name(section, "a schedule", &name.value, &name.span);
    // `required` reports what is missing; a time is read from the same text.
    let every = section.required("every", "how long a slot is, such as \"60s\": one tick a slot");
    let every = every.and_then(|_| section.duration("every", app::Schedule::EVERY_MIN..EVERY_MAX));
    let missing = Spanned { value: String::new(), span: section.span.clone() };
    let topic = section.required("topic", "a topic that a function reads: each of its partitions gets the tick");
    let topic = topic.unwrap_or(missing);
    Schedule {
        schedule: app::Schedule {
            name: name.value,
            every: every.map_or(app::Schedule::EVERY_MIN, |every| every.value),
            topic: topic.value.into(),
        },
        topic: topic.span,
    }
}
