//! `fnhost topics`: makes the broker's topics what `app.toml` says.
//!
//! [`plan`] compares, without touching anything; `apply` does what it lists, one change after the other. Neither
//! deletes anything. Partitions of an input topic are added only with `--grow`: keys then map to other partitions than
//! those that hold their state.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{AppArg, Asked, BrokerArgs, Failure, Format, talk};
use crate::app::{App, manifest};
use crate::broker::{Broker, Topic, TopicChange};

mod plan;

pub(super) use plan::Inputs;
use plan::{Plan, plan};

/// Make the broker's topics what app.toml says
#[derive(Debug, Args)]
pub(super) struct TopicsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print what would change, and change nothing
    Plan(PlanArgs),
    /// Make topics and change their configuration; nothing is ever deleted
    Apply(ApplyArgs),
}

#[derive(Debug, Args)]
struct PlanArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
struct ApplyArgs {
    #[command(flatten)]
    which: WhichArgs,
}

#[derive(Debug, Args)]
struct WhichArgs {
    #[command(flatten)]
    app: AppArg,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Add partitions to topics that functions read. Keys then map to other partitions, and functions do not find the
    /// state that they wrote under them
    #[arg(long)]
    grow: bool,
}

/// Plans, or applies.
pub(super) fn topics(args: &TopicsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (Verb::Plan(PlanArgs { which, .. }) | Verb::Apply(ApplyArgs { which })) = &args.verb;
    let app = manifest::load(&which.app.path)?;
    let connection = which.broker.resolve()?;
    let (endpoint, option) = (connection.endpoint(), connection.option());
    let asked = Asked { path: &which.app.path, app: &app.name, brokers: &endpoint, option: &option };
    let broker = connection.connect(&asked)?;
    let inputs = if which.grow { Inputs::Grow } else { Inputs::Keep };
    let format = match &args.verb {
        Verb::Apply(_) => return apply(&app, broker.as_ref(), inputs, &asked, out),
        Verb::Plan(PlanArgs { format, .. }) => format,
    };
    let (plan, existing) = look(&app, broker.as_ref(), inputs).map_err(|error| Failure::broker(error, &asked))?;
    match format {
        Format::Json => Ok(writeln!(out, "{:#}", as_json(&plan))?),
        Format::Text => each(&plan, &existing, out, |_| Ok(())),
    }
}

/// Makes what is missing, and prints each change once it is made.
pub(super) fn apply(
    app: &App,
    broker: &dyn Broker,
    inputs: Inputs,
    asked: &Asked<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let failed = |error| Failure::broker(error, asked);
    let (plan, existing) = look(app, broker, inputs).map_err(failed)?;
    each(&plan, &existing, out, |change| make(broker, change).map_err(failed))
}

/// Makes all of an app's topics, and changes nothing about how many partitions the inputs have.
pub(super) fn make_all(app: &App, broker: &dyn Broker) -> Result<(), crate::broker::Error> {
    let (plan, _) = look(app, broker, Inputs::Keep)?;
    plan.changes.iter().try_for_each(|change| make(broker, change))
}

/// Makes a change. A topic that somebody else made in the meantime is what was wanted.
fn make(broker: &dyn Broker, change: &TopicChange) -> Result<(), crate::broker::Error> {
    match broker.apply(std::slice::from_ref(change)) {
        Err(refused @ crate::broker::Error::Refused { .. }) if matches!(change, TopicChange::Create { .. }) => {
            if broker.topics(&[change.topic()])?.is_empty() { Err(refused) } else { Ok(()) }
        }
        made => made,
    }
}

fn look(app: &App, broker: &dyn Broker, inputs: Inputs) -> Result<(Plan, Vec<Topic>), crate::broker::Error> {
    let names = plan::names(app);
    let existing = broker.topics(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok((plan(app, &existing, inputs), existing))
}

/// Makes each change and prints it once it is made.
fn each(
    plan: &Plan,
    existing: &[Topic],
    out: &mut dyn Write,
    make: impl Fn(&TopicChange) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for warning in &plan.warnings {
        talk(&format!("warning: {warning}"));
    }
    for change in &plan.changes {
        make(change)?;
        writeln!(out, "{}", describe(change, existing))?;
    }
    if plan.changes.is_empty() {
        talk("nothing to do");
    }
    Ok(())
}

/// A change in a line, with what was there before.
fn describe(change: &TopicChange, existing: &[Topic]) -> String {
    let before = existing.iter().find(|topic| topic.name == change.topic());
    match change {
        TopicChange::Create { name, partitions, replication, config } => {
            let replicas = replication.map(|r| format!("  replication {r}")).unwrap_or_default();
            let config: Vec<String> = config.iter().map(|(key, value)| format!("  {key}={value}")).collect();
            format!("create     {name}  {partitions} partitions{replicas}{}", config.concat())
        }
        TopicChange::Grow { name, partitions } => {
            let was = before.map(|topic| format!("{} -> ", topic.partitions)).unwrap_or_default();
            format!("grow       {name}  {was}{partitions} partitions")
        }
        TopicChange::Configure { name, config } => {
            let was = |key: &str| before.and_then(|topic| topic.config.get(key)).map_or("unset", String::as_str);
            let config: Vec<String> =
                config.iter().map(|(key, value)| format!("  {key} {} -> {value}", was(key))).collect();
            format!("configure  {name}{}", config.concat())
        }
    }
}

fn as_json(plan: &Plan) -> Value {
    let change = |change: &TopicChange| match change {
        TopicChange::Create { name, partitions, replication, config } => json!({
            "change": "create", "topic": name, "partitions": partitions, "replication": replication, "config": config,
        }),
        TopicChange::Grow { name, partitions } => json!({ "change": "grow", "topic": name, "partitions": partitions }),
        TopicChange::Configure { name, config } => json!({ "change": "configure", "topic": name, "config": config }),
    };
    json!({ "changes": plan.changes.iter().map(change).collect::<Vec<_>>(), "warnings": plan.warnings })
}
