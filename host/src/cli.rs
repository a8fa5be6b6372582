//! The command line: a file a verb.
//!
//! stdout is data, stderr is talk: what a verb found goes to stdout, so that it can be piped; progress, logs and errors
//! go to stderr. Nothing is coloured but help and what is wrong with a command line, which clap writes, and that only where
//! [`config::is_colour_unwanted`] does not say otherwise. Every option can be given by an environment variable `FNHOST_…`. How a verb ends
//! is an [`Exit`]; why it failed is a [`Failure`], which one printer prints.

use std::io::{self, Write};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::config;

mod admin_args;
mod broker_args;
mod build;
mod check;
mod client;
mod compile;
mod completions;
mod components;
mod demo;
mod deploy;
mod dev;
mod events;
mod failure;
mod host;
mod invoke;
mod man;
mod new;
mod paths;
mod run;
mod run_args;
mod shadow;
mod show;
mod status;
mod target;
mod test;
mod topics;

pub use admin_args::{AdminListen, AdminToken};
pub use broker_args::{BrokerArgs, Connection, KafkaArgs};
pub use failure::{Asked, Exit, Failure};
pub use run_args::{Instance, RunArgs};

/// How every verb ends.
const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   something to mend: the app, the configuration or the broker
  2   a command line that cannot be read
  70  a fault of fnhost itself
  130 Ctrl-C before it was done

What is logged is FNHOST_LOG, such as FNHOST_LOG=info,fnhost=debug.";

/// Runs event handlers as sandboxed WebAssembly components on Apache Kafka, one transaction an event
#[derive(Debug, Parser)]
#[command(name = "fnhost", version, after_help = EXIT_CODES, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
struct LogArgs {
    /// How log lines are written
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "FNHOST_LOG_FORMAT",
        value_name = "FORMAT",
        help_heading = "Logging"
    )]
    log_format: LogFormat,
    /// Log more: -v for what happens to batches, -vv for every event
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Logging")]
    verbose: u8,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    /// For people
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

/// How what a verb found is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: JSON
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::DemoArgs),
    New(new::NewArgs),
    Dev(dev::DevArgs),
    Run(Box<RunArgs>),
    Build(build::BuildArgs),
    Check(check::CheckArgs),
    #[command(hide = true)]
    Compile(compile::CompileArgs),
    Test(test::TestArgs),
    Invoke(invoke::InvokeArgs),
    Topics(topics::TopicsArgs),
    Events(events::EventsArgs),
    Deploy(deploy::DeployArgs),
    Shadow(shadow::ShadowArgs),
    Rollback(deploy::RollbackArgs),
    Versions(deploy::VersionsArgs),
    Remove(deploy::RemoveArgs),
    Status(status::StatusArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Which app.
#[derive(Clone, Debug, clap::Args)]
pub struct AppArg {
    /// The app: its folder, or its app.toml
    #[arg(value_name = "APP", env = "FNHOST_APP")]
    pub path: PathBuf,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let exit = match parse() {
        // The panic was printed; what it left behind is not looked at again.
        Ok(cli) => std::panic::catch_unwind(AssertUnwindSafe(|| dispatch(cli))).unwrap_or(Exit::Internal),
        Err(error) => {
            // Help and version are no errors; when nobody hears them, nothing is lost.
            error.print().ok();
            if error.use_stderr() { Exit::Usage } else { Exit::Done }
        }
    };
    exit.into()
}

fn parse() -> Result<Cli, clap::Error> {
    // Without this a variable of clap's own choice would have colour even on a dumb terminal.
    let colour = if config::is_colour_unwanted() { ColorChoice::Never } else { ColorChoice::Auto };
    let mut command = Cli::command().color(colour);
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn dispatch(cli: Cli) -> Exit {
    let mut out = io::stdout();
    let done = start_log(&cli.log, &cli.verb).map_err(Failure::from).and_then(|()| match cli.verb {
        Verb::Demo(args) => demo::demo(&args, &mut out),
        Verb::Dev(args) => dev::dev(&args),
        Verb::New(args) => new::new(&args, &mut out),
        Verb::Run(args) => run::run(*args),
        Verb::Build(args) => build::build(&args, &mut out),
        Verb::Check(args) => check::check(&args, &mut out),
        Verb::Compile(args) => compile::compile(&args),
        Verb::Test(args) => test::test(&args, &mut out),
        Verb::Invoke(args) => invoke::invoke(&args, &mut out),
        Verb::Topics(args) => topics::topics(&args, &mut out),
        Verb::Completions(args) => completions::completions(&args, &mut out),
        Verb::Man(args) => man::man(&args, &mut out),
        Verb::Events(args) => events::events(args, &mut out),
        Verb::Deploy(args) => deploy::deploy(&args, &mut out),
        Verb::Shadow(args) => shadow::shadow(&args, &mut out),
        Verb::Rollback(args) => deploy::rollback(&args, &mut out),
        Verb::Versions(args) => deploy::versions(&args, &mut out),
        Verb::Remove(args) => deploy::remove(&args, &mut out),
        Verb::Status(args) => status::status(args, &mut out),
    });
    match done.and_then(|()| out.flush().map_err(Failure::from)) {
        Ok(()) => Exit::Done,
        Err(failure) => failure.print(&mut io::stderr().lock()),
    }
}

/// Says something to people, on stderr.
fn talk(line: &str) {
    // When nobody hears it, nothing is lost.
    writeln!(io::stderr().lock(), "{line}").ok();
}

impl Verb {
    /// What is logged when nobody asks for more. Where events are shown, logs would stand in between.
    fn log_level(&self) -> &'static str {
        match self {
            Self::Demo(_) | Self::Dev(_) => "warn",
            _ => "info",
        }
    }
}

fn start_log(args: &LogArgs, verb: &Verb) -> Result<(), config::Error> {
    let more = match args.verbose {
        0 => verb.log_level(),
        1 => "info,fnhost=debug",
        _ => "debug,fnhost=trace",
    };
    let directives = match args.verbose {
        0 => config::log_filter()?,
        _ => None,
    };
    let filter = EnvFilter::try_new(directives.as_deref().unwrap_or(more))
        .map_err(|error| config::Error::LogFilter { cause: error.into() })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false);
    let started = match args.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|cause| config::Error::LogFilter { cause })
}

#[cfg(test)]
mod tests;
