//! What a guest says: its log lines, and what it writes to stdout and stderr, on their way to the host's log.
//!
//! Every line has target `function` and the function's name, is cut and has its control characters escaped. What is too
//! much is left out and counted; it never fails an event. stdout and stderr are debug output; the end of stderr is also
//! kept, because that is where a panic says what happened.

use std::sync::Arc;

use tracing::Level;
use wasmtime::component::Resource;

use super::contract::wasi::cli::{stderr, stdin, stdout};
use super::contract::wasi::io::error::Error;
use super::contract::wasi::io::poll::Pollable;
use super::contract::wasi::io::streams::{self, InputStream, OutputStream, StreamError};
use super::contract::wasi::logging::logging::{self, Level as GuestLevel};
use super::{text, time};
use crate::app::Function;
use crate::event::trace::Context;
use crate::event::{Event, Offset, Partition};

/// A longer line is cut.
const LINE_BYTES_MAX: usize = 8 << 10;
/// A longer context is cut.
const CONTEXT_BYTES_MAX: usize = 256;
/// How many log lines of one invocation are shown.
const LINES_MAX: u64 = 64;
/// How much of stdout and stderr together is shown.
const STREAMS_BYTES_MAX: usize = 64 << 10;
/// How much a guest may write at once; WASI wants 4096 at least.
const WRITE_BYTES_MAX: u64 = 64 << 10;
/// How much of stderr's end is kept.
const LAST_WORDS_BYTES_MAX: usize = 1 << 10;

/// The numbers of the guest's streams.
const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// What one invocation says.
pub(super) struct Log {
    function: Arc<Function>,
    /// In which trace the event is, and where it lies. What is made of it is for lines that are shown: most events have none.
    trace: Option<(Context, Partition, Offset)>,
    /// How many log lines there were, shown or not.
    lines: u64,
    /// How many bytes of stdout and stderr there were, shown or not.
    stream_bytes: usize,
    /// The beginning of a line, by stream.
    out: Vec<u8>,
    err: Vec<u8>,
    /// The end of stderr.
    last_words: Vec<u8>,
}

macro_rules! say {
    // A value is made only when the line is shown.
    (@ $level:ident, $log:expr, $function:ident, $($rest:tt)*) => {
        tracing::$level!(
            target: "function",
            $function, trace_id = $log.trace_id().as_deref(), span_id = $log.span_id().as_deref(), $($rest)*
        )
    };
    ($level:expr, $log:expr, $($rest:tt)*) => {{
        let function = $log.function.name.as_str();
        match $level {
            Level::TRACE => say!(@ trace, $log, function, $($rest)*),
            Level::DEBUG => say!(@ debug, $log, function, $($rest)*),
            Level::INFO => say!(@ info, $log, function, $($rest)*),
            Level::WARN => say!(@ warn, $log, function, $($rest)*),
            Level::ERROR => say!(@ error, $log, function, $($rest)*),
        }
    }};
}

impl Log {
    pub(super) fn of(function: Arc<Function>, event: &Event) -> Self {
        let trace = Context::of(event).map(|context| (context, event.partition.clone(), event.offset));
        Self { function, trace, lines: 0, stream_bytes: 0, out: vec![], err: vec![], last_words: vec![] }
    }

    fn trace_id(&self) -> Option<String> {
        self.trace.as_ref().map(|(context, ..)| context.trace_id())
    }

    /// The invocation's.
    fn span_id(&self) -> Option<String> {
        self.trace.as_ref().map(|(context, at, offset)| context.after(at, *offset, &self.function.name).span_id())
    }

    /// Shows what is left, says what was left out, and gives the end of stderr.
    pub(super) fn finish(mut self) -> String {
        self.end_line(STDOUT);
        self.end_line(STDERR);
        let function = self.function.name.as_str();
        if let Some(lines @ 1..) = self.lines.checked_sub(LINES_MAX) {
            tracing::warn!(target: "function", function, lines, "log lines were left out");
        }
        if let Some(bytes @ 1..) = self.stream_bytes.checked_sub(STREAMS_BYTES_MAX) {
            tracing::debug!(target: "function", function, bytes, "stdout and stderr were left out");
        }
        text::clean(String::from_utf8_lossy(&self.last_words).trim(), LAST_WORDS_BYTES_MAX).into_owned()
    }

    /// Takes what was written to a stream. Lines are shown as they end.
    fn write(&mut self, stream: u32, bytes: &[u8]) {
        if stream == STDERR {
            let end = bytes.last_chunk::<LAST_WORDS_BYTES_MAX>().map_or(bytes, |end| end);
            let too_many = (self.last_words.len() + end.len()).saturating_sub(LAST_WORDS_BYTES_MAX);
            self.last_words.drain(..too_many);
            self.last_words.extend_from_slice(end);
        }
        let room = STREAMS_BYTES_MAX.saturating_sub(self.stream_bytes);
        self.stream_bytes = self.stream_bytes.saturating_add(bytes.len());
        if !tracing::enabled!(target: "function", Level::DEBUG) {
            return;
        }
        for part in bytes.get(..room).unwrap_or(bytes).split_inclusive(|&byte| byte == b'\n') {
            let (part, ends) = part.strip_suffix(b"\n").map_or((part, false), |part| (part, true));
            self.line(stream).extend_from_slice(part);
            if ends {
                self.end_line(stream);
            }
        }
    }

    fn line(&mut self, stream: u32) -> &mut Vec<u8> {
        if stream == STDERR { &mut self.err } else { &mut self.out }
    }

    fn end_line(&mut self, stream: u32) {
        let line = std::mem::take(self.line(stream));
        if !line.is_empty() {
            let line = String::from_utf8_lossy(&line);
            let stream = if stream == STDERR { "stderr" } else { "stdout" };
            say!(Level::DEBUG, self, stream, "{}", text::clean(&line, LINE_BYTES_MAX));
        }
    }
}

impl logging::Host for Log {
    fn log(&mut self, level: GuestLevel, context: String, message: String) -> wasmtime::Result<()> {
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Ok(());
        }
        let level = match level {
            GuestLevel::Trace => Level::TRACE,
            GuestLevel::Debug => Level::DEBUG,
            GuestLevel::Info => Level::INFO,
            GuestLevel::Warn => Level::WARN,
            GuestLevel::Error | GuestLevel::Critical => Level::ERROR,
        };
        let context = text::clean(&context, CONTEXT_BYTES_MAX);
        say!(level, self, context = &*context, "{}", text::clean(&message, LINE_BYTES_MAX));
        Ok(())
    }
}

impl stdin::Host for Log {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<InputStream>> {
        Ok(Resource::new_own(STDIN))
    }
}

impl stdout::Host for Log {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<OutputStream>> {
        Ok(Resource::new_own(STDOUT))
    }
}

impl stderr::Host for Log {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<OutputStream>> {
        Ok(Resource::new_own(STDERR))
    }
}

impl streams::Host for Log {}

impl streams::HostInputStream for Log {
    fn read(&mut self, _: Resource<InputStream>, _: u64) -> wasmtime::Result<Result<Vec<u8>, StreamError>> {
        Ok(Err(StreamError::Closed))
    }

    fn blocking_read(&mut self, _: Resource<InputStream>, _: u64) -> wasmtime::Result<Result<Vec<u8>, StreamError>> {
        Ok(Err(StreamError::Closed))
    }

    fn skip(&mut self, _: Resource<InputStream>, _: u64) -> wasmtime::Result<Result<u64, StreamError>> {
        Ok(Err(StreamError::Closed))
    }

    fn blocking_skip(&mut self, _: Resource<InputStream>, _: u64) -> wasmtime::Result<Result<u64, StreamError>> {
        Ok(Err(StreamError::Closed))
    }

    fn subscribe(&mut self, _: Resource<InputStream>) -> wasmtime::Result<Resource<Pollable>> {
        Ok(time::ready())
    }

    fn drop(&mut self, _: Resource<InputStream>) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// A write to a stream never fails and never waits.
type Written = wasmtime::Result<Result<(), StreamError>>;

impl streams::HostOutputStream for Log {
    fn check_write(&mut self, _: Resource<OutputStream>) -> wasmtime::Result<Result<u64, StreamError>> {
        Ok(Ok(WRITE_BYTES_MAX))
    }

    fn write(&mut self, stream: Resource<OutputStream>, contents: Vec<u8>) -> Written {
        Self::write(self, stream.rep(), &contents);
        Ok(Ok(()))
    }

    fn blocking_write_and_flush(&mut self, stream: Resource<OutputStream>, contents: Vec<u8>) -> Written {
        Self::write(self, stream.rep(), &contents);
        Ok(Ok(()))
    }

    fn flush(&mut self, _: Resource<OutputStream>) -> Written {
        Ok(Ok(()))
    }

    fn blocking_flush(&mut self, _: Resource<OutputStream>) -> Written {
        Ok(Ok(()))
    }

    fn subscribe(&mut self, _: Resource<OutputStream>) -> wasmtime::Result<Resource<Pollable>> {
        Ok(time::ready())
    }

    fn write_zeroes(&mut self, _: Resource<OutputStream>, _: u64) -> Written {
        Ok(Ok(()))
    }

    fn blocking_write_zeroes_and_flush(&mut self, _: Resource<OutputStream>, _: u64) -> Written {
        Ok(Ok(()))
    }

    fn splice(
        &mut self,
        _: Resource<OutputStream>,
        _: Resource<InputStream>,
        _: u64,
    ) -> wasmtime::Result<Result<u64, StreamError>> {
        Ok(Err(StreamError::Closed))
    }

    fn blocking_splice(
        &mut self,
        _: Resource<OutputStream>,
        _: Resource<InputStream>,
        _: u64,
    ) -> wasmtime::Result<Result<u64, StreamError>> {
        Ok(Err(StreamError::Closed))
    }

    fn drop(&mut self, _: Resource<OutputStream>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl super::contract::wasi::io::error::Host for Log {}

/// No stream of ours ever fails, so a guest never holds one of these.
impl super::contract::wasi::io::error::HostError for Log {
    fn to_debug_string(&mut self, _: Resource<Error>) -> wasmtime::Result<String> {
        Ok("closed".into())
    }

    fn drop(&mut self, _: Resource<Error>) -> wasmtime::Result<()> {
        Ok(())
    }
}
