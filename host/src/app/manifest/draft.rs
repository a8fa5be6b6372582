//! The manifest as it was read, part by part: the values of an [`App`](crate::app::App) with the place of each.
//!
//! What can be judged about one table by itself is judged here; what needs a second one is for [`super::rules`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use super::read::{Section, Spanned, listed, size_text, time_text};
use crate::app::fault::{Fault, nearest};
use crate::app::{self, App, Limits, Retry, Source, TopicSpec};
use crate::broker::From;

/// An offset of the file and the one after the last.
type Span = Range<usize>;

/// What was read.
pub(super) struct Draft {
    pub(super) name: Spanned<String>,
    pub(super) schemas: Option<Spanned<String>>,
    pub(super) workers: usize,
    pub(super) topics: Vec<Topic>,
    pub(super) routes: Vec<Route>,
    pub(super) functions: Vec<Function>,
    pub(super) groups: Vec<Group>,
}

pub(super) struct Topic {
    pub(super) name: Spanned<String>,
    pub(super) spec: TopicSpec,
    pub(super) partitions: Span,
    /// `None` when it was left out.
    pub(super) message_bytes_max: Option<Span>,
    pub(super) schema: Option<Span>,
}

pub(super) struct Route {
    pub(super) route: app::Route,
    pub(super) header: Span,
    pub(super) path: Span,
    pub(super) topic: Span,
    pub(super) body: Span,
    pub(super) body_bytes_max: Span,
}

pub(super) struct Function {
    pub(super) function: app::Function,
    pub(super) source: Span,
    pub(super) input: Vec<Spanned<String>>,
    pub(super) output: Vec<Spanned<String>>,
    pub(super) from: Span,
}

pub(super) struct Group {
    pub(super) name: Spanned<String>,
    pub(super) workers: usize,
}

/// How many partitions a topic gets that does not say.
const PARTITIONS: i32 = 6;
/// How long a topic keeps records that does not say.
const RETENTION: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// Kafka's own default of `max.message.bytes`.
pub(super) const MESSAGE_BYTES: u64 = 1_048_588;
/// The largest record that the client lets through to the broker.
pub(super) const MESSAGE_BYTES_MAX: u64 = 64 << 20;
/// The largest body of a route that does not say.
const BODY_BYTES: u64 = 256 << 10;
/// An event that is still tried after this long holds up its whole worker.
const TRIES_MAX: Duration = Duration::from_secs(60);
/// Workers of one group in one process.
const WORKERS_MAX: i64 = 64;

/// Reads the whole document.
pub(super) fn read(document: &Section<'_>, root: &Path) -> Draft {
    document.only(&["name", "schemas", "workers", "topics", "routes", "functions", "groups"]);
    let name = document.required("name", "everything that the host owns on Kafka begins with it");
    let name = name.unwrap_or(Spanned { value: "app".into(), span: document.span.clone() });
    check_name(document, "an app", &name.value, &name.span);
    Draft {
        name,
        schemas: document.string("schemas"),
        workers: workers(document),
        topics: each(document, "topics", "topic", topic),
        routes: document.sections("routes", |i| format!("route {i}")).iter().map(route).collect(),
        functions: each(document, "functions", "function", |section, name| function(section, name, root)),
        groups: each(document, "groups", "group", group),
    }
}

/// Reads each table in the table `name`.
fn each<T>(
    document: &Section<'_>,
    name: &str,
    noun: &str,
    read: impl Fn(&Section<'_>, Spanned<String>) -> T,
) -> Vec<T> {
    let Some(tables) = document.section(name, format!("`{name}`")) else { return Vec::new() };
    let one = |key: Spanned<&str>| {
        let section = tables.section(key.value, format!("{noun} `{}`", key.value))?;
        Some(read(&section, Spanned { value: key.value.to_owned(), span: key.span }))
    };
    tables.names().into_iter().filter_map(one).collect()
}

fn topic(section: &Section<'_>, name: Spanned<String>) -> Topic {
    section.only(&["partitions", "replication", "retention", "max-message", "schema", "validate"]);
    check_topic_name(section, &name);
    let partitions = section.integer("partitions", 1..10_001);
    let replication = section.integer("replication", 1..i64::from(i16::MAX) + 1);
    let retention = section.duration("retention", Duration::from_secs(1)..Duration::from_secs(100 * 365 * 86_400));
    let message = section.size("max-message", 1 << 10..MESSAGE_BYTES_MAX + 1);
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

fn check_name(section: &Section<'_>, what: &str, name: &str, span: &Span) {
    let taken = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(1..=64).contains(&name.len()) || !name.chars().all(taken) {
        let fault = Fault::new(format!("`{name}` cannot name {what}"));
        section.reader.report(span, fault.note("1 to 64 small letters, digits and `-`"));
    }
}

fn route(section: &Section<'_>) -> Route {
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

fn function(section: &Section<'_>, name: Spanned<String>, root: &Path) -> Function {
    section.only(&["source", "input", "output", "config", "limits", "retry", "group", "from"]);
    check_name(section, "a function", &name.value, &name.span);
    let source = section.required("source", "a crate beside app.toml, or a .wasm file");
    let source = source.unwrap_or(Spanned { value: name.value.clone(), span: name.span.clone() });
    let input = section.strings("input");
    if input.is_empty() {
        let fault = Fault::new(format!("{} reads no topic", section.title));
        section.reader.report(&section.key_span("input"), fault.hint("add `input = [\"…\"]`: the topics it handles"));
    }
    let output = section.strings("output");
    let group = section.string("group");
    if let Some(group) = &group {
        check_name(section, "a group", &group.value, &group.span);
    }
    let limits = limits(section);
    let topics = |named: &[Spanned<String>]| named.iter().map(|t| t.value.as_str().into()).collect();
    Function {
        function: app::Function {
            source: source_of(root, &source.value),
            input: topics(&input),
            output: topics(&output),
            config: config(section),
            limits,
            retry: retry(section, &limits),
            group: group.map(|group| group.value),
            from: from(section),
            name: name.value,
        },
        from: section.item("from").map_or_else(|| name.span.clone(), |item| section.value_span("from", item)),
        source: source.span,
        input,
        output,
    }
}

fn source_of(root: &Path, source: &str) -> Source {
    match source.ends_with(".wasm") {
        true => Source::Component(root.join(source)),
        false => Source::Crate(root.join(source)),
    }
}

fn config(section: &Section<'_>) -> BTreeMap<String, String> {
    let title = format!("`config` of {}", section.title);
    let Some(config) = section.section("config", title) else { return BTreeMap::new() };
    let pair = |key: Spanned<&str>| Some((key.value.to_owned(), config.string(key.value)?.value));
    config.names().into_iter().filter_map(pair).collect()
}

fn from(section: &Section<'_>) -> From {
    match section.string("from") {
        None => From::default(),
        Some(from) if from.value == "earliest" => From::Earliest,
        Some(from) if from.value == "latest" => From::Latest,
        Some(from) => {
            let fault = Fault::new(format!("{} cannot begin from `{}`", section.title, from.value));
            section.reader.report(&from.span, fault.note("\"earliest\" or \"latest\""));
            From::default()
        }
    }
}

fn limits(section: &Section<'_>) -> Limits {
    let mut limits = Limits::default();
    let Some(table) = section.section("limits", format!("`limits` of {}", section.title)) else { return limits };
    table.only(&["time", "memory", "output"]);
    let bytes = |size: Spanned<u64>| usize::try_from(size.value).unwrap_or(usize::MAX);
    if let Some(time) = table.duration("time", Duration::from_millis(1)..TRIES_MAX) {
        limits.time = time.value;
    }
    if let Some(memory) = table.size("memory", 64 << 10..Limits::MEMORY_BYTES_MAX as u64 + 1) {
        limits.memory_bytes = bytes(memory);
    }
    if let Some(output) = table.size("output", 1 << 10..MESSAGE_BYTES_MAX + 1) {
        limits.output_bytes = bytes(output);
    }
    limits
}

fn retry(section: &Section<'_>, limits: &Limits) -> Retry {
    let mut retry = Retry::default();
    let table = section.section("retry", format!("`retry` of {}", section.title));
    if let Some(table) = &table {
        table.only(&["attempts", "backoff"]);
        if let Some(attempts) = table.integer("attempts", 1..101) {
            retry.attempts = u32::try_from(attempts.value).unwrap_or(retry.attempts);
        }
        if let Some(backoff) = table.duration_range("backoff") {
            (retry.backoff_min, retry.backoff_max) = backoff.value;
        }
    }
    let worst = worst_case(&retry, limits);
    if worst >= TRIES_MAX {
        let span = if table.is_some() { section.key_span("retry") } else { section.key_span("limits") };
        let message = format!("one event could keep {} busy for {}", section.title, time_text(worst));
        let (attempts, time) = (retry.attempts, time_text(limits.time));
        let fault = Fault::new(message).note(format!("{attempts} attempts of {time} and the waits between them"));
        section.reader.report(
            &span,
            fault.hint(
                "stay under 60 s, for all events of the group wait meanwhile: fewer attempts, shorter waits, less time",
            ),
        );
    }
    retry
}

/// How long one event can take: every attempt to its limit, and every wait between two.
fn worst_case(retry: &Retry, limits: &Limits) -> Duration {
    let waits = (1..retry.attempts).map(|attempt| retry.backoff(attempt));
    waits.fold(limits.time.saturating_mul(retry.attempts), Duration::saturating_add)
}

fn group(section: &Section<'_>, name: Spanned<String>) -> Group {
    section.only(&["workers"]);
    check_name(section, "a group", &name.value, &name.span);
    Group { workers: workers(section), name }
}

fn workers(section: &Section<'_>) -> usize {
    let workers = section.integer("workers", 1..WORKERS_MAX + 1);
    workers.and_then(|workers| usize::try_from(workers.value).ok()).unwrap_or(1)
}

/// A fault about a name that is not declared: with the nearest that is.
pub(super) fn undeclared(message: String, name: &str, known: &[&str], nothing: &str) -> Fault {
    let fault = Fault::new(message);
    match (nearest(name, known.iter().copied()), known) {
        (Some(near), _) => fault.note(format!("did you mean `{near}`?")),
        (None, []) => fault.note(nothing.to_owned()),
        (None, known) if known.len() <= 12 => fault.note(format!("there are {}", listed(known))),
        (None, _) => fault,
    }
}

/// A topic's size limit, for people.
pub(super) fn message_text(spec: &TopicSpec) -> String {
    size_text(spec.message_bytes_max)
}

impl Topic {
    pub(super) fn is_error(&self) -> bool {
        self.name.value == App::ERROR_TOPIC
    }
}
