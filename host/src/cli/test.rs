//! `fnhost test`: runs scenarios, and shows what came out where something else was expected.
//!
//! Like `cargo test`: a line a scenario, then what failed, then how many did which. All of it is data, on stdout. A
//! scenario whose files have faults has failed like any other; what keeps all of them from running, such as a component
//! that is not there, ends the verb.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::target::Target;
use super::{Failure, Format, check, components, talk};
use crate::app::fault::{Fault, Faults};
use crate::app::{Function, Source};
use crate::scenario::{self, Bench, Line, Scenario, Unmet};

/// What stands in the help below the options.
const FORMAT: &str = "\
A scenario is a folder in `tests` of the function's folder: input.json holds an event, or a list of them, and \
expected.json what becomes of each: outputs, changes of state, or the failure. state.json may hold the state before, \
config.json values that hold over those in app.toml. A folder in `tests` beside app.toml is a flow of the whole app: \
expected.json holds what comes on each topic.

An event is a CloudEvent as it is, or written as
  { \"topic\": \"…\", \"key\": \"…\", \"timestamp\": \"2026-11-21T06:43:01Z\", \"headers\": [], \"value\": … }
where all but the value can be left out. The value is a JSON document, a string, or null; bytes stand under \
valueBase64, and those of a key under keyBase64.";

/// Run the scenarios of an app or a function, without a broker
///
/// Hands the events of each scenario to the function's component and compares what comes out with what is expected.
/// Ends with 1 when a scenario fails.
#[derive(Debug, Args)]
#[command(after_long_help = FORMAT)]
pub(super) struct TestArgs {
    /// The app's folder, a function's folder, or APP/FUNCTION
    #[arg(value_name = "APP|FUNCTION", env = "FNHOST_APP")]
    path: PathBuf,
    /// Only scenarios with this in their name
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Make what comes out the expectation, and name each file that was written
    #[arg(long)]
    bless: bool,
    /// Build the functions' components first, as `fnhost build` does
    #[arg(long, env = "FNHOST_BUILD")]
    build: bool,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Where compiled components are kept from one run to the next: APP/build/compiled when left out
    #[arg(long, env = "FNHOST_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// A scenario, and what became of it.
struct Done {
    scenario: Scenario,
    mark: Mark,
    log: Vec<Line>,
}

/// What became of a scenario.
enum Mark {
    Passed,
    /// What came out was written into this file.
    Blessed(PathBuf),
    /// What came out, and why it does not pass.
    Unmet(String, Unmet),
    /// Its files cannot be read.
    Faulty(Faults),
}

/// Runs them, and prints what became of each.
pub(super) fn test(args: &TestArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let target = Target::find(&args.path)?;
    let app = &target.manifest.app;
    let all: Vec<Scenario> = scenario::find(app)?.into_iter().filter(|scenario| target.means(scenario)).collect();
    let count = all.len();
    let is_asked = |scenario: &Scenario| args.filter.as_ref().is_none_or(|text| scenario.name.contains(text));
    let chosen: Vec<Scenario> = all.into_iter().filter(is_asked).collect();
    let left_out = count - chosen.len();
    if chosen.is_empty() {
        return Err(no_scenario(&target, args, left_out).into());
    }

    let functions = needed(&app.functions, &chosen);
    components::prepare(app, &functions, args.build)?;
    let build = format!("fnhost build {}, or run this with --build", app.root.display());
    let bench = components::bench(&target.manifest, &functions, args.cache.clone(), &build)?;

    let begun = Instant::now();
    let mut done = Vec::new();
    for scenario in chosen {
        let one = Done::of(&bench, scenario, args.bless)?;
        if args.format == Format::Text {
            writeln!(out, "test {} ... {}", one.scenario.name, one.in_a_word())?;
        }
        done.push(one);
    }
    let took = begun.elapsed();
    let failed = done.iter().filter(|one| !one.is_passed()).count();
    let passed = done.len() - failed;
    match args.format {
        Format::Json => {
            let scenarios: Vec<Value> = done.iter().map(Done::as_json).collect();
            let json = json!({
                "app": app.name, "passed": passed, "failed": failed, "filteredOut": left_out, "scenarios": scenarios,
            });
            writeln!(out, "{json:#}")?;
        }
        Format::Text => {
            print_failures(&done, out)?;
            let seconds = took.as_secs_f64();
            writeln!(out, "\n{passed} passed; {failed} failed; {left_out} filtered out; finished in {seconds:.2} s")?;
        }
    }
    if done.iter().any(|one| matches!(one.mark, Mark::Unmet(..))) {
        talk(&format!(
            "\nhint: where what came out is right, make it the expectation: fnhost test {} --bless",
            args.path.display()
        ));
    }
    if failed == 0 { Ok(()) } else { Err(Failure::printed()) }
}

/// Runs a function's scenarios, of an app or of itself at `path`, through another component of it. What fails is printed, and is a
/// failure.
pub(super) fn through(path: &Path, function: &str, component: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let target = Target::find(path)?;
    let is_of_it = |scenario: &Scenario| scenario.function.as_ref().is_some_and(|of| of.name == function);
    let all = scenario::find(&target.manifest.app)?;
    let scenarios: Vec<Scenario> = all.into_iter().filter(|s| target.means(s) && is_of_it(s)).collect();
    if scenarios.is_empty() {
        let fault = Fault::new(format!("{} has no scenario of `{function}`", path.display()));
        return Err(Faults::from(fault.hint("leave --scenarios out, or write one: fnhost help test")).into());
    }
    let mut manifest = target.manifest;
    for known in manifest.app.functions.iter_mut().filter(|known| known.name == function) {
        *known = Arc::new(Function { source: Source::Component(component.to_owned()), ..Function::clone(known) });
    }
    let functions = needed(&manifest.app.functions, &scenarios);
    let bench = components::bench(&manifest, &functions, None, "")?;
    let done =
        scenarios.into_iter().map(|scenario| Done::of(&bench, scenario, false)).collect::<Result<Vec<_>, _>>()?;
    let failed = done.iter().filter(|one| !one.is_passed()).count();
    print_failures(&done, out)?;
    if failed > 0 {
        let all = done.len();
        let error = anyhow::anyhow!("{failed} of {all} scenarios of `{function}` fail; nothing was deployed");
        return Err(Failure::fault(error).hint("leave --scenarios out, if what they expect is no longer so"));
    }
    talk(&format!("{} scenarios of `{function}` passed", done.len()));
    Ok(())
}

/// The functions whose components the scenarios need, in the manifest's order.
fn needed(functions: &[Arc<Function>], scenarios: &[Scenario]) -> Vec<Arc<Function>> {
    let is_needed = |function: &&Arc<Function>| {
        scenarios.iter().any(|scenario| scenario.function.as_ref().is_none_or(|of| of.name == function.name))
    };
    functions.iter().filter(is_needed).cloned().collect()
}

fn no_scenario(target: &Target, args: &TestArgs, left_out: usize) -> Faults {
    if let Some(text) = &args.filter
        && left_out > 0
    {
        let fault = Fault::new(format!("no scenario has `{text}` in its name"));
        return fault.hint("leave --filter out to see their names").into();
    }
    let app = &target.manifest.app;
    let function = target.function.as_ref().or_else(|| app.functions.first());
    let folder = function.map_or_else(|| app.root.clone(), |function| app.function_folder(function));
    let example = folder.join(scenario::FOLDER).join("NAME").join(scenario::INPUT);
    let fault = Fault::new(format!("{} has no scenario", args.path.display()));
    fault.hint(format!("put an event into {}, and run this with --bless", example.display())).into()
}

fn print_failures(done: &[Done], out: &mut dyn Write) -> Result<(), Failure> {
    for one in done {
        let Done { scenario, mark, log } = one;
        let text = match mark {
            Mark::Passed | Mark::Blessed(_) => continue,
            Mark::Faulty(faults) | Mark::Unmet(_, Unmet::Unreadable(faults)) => faults.to_string(),
            Mark::Unmet(_, Unmet::Differs(diff)) => diff.clone(),
            Mark::Unmet(came_out, Unmet::NothingExpected) => {
                format!("it has no {}; what came out:\n{came_out}", scenario::EXPECTED)
            }
        };
        writeln!(out, "\n---- {} ({}) ----\n{}", scenario.name, scenario.folder.display(), text.trim_end())?;
        if !log.is_empty() {
            writeln!(out, "log")?;
        }
        for line in log {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}

impl Target {
    /// Whether a scenario belongs to it.
    fn means(&self, scenario: &Scenario) -> bool {
        let of_function =
            |function: &Arc<Function>| scenario.function.as_ref().is_some_and(|of| of.name == function.name);
        let is_in = |folder: &PathBuf| scenario.folder.canonicalize().is_ok_and(|place| place.starts_with(folder));
        self.function.as_ref().is_none_or(of_function) && self.within.as_ref().is_none_or(is_in)
    }
}

impl Done {
    fn of(bench: &Bench, scenario: Scenario, bless: bool) -> Result<Self, Failure> {
        let ran = match bench.test(&scenario) {
            Ok(ran) => ran,
            Err(faults) => return Ok(Self { scenario, mark: Mark::Faulty(faults), log: Vec::new() }),
        };
        let mark = match (ran.unmet(), bless) {
            (None, _) => Mark::Passed,
            (Some(_), true) => {
                let written = scenario.bless(&ran);
                let cannot =
                    || format!("the {} of {} cannot be written", scenario::EXPECTED, scenario.folder.display());
                let unwritten = |error| Failure::unwritten(error, &scenario.folder);
                Mark::Blessed(written.with_context(cannot).map_err(unwritten)?)
            }
            (Some(unmet), false) => Mark::Unmet(ran.came_out, unmet),
        };
        Ok(Self { scenario, mark, log: ran.log })
    }

    fn is_passed(&self) -> bool {
        matches!(self.mark, Mark::Passed | Mark::Blessed(_))
    }

    fn in_a_word(&self) -> String {
        match &self.mark {
            Mark::Passed => "ok".to_owned(),
            Mark::Blessed(file) => format!("ok, wrote {}", file.display()),
            Mark::Unmet(..) | Mark::Faulty(_) => "FAILED".to_owned(),
        }
    }

    fn as_json(&self) -> Value {
        let Self { scenario, mark, log } = self;
        let faults = |faults: &Faults| Value::from(faults.iter().map(check::fault_as_json).collect::<Vec<_>>());
        let mut json = json!({
            "name": scenario.name,
            "folder": scenario.folder.display().to_string(),
            "function": scenario.function.as_ref().map(|function| &function.name),
            "passed": self.is_passed(),
            "log": log,
        });
        let more = match mark {
            Mark::Passed => None,
            Mark::Blessed(file) => Some(("wrote", file.display().to_string().into())),
            Mark::Unmet(_, Unmet::Differs(diff)) => Some(("difference", diff.clone().into())),
            Mark::Unmet(came_out, Unmet::NothingExpected) => Some(("cameOut", came_out.clone().into())),
            Mark::Faulty(found) | Mark::Unmet(_, Unmet::Unreadable(found)) => Some(("faults", faults(found))),
        };
        if let (Some(members), Some((name, value))) = (json.as_object_mut(), more) {
            members.insert(name.to_owned(), value);
        }
        json
    }
}
