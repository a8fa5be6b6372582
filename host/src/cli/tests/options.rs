//! The README's table of options is the command line's own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use crate::cli::Cli;

const BEGIN: &str = "<!-- options -->\n";
const END: &str = "<!-- /options -->";

/// An option that a variable stands for, and the verbs that take it.
struct Row {
    option: String,
    variable: String,
    default: String,
    what: String,
    verbs: Vec<String>,
}

/// Adds what a verb and those below it take.
fn collect(verb: &Command, path: &str, order: &mut Vec<String>, rows: &mut BTreeMap<String, Row>) {
    let of_all = path.is_empty();
    for argument in verb.get_arguments().filter(|argument| of_all || !argument.is_global_set()) {
        let Some(variable) = argument.get_env() else { continue };
        let defaults = if argument.get_action().takes_values() { argument.get_default_values() } else { &[] };
        let row = rows.entry(shown(argument)).or_insert_with_key(|option| {
            order.push(option.clone());
            Row {
                option: option.clone(),
                variable: variable.to_string_lossy().into_owned(),
                // A switch is off.
                default: defaults.iter().map(|value| format!("`{}`", value.display())).collect(),
                what: argument.get_help().map(ToString::to_string).unwrap_or_default(),
                verbs: Vec::new(),
            }
        });
        row.verbs.push(if of_all { "all".to_owned() } else { format!("`{path}`") });
    }
    for below in verb.get_subcommands().filter(|below| !below.is_hide_set()) {
        collect(below, format!("{path} {}", below.get_name()).trim(), order, rows);
    }
}

/// An option as it is typed.
fn shown(argument: &Arg) -> String {
    let value = argument.get_value_names().unwrap_or_default().join(" ");
    let takes_one = argument.get_action().takes_values();
    match argument.get_long() {
        Some(long) if takes_one => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    }
}

fn table() -> String {
    let mut command = Cli::command();
    command.build();
    let (mut order, mut rows) = (Vec::new(), BTreeMap::new());
    // What `run` takes comes first, and in its words.
    let run = command.find_subcommand("run").cloned().unwrap();
    collect(&run, "run", &mut order, &mut rows);
    rows.values_mut().for_each(|row| row.verbs.clear());
    collect(&command, "", &mut order, &mut rows);
    let mut table = "| option | variable | default | verbs | what |\n|---|---|---|---|---|\n".to_owned();
    for Row { option, variable, default, what, verbs } in order.iter().filter_map(|option| rows.get(option)) {
        let (option, what) = (option.replace('|', "\\|"), what.replace('|', "\\|"));
        let verbs = verbs.join(", ");
        writeln!(table, "| `{option}` | `{variable}` | {default} | {verbs} | {what} |").unwrap();
    }
    table
}

#[test]
fn options_in_the_readme_are_those_of_the_command_line() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let written = readme.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(table, _)| table);
    let table = table();
    assert!(written == Some(&table), "between {BEGIN}and {END} the README is to have:\n\n{table}");
}
