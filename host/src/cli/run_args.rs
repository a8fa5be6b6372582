//! What `fnhost run` is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{AdminListen, AppArg, BrokerArgs, Failure};
use crate::config::{Otlp, Ratio};

/// Run an app until it is told to stop
///
/// Serves the app's routes, joins its consumer groups and handles events, each exactly once. On SIGTERM or Ctrl-C it
/// takes no more requests, commits the batches in hand and leaves.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would take the place of the verb's help")]
    pub app: AppArg,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would take the place of the verb's help")]
    pub broker: BrokerArgs,
    /// Where the app's routes are served
    #[arg(long, env = "FNHOST_HTTP", value_name = "ADDR", default_value = "127.0.0.1:8080", help_heading = "HTTP")]
    pub http: SocketAddr,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would take the place of the verb's help")]
    pub admin: AdminListen,
    /// A name for this process that outlives it and no other has: a restart then moves no partitions. Random when
    /// left out
    #[arg(long, env = "FNHOST_INSTANCE", value_name = "NAME")]
    pub instance: Option<Instance>,
    /// The secret that functions' random numbers are derived from, the same for all hosts of an app: at least 16
    /// bytes, or in FNHOST_SECRET. Drawn when left out
    #[arg(long, env = "FNHOST_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Where compiled components are kept from one start to the next. Not kept when left out
    #[arg(long, env = "FNHOST_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How long it may take to stop: requests and batches in hand are finished meanwhile
    #[arg(
        long,
        env = "FNHOST_DRAIN_TIME",
        value_name = "TIME",
        default_value = "20s",
        value_parser = humantime::parse_duration
    )]
    pub drain_time: Duration,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would take the place of the verb's help")]
    pub traces: TraceArgs,
    /// Build the functions' components first, as `fnhost build` does
    #[arg(long, env = "FNHOST_BUILD", help_heading = "Before it runs")]
    pub build: bool,
    /// Make the app's topics first, as `fnhost topics apply` does
    #[arg(long, env = "FNHOST_APPLY_TOPICS", help_heading = "Before it runs")]
    pub apply_topics: bool,
}

/// What is recorded of traces, and where that goes.
#[derive(Clone, Debug, clap::Args)]
pub struct TraceArgs {
    /// Where spans go: a collector that takes OTLP over HTTP, such as http://localhost:4318; or in OTEL_EXPORTER_OTLP_ENDPOINT. No spans
    /// are recorded when left out
    #[arg(long, env = "FNHOST_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL", help_heading = "Traces")]
    pub otlp_endpoint: Option<String>,
    /// How many of the requests that come in no trace begin one that is recorded, from 0 to 1; or in OTEL_TRACES_SAMPLER_ARG. All
    /// when left out. Whoever began a trace decides for it
    #[arg(long, env = "FNHOST_TRACE_SAMPLE", value_name = "RATIO", help_heading = "Traces")]
    pub trace_sample: Option<Ratio>,
}

impl TraceArgs {
    /// Where spans go, if anywhere.
    ///
    /// # Errors
    /// What was given cannot be used.
    pub(super) fn resolve(&self) -> Result<Option<Otlp>, Failure> {
        Ok(Otlp::resolve(self.otlp_endpoint.as_deref(), self.trace_sample)?)
    }
}

/// The name of a process. Part of `transactional.id` and `group.instance.id`: without dots, so that no two parts of
/// such an id can be taken for one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance(String);

impl Instance {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Instance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let taken = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        match (1..=64).contains(&text.len()) && text.chars().all(taken) {
            true => Ok(Self(text.to_owned())),
            false => Err("a name has 1 to 64 letters, digits, `-` and `_`".to_owned()),
        }
    }
}
