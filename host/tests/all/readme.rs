//! The README, walked from top to bottom as it stands: each block of commands is run in a shell, in its order, and what the
//! README shows of the output is what comes. What a shell cannot know stands in [`NOTES`]; nothing is left out elsewhere.
//!
//! It begins in a folder that looks like a clone whose release was built, with the debug binary in its place. Ports are
//! free ones, and the Kafka is one of the tests.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::PoisonError;

use fnhost::app::schemas::Schemas;
use serde_json::Value;

use crate::cli::ONE_NEW_APP_AT_A_TIME;
use crate::guests::target_folder;
use crate::kafka::{Jars, OwnBroker, VERSION, say};
use crate::order_path::{FNHOST, workspace};

mod blocks;
mod output;
mod terminal;

use blocks::{Block, blocks};
use output::check;
use terminal::{Lasting, Terminal};

/// What is to be known of a block beyond what the README says, by how its commands begin.
const NOTES: &[(&str, Note)] = &[
    ("cargo test --workspace", Note::LeftOut("it is what runs this test")),
    ("fnhost dev .", Note::Lasts("try: curl ")),
    ("sed -i 's/{name}!/", Note::IsFollowed("handles the next batch")),
    ("fnhost new function audit", Note::IsFollowed("shop runs: ")),
    ("fnhost test . --filter", Note::EndsWith(1)),
    ("fnhost run ", Note::Lasts("state restored, running")),
];

/// What stands for what in a command.
const INSTEAD: &[(&str, &str)] = &[
    // The debug binary for the release.
    ("cargo run --release -- ", "target/release/fnhost "),
    // There is a Kafka already.
    ("compose/with-kafka ", ""),
];

#[derive(Clone, Copy)]
enum Note {
    /// Not run, for this reason.
    LeftOut(&'static str),
    /// Runs until the next that lasts, and is there when it says this.
    Lasts(&'static str),
    /// What runs in the other terminal says this then.
    IsFollowed(&'static str),
    /// Fails on purpose.
    EndsWith(i32),
}

fn readme() -> String {
    fs::read_to_string(workspace().join("README.md")).unwrap()
}

/// A folder that looks like a clone in which everything is built.
fn clone(folder: &Path) {
    let clone = folder.join("fnhost");
    fs::create_dir_all(clone.join("target/release")).unwrap();
    let entries = fs::read_dir(workspace()).unwrap().map(|entry| entry.unwrap());
    for entry in entries.filter(|entry| entry.file_name() != "target") {
        symlink(entry.path(), clone.join(entry.file_name())).unwrap();
    }
    symlink(env!("CARGO_TARGET_TMPDIR"), clone.join("target/tmp")).unwrap();
    symlink(FNHOST, clone.join("target/release/fnhost")).unwrap();
}

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let Some(broker) = OwnBroker::start(&[]) else { return };
    let version = Jars::get().unwrap().version;
    let _one = ONE_NEW_APP_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    clone(folder.path());
    let target = target_folder(workspace());
    let mut terminal = Terminal::new(folder.path(), "fnhost", &target, &broker.kafka().brokers);
    let mut second: Option<(Block, Lasting)> = None;
    let mut used = BTreeSet::new();

    for block in blocks(&readme()) {
        let commands = INSTEAD.iter().fold(block.commands.clone(), |text, (from, to)| text.replace(from, to));
        let note = NOTES.iter().find(|(begin, _)| commands.starts_with(begin));
        used.extend(note.map(|(begin, _)| *begin));
        let note = note.map(|(_, note)| *note);
        if let Some(Note::LeftOut(why)) = note {
            say(&format!("NOT RUN: `{}` of the README: {why}", commands.trim_end()));
            continue;
        }
        if commands.contains(&format!("kafka-{VERSION}/")) && version != VERSION {
            say(&format!("NOT RUN: Kafka's tools of the README: the jars here are of {version}"));
            continue;
        }
        if let Some(Note::Lasts(until)) = note {
            second.take().into_iter().for_each(close);
            let lasting = terminal.start(&commands);
            lasting.says(until, 1);
            second = Some((block, lasting));
            continue;
        }
        let before = second.as_ref().map(|(_, lasting)| lasting.said()).unwrap_or_default();
        let (code, printed) = terminal.run(&commands);
        let expected = if let Some(Note::EndsWith(code)) = note { code } else { 0 };
        assert_eq!(code, expected, "{commands}\n{printed}");
        if let Some(shown) = &block.shown {
            check(shown, &printed);
        }
        if let Some(Note::IsFollowed(what)) = note {
            let (_, lasting) = second.as_ref().expect("something runs in the other terminal");
            lasting.says(what, before.matches(what).count() + 1);
        }
    }
    second.take().into_iter().for_each(close);
    let unused: Vec<&str> = NOTES.iter().map(|(begin, _)| *begin).filter(|begin| !used.contains(begin)).collect();
    assert!(unused.is_empty(), "notes about no block of the README: {unused:?}");
}

/// Ctrl-C; then all that it printed is there.
fn close((block, lasting): (Block, Lasting)) {
    let (code, printed) = lasting.interrupt();
    assert_eq!(code, 0, "{}\n{printed}", block.commands);
    if let Some(shown) = &block.shown {
        check(shown, &printed);
    }
}

#[test]
fn function_in_the_readme_is_the_one_that_new_makes() {
    let template = workspace().join("host/src/cli/new/templates/app/greeter.rs");
    let made = fs::read_to_string(template).unwrap().replace("{{app}}", "shop");
    let readme = readme();
    let shown = readme.split_once("```rust\n").unwrap().1.split_once("```").unwrap().0;
    assert!(made.contains(shown), "{shown}\nis not in\n{made}");
}

#[test]
fn error_event_in_the_readme_has_the_fields_and_classes_of_its_schema() {
    let schema = fs::read_to_string(workspace().join("schemas/error.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let data = &schema["properties"]["data"];
    let readme = readme();
    let shown = readme.split_once("```json\n").unwrap().1.split_once("```").unwrap().0;
    let shown: Value = serde_json::from_str(shown).unwrap();
    let keys: BTreeSet<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    let required: BTreeSet<&str> = data["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(keys, required);
    let of_event = &schema["$defs"]["failedEvent"]["properties"];
    let event = shown["event"].as_object().unwrap().keys();
    assert!(event.clone().all(|key| of_event.get(key).is_some()) && event.count() == 7);
    for name in data["properties"]["class"]["enum"].as_array().unwrap().iter().filter_map(Value::as_str) {
        assert!(readme.contains(&format!("`{name}`")), "the README does not know the class {name}");
    }
}

#[test]
fn kpi_event_in_the_readme_fits_its_schema() {
    let readme = readme();
    let shown = readme.lines().find(|line| line.contains(r#""type":"ppe4peeps.kpi""#)).unwrap();
    let schemas = Schemas::load(&workspace().join("schemas")).unwrap_or_else(|faults| panic!("{faults}"));
    schemas.get("kpi").unwrap().check_bytes(shown.as_bytes()).unwrap();
}

#[test]
fn links_of_the_readme_lead_somewhere() {
    let readme = readme();
    let targets: Vec<&str> = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let local: Vec<&&str> = targets.iter().filter(|target| !target.starts_with("https://")).collect();
    assert!(local.len() > 10);
    // As GitHub makes anchors of headings.
    let headings = readme.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |heading: &str| heading.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-");
    let anchors: BTreeSet<String> = headings.map(anchor).map(|anchor| anchor.replace([',', '.', '`'], "")).collect();
    for target in local {
        let is_there = match target.strip_prefix('#') {
            Some(anchor) => anchors.contains(anchor),
            None => workspace().join(target).exists(),
        };
        assert!(is_there, "{target} is not there");
    }
}
