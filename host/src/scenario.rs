//! Scenarios: folders that say what becomes of events, held against the components that handle them. No broker is needed.
//!
//! A function's scenarios are the folders in `tests` of its own folder, an app's those in `tests` beside `app.toml`: each
//! folder there with a `.json` file in it. `fnhost test` runs them, and so can a test in Rust:
//!
//! | file | what | |
//! |---|---|---|
//! | `input.json` | an event, or a list of events | |
//! | `expected.json` | how it ended, or a list of these: outputs, changes of state, failure | `--bless` writes it |
//! | `state.json` | the function's state before: a list of pairs | may be left out |
//! | `config.json` | values that hold over `config` in app.toml; `null` takes one away | may be left out |
//!
//! How events, keys and values are written stands in [`crate::form`]. The scenarios of an app are its flows: events are put
//! on topics, and what is there is handled until nothing is left, error events too where a function reads them. They have
//! `input.json` and `expected.json` alone, and expect by topic what was published there, error events too.
//!
//! Nothing that differs from one run to the next, or from one build to the next, is in an expectation: times and random
//! numbers derive from the input, and versions and places in machine code are left out. What differs is shown as a
//! unified difference. Refused: names that are not known, with the nearest that is; topics that nobody reads; larger files
//! than 16 MiB; flows of more than 10,000 events.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use similar::TextDiff;

use crate::app::fault::{Fault, Faults, Place, undeclared};
use crate::app::{App, Function};
use crate::event::Event;
use crate::form::read::{Document, Kind, Value};
use crate::form::{self, Pair, Reads};

mod bench;
mod ending;
mod log;

#[cfg(test)]
mod tests;

pub use self::bench::{Bench, Ended};
pub use self::ending::{Ending, Failed, WrittenChange};
pub use self::log::Line;
pub use crate::form::json::pretty;
pub use crate::form::{Published, Shown};

use self::ending::{FlowEnding, text_of};

/// The folder of scenarios, in a function's folder or beside `app.toml`.
pub const FOLDER: &str = "tests";
/// The file in a scenario's folder with what happens.
pub const INPUT: &str = "input.json";
/// The file with what becomes of it.
pub const EXPECTED: &str = "expected.json";
const STATE: &str = "state.json";
const CONFIG: &str = "config.json";

/// One folder that says what becomes of events.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `FUNCTION/FOLDER`; of a flow `FOLDER` alone.
    pub name: String,
    /// Where it is.
    pub folder: PathBuf,
    /// Whose it is; `None` is a flow, of all the app's functions.
    pub function: Option<Arc<Function>>,
}

/// A scenario that was run.
#[derive(Debug)]
pub struct Ran {
    /// What came out, in the form of `expected.json`.
    pub came_out: String,
    /// What was expected, in the same form; `None` when there is no `expected.json`.
    pub expected: Result<Option<String>, Faults>,
    /// What functions said.
    pub log: Vec<Line>,
}

/// Why a scenario that was run has not passed.
#[derive(Debug)]
pub enum Unmet {
    /// Something else was expected: a unified difference.
    Differs(String),
    /// It has no `expected.json`.
    NothingExpected,
    /// Its `expected.json` cannot be read.
    Unreadable(Faults),
}

impl Ran {
    /// Why it has not passed; `None` when it has.
    pub fn unmet(&self) -> Option<Unmet> {
        match &self.expected {
            Ok(Some(expected)) if *expected == self.came_out => None,
            Ok(Some(expected)) => {
                let diff = TextDiff::from_lines(expected, &self.came_out);
                let text = diff.unified_diff().header(EXPECTED, "what came out").to_string();
                Some(Unmet::Differs(text))
            }
            Ok(None) => Some(Unmet::NothingExpected),
            Err(faults) => Some(Unmet::Unreadable(faults.clone())),
        }
    }
}

/// Every scenario of an app: those of each function, then the flows, in the order of their names.
///
/// # Errors
/// A folder that cannot be listed.
pub fn find(app: &App) -> Result<Vec<Scenario>, Faults> {
    let mut found = Vec::new();
    for function in &app.functions {
        for (name, folder) in folders(&app.function_folder(function).join(FOLDER))? {
            let name = format!("{}/{name}", function.name);
            found.push(Scenario { name, folder, function: Some(Arc::clone(function)) });
        }
    }
    let flow = |(name, folder)| Scenario { name, folder, function: None };
    found.extend(folders(&app.root.join(FOLDER))?.into_iter().map(flow));
    Ok(found)
}

/// The folders in `folder` with a `.json` file in them, by name.
fn folders(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Fault> {
    let mut folders = BTreeMap::new();
    for (name, path) in list(folder)? {
        if path.is_dir() && list(&path)?.keys().any(|name| name.ends_with(".json")) {
            folders.insert(name, path);
        }
    }
    Ok(folders)
}

/// What is in a folder, by name; nothing when it is not there.
fn list(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Fault> {
    let cannot = |error: io::Error| Fault::new(format!("{} cannot be read: {error}", folder.display()));
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(BTreeMap::new());
        }
        Err(error) => return Err(cannot(error)),
    };
    let entry = |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), entry.path());
    entries.map(|found| found.map(entry).map_err(cannot)).collect()
}

impl Bench {
    /// Runs a scenario.
    ///
    /// # Errors
    /// All that is wrong in its files, but for `expected.json`: that is for [`Ran::unmet`].
    pub fn test(&self, scenario: &Scenario) -> Result<Ran, Faults> {
        match &scenario.function {
            Some(function) => self.test_function(scenario, function),
            None => self.test_flow(scenario),
        }
    }

    fn test_function(&self, scenario: &Scenario, function: &Arc<Function>) -> Result<Ran, Faults> {
        scenario.check(&[INPUT, EXPECTED, STATE, CONFIG])?;
        let reads = Reads::of(function, None);
        let (many, events) = scenario.events(&reads)?;
        let state = scenario.document(STATE)?.map_or(Ok(Vec::new()), |state| read_state(&state, &reads))?;
        let function = match scenario.document(CONFIG)? {
            Some(config) => Arc::new(configured(function, &config)?),
            None => Arc::clone(function),
        };
        let ended = self.run(&function, state, events)?;
        let (endings, logs): (Vec<Ending>, Vec<Vec<Line>>) =
            ended.into_iter().map(|ended| (ended.ending.without_places(), ended.log)).unzip();
        let expected = scenario.expected(|value| {
            value.one_or_many().into_iter().map(|value| Ending::read(value, &function)).collect::<Option<Vec<_>>>()
        });
        let text = |endings: &Vec<Ending>| match endings.as_slice() {
            [only] if !many => text_of(only),
            endings => text_of(&endings),
        };
        let expected = expected.map(|expected| expected.as_ref().map(text));
        Ok(Ran { came_out: text(&endings), expected, log: logs.into_iter().flatten().collect() })
    }

    fn test_flow(&self, scenario: &Scenario) -> Result<Ran, Faults> {
        scenario.check(&[INPUT, EXPECTED])?;
        let (_, events) = scenario.events(&Reads::of_all(&self.app().functions))?;
        let (ending, log) = self.flow(events)?;
        let expected = scenario.expected(|value| FlowEnding::read(value, self.app()));
        let expected = expected.map(|expected| expected.as_ref().map(text_of));
        Ok(Ran { came_out: text_of(&ending.without_places()), expected, log })
    }

    /// Hands one event to a function.
    ///
    /// # Errors
    /// All that is wrong in what it was given.
    pub fn invoke(&self, function: &Arc<Function>, invocation: Invocation<'_>) -> Result<Ended, Faults> {
        let Invocation { file, event, topic, state, config } = invocation;
        let reads = Reads::of(function, topic);
        let event = Document::read(file, event)?.with(|value| form::event(value, &reads))?;
        let state = match state {
            Some(file) => read_state(&Document::find(file)?.ok_or_else(|| not_there(file))?, &reads)?,
            None => Vec::new(),
        };
        let mut function = Function::clone(function);
        function.config.extend(config.iter().cloned());
        let ended = self.run(&Arc::new(function), state, vec![event])?;
        ended.into_iter().next().ok_or_else(|| Fault::new("the event was not handled").into())
    }
}

/// What [`Bench::invoke`] hands to a function.
pub struct Invocation<'a> {
    /// What faults call the event's file.
    pub file: &'a Path,
    /// What is in it: an event, as `input.json` has it.
    pub event: &'a mut dyn io::Read,
    /// The topic of an event that names none.
    pub topic: Option<&'a str>,
    /// A file with the state before, as `state.json` has it.
    pub state: Option<&'a Path>,
    /// What holds over the function's `config`.
    pub config: &'a [(String, String)],
}

impl Scenario {
    /// Refuses every file of JSON that is not among `known`.
    fn check(&self, known: &[&str]) -> Result<(), Faults> {
        let files = list(&self.folder)?;
        let strange = files.iter().filter(|(name, _)| name.ends_with(".json") && !known.contains(&name.as_str()));
        let fault = |(name, path): (&String, &PathBuf)| {
            undeclared(format!("a scenario of {} has no `{name}`", self.whose()), name, known, "").at(Place::file(path))
        };
        Faults::new(strange.map(fault).collect()).map_or(Ok(()), Err)
    }

    fn whose(&self) -> &'static str {
        if self.function.is_some() { "a function" } else { "an app" }
    }

    fn document(&self, name: &str) -> Result<Option<Document>, Fault> {
        Document::find(&self.folder.join(name))
    }

    /// The input events, and whether they are a list.
    fn events(&self, reads: &Reads<'_>) -> Result<(bool, Vec<Event>), Faults> {
        let hint = r#"put an event into it, such as { "key": "a", "value": { } }"#;
        let input = self.document(INPUT)?.ok_or_else(|| not_there(&self.folder.join(INPUT)).hint(hint))?;
        input.with(|value| {
            let values = value.one_or_many();
            if values.is_empty() {
                value.report(Fault::new("there is no event in the list"));
            }
            let events = values.into_iter().filter_map(|value| form::event(value, reads)).collect();
            Some((value.kind() == Kind::List, events))
        })
    }

    fn expected<T>(&self, read: impl FnOnce(Value<'_>) -> Option<T>) -> Result<Option<T>, Faults> {
        self.document(EXPECTED)?.map(|document| document.with(read)).transpose()
    }

    /// Makes what came out the expectation, and gives the file that was written.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn bless(&self, ran: &Ran) -> io::Result<PathBuf> {
        let file = self.folder.join(EXPECTED);
        fs::write(&file, &ran.came_out)?;
        Ok(file)
    }
}

fn not_there(file: &Path) -> Fault {
    Fault::new(format!("{} is not there", file.display()))
}

fn read_state(state: &Document, reads: &Reads<'_>) -> Result<Vec<Pair>, Faults> {
    state.with(|value| form::state(value, reads))
}

/// The function with another configuration.
fn configured(function: &Function, config: &Document) -> Result<Function, Faults> {
    let mut function = function.clone();
    config.with(|value| {
        for member in value.object("the configuration")?.members() {
            match member.value.kind() {
                Kind::Null => drop(function.config.remove(&member.name)),
                _ => {
                    let text = member.value.string(&format!("`{}`", member.name))?;
                    function.config.insert(member.name.clone(), text);
                }
            }
        }
        Some(())
    })?;
    Ok(function)
}
