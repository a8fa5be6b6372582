//! The spans of a committed batch: each sampled event's invocation and commit, and the transaction.
//!
//! A transaction belongs to no one event, so it has a trace of its own, with links to the invocations in it. What shows in an
//! event's own trace is a child of its invocation, `commit`, with a link to the transaction: from it people get to all that shared it.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::SpanKind;

use super::{Lies, SYSTEM, Span, Spans, cut};
use crate::deploy::book::Number;
use crate::event::Event;
use crate::event::trace::Context;
use crate::worker::Clock;
use crate::worker::batch::{Handled, Timed, Work};
use crate::worker::plan::{Plan, Planned};
use crate::worker::verdict::Verdict;

/// How many invocations a transaction's span names; OpenTelemetry's own bound.
const LINKS_MAX: usize = 128;

/// What was committed, and when.
#[derive(Clone, Copy)]
pub struct Commit<'a> {
    /// The group's work.
    pub plan: &'a Plan,
    /// The batch.
    pub events: &'a [Event],
    /// What became of it.
    pub handled: &'a Handled,
    /// What its times are told by.
    pub clock: &'a dyn Clock,
    /// When the transaction was first handed in.
    pub handed_in: Duration,
    /// How many records it has.
    pub records: usize,
    /// The deployment that the batch was handled under.
    pub deployment: Number,
}

/// An invocation that is recorded.
struct Invoked<'a> {
    timed: &'a Timed,
    work: &'a Work,
    event: &'a Event,
    planned: &'a Planned,
    /// What the event came with.
    parent: Context,
    /// What goes on in the outputs.
    context: Context,
}

impl Spans {
    /// Tells of a batch that is committed just now. One without a sampled event costs a look.
    pub fn committed(&self, commit: &Commit<'_>) {
        if commit.handled.timed.is_empty() {
            return;
        }
        let Commit { plan, events, handled, clock, .. } = *commit;
        let (now, wall) = (clock.now(), SystemTime::now());
        let at = |time: Duration| wall.checked_sub(now.saturating_sub(time)).unwrap_or(wall);
        let while_committed = (at(commit.handed_in), wall);
        let transaction = Context::begun(self.new_trace(), self.new_span(), true);
        let mut links = Vec::new();
        let invoked = handled.timed.iter().filter_map(|timed| invoked(timed, plan, events, handled));
        let mut count = 0_usize;
        for of in invoked {
            let topic = &of.event.partition.topic;
            self.tell(invocation(&of, plan, (at(of.timed.began), at(of.timed.ended))));
            let own = of.context.at(self.new_span());
            let name = format!("commit {topic}");
            let mut own = Span::new(own, Some((of.context, Lies::Here)), SpanKind::Client, name, while_committed)
                .about(topic, "commit", "settle")
                .of_record(of.event.partition.number, of.event.offset)
                .with("messaging.consumer.group.name", plan.group.clone());
            own.links.push(transaction);
            self.tell(own);
            count += 1;
            if links.len() < LINKS_MAX {
                links.push(of.context);
            }
        }
        if count == 0 {
            return;
        }
        let name = format!("transaction {}", plan.group);
        let mut span = Span::new(transaction, None, SpanKind::Client, name, while_committed)
            .with("messaging.system", SYSTEM)
            .with("messaging.operation.name", "commit")
            .with("messaging.operation.type", "settle")
            .with("messaging.consumer.group.name", plan.group.clone())
            .with("messaging.batch.message_count", number(handled.events))
            .with("fnhost.records", number(commit.records))
            .with("fnhost.deployment", i64::try_from(commit.deployment).unwrap_or(i64::MAX));
        span.links_left_out = u32::try_from(count - links.len()).unwrap_or(u32::MAX);
        span.links = links;
        self.tell(span);
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn invoked<'a>(timed: &'a Timed, plan: &'a Plan, events: &'a [Event], handled: &'a Handled) -> Option<Invoked<'a>> {
    let work = handled.works.get(timed.work)?;
    let (event, planned) = (events.get(work.event)?, plan.functions.get(work.function)?);
    let parent = Context::of(event)?;
    let context = parent.after(&event.partition, event.offset, &planned.function.name);
    Some(Invoked { timed, work, event, planned, parent, context })
}

/// The span of one invocation: all its attempts, and the waits between them.
fn invocation(of: &Invoked<'_>, plan: &Plan, times: (SystemTime, SystemTime)) -> Span {
    let partition = &of.event.partition;
    let name = format!("process {}", partition.topic);
    let mut span = Span::new(of.context, Some((of.parent, Lies::Elsewhere)), SpanKind::Consumer, name, times)
        .about(&partition.topic, "process", "process")
        .of_record(partition.number, of.event.offset)
        .with("messaging.consumer.group.name", plan.group.clone())
        .with("messaging.message.body.size", number(of.event.value.as_ref().map_or(0, Vec::len)))
        .with("fnhost.function", of.planned.function.name.clone())
        .with("fnhost.version", of.work.version.to_string());
    if let Some(key) = &of.event.key {
        span = span.with("messaging.kafka.message.key", cut(&String::from_utf8_lossy(key)));
    }
    match &of.work.verdict {
        Verdict::Apply(_) => span.with("fnhost.verdict", "applied"),
        Verdict::Fail { failure, attempts } => span
            .with("fnhost.verdict", failure.class.name())
            .with("fnhost.attempts", i64::from(*attempts))
            .failed(failure.class.name(), failure.reason.clone()),
    }
}
