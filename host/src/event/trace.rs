//! Where an event belongs in a distributed trace: [W3C Trace Context](https://www.w3.org/TR/trace-context/), in the headers
//! `traceparent` and `tracestate` of HTTP requests and Kafka records alike.
//!
//! A request's context goes into the event that it becomes, and an event's into what comes of it, with a span id of its own for each
//! function that handled it. That id is derived from the event, so an event that is handled again has the same one, and the span
//! that is recorded of it ([`crate::spans`]) is the parent of what comes of it. An event without a context is in no trace; only a
//! request may begin one, where spans are recorded.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Event, Header, Offset, Partition, digits};

/// The header that names the trace and the span that caused what it stands on.
pub const TRACEPARENT: &str = "traceparent";
/// The header with what tracing systems add to that.
pub const TRACESTATE: &str = "tracestate";
/// A longer `tracestate` is not carried on.
const TRACESTATE_BYTES_MAX: usize = 512;

/// A `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl Context {
    /// The context of a trace that begins with this span.
    pub fn begun(trace: [u8; 16], span: [u8; 8], is_sampled: bool) -> Self {
        Self { trace, span, flags: is_sampled.into() }
    }

    /// Reads a `traceparent`; `None` when it is none. Of a later version of the standard, what version 00 has.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(55)?;
        let version = hex::<1>(head.get(..2)?)?;
        let dashes = [2, 35, 52].iter().all(|at| head.get(*at) == Some(&b'-'));
        let ends = rest.is_empty() || (version != [0] && rest.starts_with(b"-"));
        let (trace, span) = (hex(head.get(3..35)?)?, hex(head.get(36..52)?)?);
        let [flags] = hex(head.get(53..)?)?;
        let is_one = version != [0xff] && dashes && ends && trace != [0; 16] && span != [0; 8];
        is_one.then_some(Self { trace, span, flags })
    }

    /// The context of an event.
    pub fn of(event: &Event) -> Option<Self> {
        event.headers.iter().find(|header| header.name == TRACEPARENT).and_then(|h| Self::parse(h.value.as_deref()?))
    }

    /// The context of what a function made of the event at a place; its span is the invocation's.
    pub fn after(self, partition: &Partition, offset: Offset, function: &str) -> Self {
        let mut hash = Sha256::new_with_prefix(self.trace);
        for part in [function.as_bytes(), partition.topic.as_bytes()] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(partition.number.to_be_bytes());
        hash.update(offset.to_be_bytes());
        let mut span = [0; 8];
        span.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
        self.at(span)
    }

    /// The same trace at another span.
    #[must_use]
    pub fn at(self, span: [u8; 8]) -> Self {
        Self { span, ..self }
    }

    /// What names the trace.
    pub fn trace(&self) -> [u8; 16] {
        self.trace
    }

    /// What names the span.
    pub fn span(&self) -> [u8; 8] {
        self.span
    }

    /// Whether whoever began the trace wants it recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// The 32 digits that name the trace.
    pub fn trace_id(&self) -> String {
        digits(&self.trace)
    }

    /// The 16 digits that name the span.
    pub fn span_id(&self) -> String {
        digits(&self.span)
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the flags, version 00 knows `sampled` alone.
        write!(f, "00-{}-{}-{:02x}", digits(&self.trace), digits(&self.span), self.flags & 1)
    }
}

/// Whether an event is in a trace that is to be recorded. Asked of every event, so it looks at no more than the digit that says so;
/// what else stands there [`Context::of`] tells.
pub fn is_sampled(event: &Event) -> bool {
    let parent = event.headers.iter().find(|header| header.name == TRACEPARENT).and_then(|h| h.value.as_deref());
    let flags = parent.and_then(|parent| parent.get(54));
    flags.is_some_and(|digit| matches!(digit, b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f'))
}

/// The headers that carry a context on, beside a `tracestate` that came with it.
pub fn headers(context: Context, state: Option<&[u8]>) -> Vec<Header> {
    let mut headers = vec![Header { name: TRACEPARENT.to_owned(), value: Some(context.to_string().into_bytes()) }];
    if let Some(state) = state.filter(|state| (1..=TRACESTATE_BYTES_MAX).contains(&state.len())) {
        headers.push(Header { name: TRACESTATE.to_owned(), value: Some(state.to_vec()) });
    }
    headers
}

/// The headers of what a function made of `event`; none when the event is in no trace.
pub fn carried(event: &Event, function: &str) -> Vec<Header> {
    let Some(context) = Context::of(event) else { return Vec::new() };
    let state = event.headers.iter().find(|header| header.name == TRACESTATE).and_then(|h| h.value.as_deref());
    headers(context.after(&event.partition, event.offset, function), state)
}

/// Bytes of lower-case digits: upper-case ones are none here.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    (text.len() == 2 * N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Partition;
    use proptest::prelude::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn event(headers: &[(&str, &str)], offset: i64) -> Event {
        let header = |(name, value): &(&str, &str)| Header { name: (*name).into(), value: Some((*value).into()) };
        Event {
            partition: Partition::new("in", 3),
            offset,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: headers.iter().map(header).collect(),
        }
    }

    #[test]
    fn a_context_is_written_as_it_was_read() {
        assert_eq!(Context::parse(PARENT.as_bytes()).unwrap().to_string(), PARENT);
        let later = format!("{}-of-another-version", PARENT.replacen("00", "cc", 1));
        assert_eq!(Context::parse(later.as_bytes()).unwrap().to_string(), PARENT);
    }

    #[test]
    fn what_is_no_context_is_not_carried() {
        let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let no_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        let more = format!("{PARENT}-00");
        let (upper, version) = (PARENT.to_uppercase(), PARENT.replacen("00", "ff", 1));
        for none in ["", "00", zero, no_span, &more, &upper, &version, &PARENT[..54], &PARENT.replace('-', "_")] {
            assert_eq!(Context::parse(none.as_bytes()), None, "{none}");
            assert_eq!(carried(&event(&[("traceparent", none)], 0), "f"), vec![], "{none}");
        }
    }

    #[test]
    fn what_comes_of_an_event_is_in_its_trace_with_a_span_of_its_own_that_repeats() {
        let headers = [("a", "b"), ("traceparent", PARENT), ("tracestate", "vendor=1")];
        let of = |offset, function| {
            let carried = carried(&event(&headers, offset), function);
            assert_eq!(carried[1], Header { name: "tracestate".into(), value: Some("vendor=1".into()) });
            String::from_utf8(carried[0].value.clone().unwrap()).unwrap()
        };
        assert!(of(7, "f").starts_with(&PARENT[..36]), "{}", of(7, "f"));
        assert_eq!(of(7, "f"), of(7, "f"));
        let all: std::collections::BTreeSet<_> = [PARENT.to_owned(), of(7, "f"), of(8, "f"), of(7, "g")].into();
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn only_what_is_said_to_be_recorded_is() {
        let sampled = |parent: &str| is_sampled(&event(&[("a", "b"), ("traceparent", parent)], 0));
        for flags in 0..=255_u8 {
            let parent = format!("{}{flags:02x}", &PARENT[..53]);
            assert_eq!(sampled(&parent), flags & 1 == 1, "{parent}");
            assert_eq!(sampled(&parent), Context::parse(parent.as_bytes()).unwrap().is_sampled(), "{parent}");
        }
        assert!(!is_sampled(&event(&[], 0)) && !sampled("") && !sampled(&PARENT[..54]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            Context::parse(&bytes);
        }
    }
}
