//! `[functions.NAME]`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::topic::MESSAGE_BYTES_MAX;
use super::{Span, check_name};
use crate::app::fault::Fault;
use crate::app::manifest::read::{Section, Spanned, time_text};
use crate::app::{self, Limits, Retry, Source};
use crate::broker::From;

/// A function as it was read.
pub(in crate::app::manifest) struct Function {
    pub(in crate::app::manifest) function: app::Function,
    pub(in crate::app::manifest) source: Span,
    pub(in crate::app::manifest) input: Vec<Spanned<String>>,
    pub(in crate::app::manifest) output: Vec<Spanned<String>>,
    pub(in crate::app::manifest) from: Span,
}

/// An event that is still tried after this long holds up its whole worker.
const TRIES_MAX: Duration = Duration::from_secs(60);

pub(super) fn read(section: &Section<'_>, name: Spanned<String>, root: &Path) -> Function {
    section.only(&["source", "input", "output", "config", "limits", "retry", "group", "from"]);
    check_name(section, "a function", &name.value, &name.span);
    let source = section.required("source", "a crate beside app.toml, or a .wasm file");
    let source = source.unwrap_or_else(|| Spanned { value: name.value.clone(), span: name.span.clone() });
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
    let Some(config) = section.section("config", title) else {
        return BTreeMap::new();
    };
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
    let Some(table) = section.section("limits", format!("`limits` of {}", section.title)) else {
        return limits;
    };
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
