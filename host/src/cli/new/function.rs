//! `fnhost new function`: a crate beside an app's `app.toml`, and what tells the app and Cargo of it.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::declare::{Declared, declare};
use super::scenario::{Answered, output_id};
use super::workspace::Workspace;
use super::{Files, FunctionArgs, Lang, fill, is_free, name, refused, write};
use crate::app::manifest;
use crate::cli::build::write_whole;
use crate::cli::{Failure, talk};

/// A function that is to be.
struct New<'a> {
    app: &'a str,
    name: &'a str,
    input: Vec<String>,
    output: &'a [String],
}

/// Makes the crate, and prints each file that was written.
pub(super) fn function(args: &FunctionArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let Lang::Rust = args.lang;
    let root = find()?;
    let app = manifest::read(&root)?;
    let name = args.name.as_str();
    name::check_function(name)?;
    if app.app.functions.iter().any(|function| function.name == name) {
        let error = anyhow::anyhow!("app `{}` has a function `{name}` already", app.app.name);
        return Err(
            Failure::fault(error).hint(format!("it stands in {}; give this one another name", app.file.display()))
        );
    }
    let folder = if root == Path::new(".") { PathBuf::from(name) } else { root.join(name) };
    is_free(&folder)?;
    let workspace = Workspace::above(&root)?;
    let input = if args.input.is_empty() { vec![name.to_owned()] } else { args.input.clone() };
    let new = New { app: &app.app.name, name, input, output: &args.output };

    let text = std::fs::read_to_string(&app.file).with_context(|| format!("{} cannot be read", app.file.display()));
    let declared = Declared { function: name, input: &new.input, output: new.output };
    let (manifest, topics) = declare(&text.map_err(Failure::fault)?, &declared).map_err(Failure::fault)?;
    manifest::read_text(&manifest, &app.file).map_err(|faults| refused(&faults))?;
    let members = workspace.with_member(&folder).map_err(Failure::fault)?;

    let files = new.files(&workspace);
    write(&folder, &files, |_| Ok(()))?;
    let changed = [(members.as_ref(), &workspace.file), (Some(&manifest), &app.file)];
    for (text, file) in changed.iter().filter_map(|(text, file)| Some((text.as_ref()?, file))) {
        let written =
            write_whole(text.as_bytes(), file).with_context(|| format!("{} cannot be written", file.display()));
        written.map_err(Failure::fault)?;
    }

    for (path, _) in &files {
        writeln!(out, "{}", folder.join(path).display())?;
    }
    let topics: Vec<String> = topics.iter().map(|topic| format!(", [topics.{topic}]")).collect();
    talk(&format!(
        "\nadded to {}: [functions.{name}]{}\n\nnext:\n    cargo test --package {name}\n    fnhost build {}",
        app.file.display(),
        topics.concat(),
        root.display()
    ));
    Ok(())
}

/// The folder of the app that the current one is in.
fn find() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().context("the current folder cannot be found").map_err(Failure::fault)?;
    if here.join(manifest::FILE).is_file() {
        return Ok(PathBuf::from("."));
    }
    let above = here.ancestors().find(|folder| folder.join(manifest::FILE).is_file());
    above.map(Path::to_owned).ok_or_else(|| {
        let error = anyhow::anyhow!("there is no app.toml in {} or above it", here.display());
        Failure::fault(error).hint("run it in the folder of an app; fnhost new app shop makes one")
    })
}

impl New<'_> {
    fn files(&self, workspace: &Workspace) -> Files {
        let handler = match self.output {
            [] => include_str!("templates/function/logs.rs"),
            _ => include_str!("templates/function/publishes.rs"),
        };
        let blanks = [
            ("app", self.app),
            ("function", self.name),
            ("crate", &self.name.replace('-', "_")),
            ("reads", &listed(&self.input)),
            ("writes", &listed(self.output)),
            ("answers", &self.answers()),
            ("outputs", &self.output.len().to_string()),
        ];
        vec![
            ("Cargo.toml".into(), workspace.crate_manifest(self.name)),
            ("src/lib.rs".into(), fill(handler, &blanks)),
            ("tests/counts.rs".into(), fill(include_str!("templates/function/counts.rs"), &blanks)),
            ("tests/first-event/expected.json".into(), self.expected()),
            ("tests/first-event/input.json".into(), self.event()),
        ]
    }

    /// What the handler ends with, when it publishes.
    fn answers(&self) -> String {
        let answer =
            |topic: &String| format!("context.output(&event, \"{topic}\", \"{}.{topic}\", &counted)?", self.app);
        let answers: Vec<String> = self.output.iter().map(answer).collect();
        match answers.as_slice() {
            [answer] => format!("    let answer = {answer};\n    Ok(vec![answer])"),
            answers => format!("    Ok(vec![\n        {},\n    ])", answers.join(",\n        ")),
        }
    }

    /// An event, as a scenario has it.
    fn event(&self) -> String {
        let topic = self.input.first().map_or("", String::as_str);
        fill(include_str!("templates/function/input.json"), &[("topic", topic)])
    }

    /// What becomes of it.
    fn expected(&self) -> String {
        let source = format!("/{}/{}", self.app, self.name);
        let output = |(topic, ordinal): (&String, u32)| {
            let id = output_id(&Answered { source: "/example", id: "e-1" }, &source, topic, ordinal);
            let blanks = [("app", self.app), ("function", self.name), ("topic", topic), ("id", &id)];
            fill(include_str!("templates/function/output.json").trim_end(), &blanks)
        };
        let outputs: Vec<String> = self.output.iter().zip(0..).map(output).collect();
        let changes = "  \"changes\": [{ \"key\": \"a\", \"value\": \"1\" }]\n";
        match outputs.as_slice() {
            [] => format!("{{\n{changes}}}\n"),
            outputs => format!("{{\n  \"outputs\": [\n{}\n  ],\n{changes}}}\n", outputs.join(",\n")),
        }
    }
}

fn listed(topics: &[String]) -> String {
    topics.iter().map(|topic| format!("`{topic}`")).collect::<Vec<_>>().join(", ")
}
