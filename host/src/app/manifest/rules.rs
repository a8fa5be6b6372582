//! What the parts of a manifest must be to each other. Each rule reports what breaks it, with the place and the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::draft::{Draft, Function, MESSAGE_BYTES_MAX, Schedule, Topic, message_text};
use super::read::{Reader, Spanned, size_text};
use crate::app::App;
use crate::app::fault::{Fault, undeclared};

mod groups;

/// What an envelope around a body may weigh: the attributes of a CloudEvent, and the id.
const ENVELOPE_BYTES: u64 = 16 << 10;

/// Holds every rule against the draft.
pub(super) fn check(reader: &Reader<'_>, draft: &Draft, schemas: &BTreeSet<String>, folder: &Path) {
    topics_are_declared(reader, draft);
    topic_names_are_free(reader, draft);
    error_topic_is_fit(reader, draft);
    groups::check(reader, draft);
    routes_are_distinct(reader, draft);
    bodies_fit(reader, draft);
    schemas_are_there(reader, draft, schemas, folder);
}

fn topics_are_declared(reader: &Reader<'_>, draft: &Draft) {
    let known: Vec<&str> = draft.topics.iter().map(|t| t.name.value.as_str()).collect();
    let check = |who: &str, does: &str, topic: &str, span: &_| {
        if topic.is_empty() || known.contains(&topic) {
            return;
        }
        let message = format!("{who} {does} topic `{topic}`, which app.toml does not declare");
        let fault = undeclared(message, topic, &known, "no topic is declared");
        reader.report(span, fault.hint(format!("declare it with `[topics.{topic}]`, or correct the name")));
    };
    for function in &draft.functions {
        let who = function.title();
        for topic in &function.input {
            check(&who, "reads", &topic.value, &topic.span);
        }
        for topic in &function.output {
            if !is_hosts_own(reader, draft, &who, topic, "to fail an event, return `reject` with a reason") {
                check(&who, "writes to", &topic.value, &topic.span);
            }
        }
    }
    for route in &draft.routes {
        let who = format!("route `{}`", route.route.path);
        let topic = Spanned { value: route.route.topic.to_string(), span: route.topic.clone() };
        if !is_hosts_own(reader, draft, &who, &topic, "give the route a topic that a function reads") {
            check(&who, "writes to", &topic.value, &topic.span);
        }
    }
    for Schedule { schedule, topic } in &draft.schedules {
        let who = format!("schedule `{}`", schedule.name);
        let topic = Spanned { value: schedule.topic.to_string(), span: topic.clone() };
        if !is_hosts_own(reader, draft, &who, &topic, "give the schedule a topic that a function reads") {
            check(&who, "writes to", &topic.value, &topic.span);
        }
    }
}

/// Reports an output to a topic that the host alone writes.
fn is_hosts_own(reader: &Reader<'_>, draft: &Draft, who: &str, topic: &Spanned<String>, for_error: &str) -> bool {
    let hint = if topic.value == App::ERROR_TOPIC {
        for_error
    } else if hosts_own(draft).contains_key(&topic.value) {
        "state is written through the `state` import"
    } else {
        return false;
    };
    let fault = Fault::new(format!("{who} writes to topic `{}`, which is the host's own", topic.value));
    reader.report(&topic.span, fault.note("the host alone writes it").hint(hint));
    true
}

/// The topics that the host makes for itself, and what each is for.
fn hosts_own(draft: &Draft) -> BTreeMap<String, String> {
    let app = &draft.name.value;
    let changelog = |f: &Function, topic: &Spanned<String>| {
        let (function, topic) = (&f.function.name, &topic.value);
        (format!("{app}.{function}.{topic}.state"), format!("the state of function `{function}` for `{topic}`"))
    };
    let changelogs = draft.functions.iter().flat_map(|f| f.input.iter().map(move |topic| changelog(f, topic)));
    let own = [("deployments", "which versions are active"), ("schedules", "how far each schedule has come")];
    let own = own.map(|(end, purpose)| (format!("{app}.{end}"), purpose.to_owned()));
    changelogs.chain(own).collect()
}

fn topic_names_are_free(reader: &Reader<'_>, draft: &Draft) {
    let own = hosts_own(draft);
    let mut folded: BTreeMap<String, &Topic> = BTreeMap::new();
    for topic in &draft.topics {
        let name = &topic.name;
        if let Some(purpose) = own.get(&name.value) {
            let fault = Fault::new(format!("topic `{}` is the host's own", name.value));
            reader.report(&name.span, fault.note(format!("it holds {purpose}")).hint("give the topic another name"));
        }
        if let Some(other) = folded.insert(name.value.replace('.', "_"), topic) {
            let fault = Fault::new(format!("Kafka takes `{}` and `{}` for one name", other.name.value, name.value));
            reader.report(&name.span, fault.note("`.` and `_` are the same in the names of its metrics"));
        }
    }
    for (name, purpose) in own.iter().filter(|(name, _)| name.len() > 249) {
        let fault = Fault::new(format!("the topic for {purpose} would have a name of {} characters", name.len()));
        let hint = format!("Kafka takes 249: shorten the name of the topic or the function (`{name}`)");
        reader.report(&draft.name.span, fault.hint(hint));
    }
}

fn error_topic_is_fit(reader: &Reader<'_>, draft: &Draft) {
    let Some(error) = draft.topics.iter().find(|t| t.is_error()) else {
        let fault = Fault::new("app.toml declares no topic `error`");
        reader.report_missing(fault.hint("add `[topics.error]`: it takes every event that could not be processed"));
        return;
    };
    let Some(largest) = largest_input(draft) else { return };
    let needed = largest.spec.message_bytes_max.saturating_mul(2);
    if needed > MESSAGE_BYTES_MAX {
        let message = format!("topic `{}` has records too large for a function to read", largest.name.value);
        let note = format!("at most {}", size_text(MESSAGE_BYTES_MAX / 2));
        let hint = "an event that fails goes to the error topic whole, escaped, and no record is larger than 64MiB";
        let span = largest.message_bytes_max.as_ref().unwrap_or(&largest.name.span);
        reader.report(span, Fault::new(message).note(note).hint(hint));
        return;
    }
    let Some(span) = &error.message_bytes_max else { return };
    if error.spec.message_bytes_max < needed {
        let message = format!(
            "topic `error` cannot take what fails on `{}`: an error event holds the whole event, escaped",
            largest.name.value
        );
        let note = format!("at least {}, twice the {} of its input", size_text(needed), message_text(&largest.spec));
        let enough = size_text(needed.next_multiple_of(1 << 20));
        let hint =
            format!("write `max-message = \"{enough}\"`, or leave it out: twice the largest input is the default");
        reader.report(span, Fault::new(message).note(note).hint(hint));
    }
}

/// The input topic with the largest records, but for `error` itself.
pub(super) fn largest_input(draft: &Draft) -> Option<&Topic> {
    let inputs: BTreeSet<&str> = draft.functions.iter().flat_map(|f| &f.input).map(|t| t.value.as_str()).collect();
    let read = draft.topics.iter().filter(|t| inputs.contains(t.name.value.as_str()) && !t.is_error());
    read.max_by_key(|topic| topic.spec.message_bytes_max)
}

fn routes_are_distinct(reader: &Reader<'_>, draft: &Draft) {
    let mut seen = BTreeSet::new();
    for route in draft.routes.iter().filter(|route| !route.route.path.is_empty()) {
        let (method, path) = (&route.route.method, &route.route.path);
        if !seen.insert((method, path)) {
            let fault = Fault::new(format!("two routes serve {method} {path}"));
            reader.report(&route.path, fault.note("the second one").hint("give one of them another path"));
        }
    }
}

fn bodies_fit(reader: &Reader<'_>, draft: &Draft) {
    for route in &draft.routes {
        let Some(topic) = draft.topics.iter().find(|t| *t.name.value == *route.route.topic) else {
            continue;
        };
        let body = u64::try_from(route.route.body_bytes_max).unwrap_or(u64::MAX);
        if body.saturating_add(ENVELOPE_BYTES) > topic.spec.message_bytes_max {
            let message = format!(
                "route `{}` takes bodies that topic `{}` does not: the event around a body weighs up to {}",
                route.route.path,
                topic.name.value,
                size_text(ENVELOPE_BYTES)
            );
            let note = format!("{} into {}", size_text(body), message_text(&topic.spec));
            let span = if route.body_bytes_max == route.header { &route.path } else { &route.body_bytes_max };
            reader.report(
                span,
                Fault::new(message).note(note).hint("lower `max-body`, or raise the topic's `max-message`"),
            );
        }
    }
}

fn schemas_are_there(reader: &Reader<'_>, draft: &Draft, schemas: &BTreeSet<String>, folder: &Path) {
    let known: Vec<&str> = schemas.iter().map(String::as_str).collect();
    let topics = draft.topics.iter().filter_map(|t| Some((t.spec.schema.as_ref()?, t.schema.as_ref()?)));
    let routes = draft.routes.iter().map(|r| (&r.route.body, &r.body)).filter(|(name, _)| !name.is_empty());
    for (name, span) in topics.chain(routes).filter(|(name, _)| !schemas.contains(*name)) {
        let fault = undeclared(format!("there is no schema `{name}`"), name, &known, "there is no schema at all");
        let file = folder.join(format!("{name}.schema.json"));
        let hint = format!("write {}; the folder of schemas is `schemas = \"…\"` at the top", file.display());
        reader.report(span, fault.hint(hint));
    }
}

impl Function {
    pub(super) fn title(&self) -> String {
        format!("function `{}`", self.function.name)
    }
}
