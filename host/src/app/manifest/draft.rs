//! The manifest as it was read, part by part: the values of an [`App`](crate::app::App) with the place of each.
//!
//! What can be judged about one table by itself is judged here; what needs a second one is for [`super::rules`].

use std::ops::Range;
use std::path::Path;

use super::read::{Section, Spanned, size_text};
use crate::app::TopicSpec;
use crate::app::fault::Fault;

mod function;
mod route;
mod schedule;
mod topic;

pub(super) use function::Function;
pub(super) use route::Route;
pub(super) use schedule::Schedule;
pub(super) use topic::{MESSAGE_BYTES, MESSAGE_BYTES_MAX, Topic};

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
    pub(super) schedules: Vec<Schedule>,
    pub(super) groups: Vec<Group>,
}

pub(super) struct Group {
    pub(super) name: Spanned<String>,
    pub(super) workers: usize,
}

/// Workers of one group in one process.
const WORKERS_MAX: i64 = 64;

/// Reads the whole document.
pub(super) fn read(document: &Section<'_>, root: &Path) -> Draft {
    document.only(&["name", "schemas", "workers", "topics", "routes", "functions", "schedules", "groups"]);
    let name = document.required("name", "everything that the host owns on Kafka begins with it");
    let name = name.unwrap_or_else(|| Spanned { value: "app".into(), span: document.span.clone() });
    check_name(document, "an app", &name.value, &name.span);
    Draft {
        name,
        schemas: document.string("schemas"),
        workers: workers(document),
        topics: each(document, "topics", "topic", topic::read),
        routes: document.sections("routes", |i| format!("route {i}")).iter().map(route::read).collect(),
        functions: each(document, "functions", "function", |section, name| function::read(section, name, root)),
        schedules: each(document, "schedules", "schedule", schedule::read),
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
    let Some(tables) = document.section(name, format!("`{name}`")) else {
        return Vec::new();
    };
    let one = |key: Spanned<&str>| {
        let section = tables.section(key.value, format!("{noun} `{}`", key.value))?;
        Some(read(&section, Spanned { value: key.value.to_owned(), span: key.span }))
    };
    tables.names().into_iter().filter_map(one).collect()
}

/// What names an app, a function, a schedule and a group.
pub(crate) const NAME_RULE: &str = "1 to 64 small letters, digits and `-`";

/// Whether `name` is as [`NAME_RULE`] says.
pub(crate) fn is_name(name: &str) -> bool {
    let taken = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=64).contains(&name.len()) && name.chars().all(taken)
}

fn check_name(section: &Section<'_>, what: &str, name: &str, span: &Span) {
    if !is_name(name) {
        let fault = Fault::new(format!("`{name}` cannot name {what}"));
        section.reader.report(span, fault.note(NAME_RULE));
    }
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

/// A topic's size limit, for people.
pub(super) fn message_text(spec: &TopicSpec) -> String {
    size_text(spec.message_bytes_max)
}
