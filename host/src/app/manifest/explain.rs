//! An app written out with every value, those that were left out too, as an `app.toml` that says the same.
//!
//! What follows from it, such as consumer groups and changelogs, stands in comments.

use std::fmt::{self, Write};
use std::path::Path;

use toml_edit::{Array, InlineTable, Value};

use super::Manifest;
use super::read::{size_text, time_text};
use crate::app::{Function, Route, Schedule, Source, TopicSpec};
use crate::broker::From;

impl Manifest {
    /// Every value that holds, defaults included, in the form of `app.toml`. Read again beside the same files, it
    /// describes the same app.
    pub fn explain(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let app = &self.app;
        let workers = |group: &str| app.workers.get(group).copied().unwrap_or(1);
        writeln!(out, "name = {}", string(&app.name))?;
        writeln!(out, "schemas = {}", string(&self.relative(&self.schemas)))?;
        writeln!(out, "workers = {}", workers(&app.name))?;
        for (name, topic) in &app.topics {
            write_topic(out, name, topic)?;
        }
        for route in &app.routes {
            write_route(out, route)?;
        }
        for function in &app.functions {
            self.write_function(out, function)?;
        }
        for Schedule { name, every, topic } in &app.schedules {
            writeln!(out, "\n[schedules.{name}]\nevery = \"{}\"\ntopic = {}", time_text(*every), string(topic))?;
        }
        for (group, functions) in &app.groups() {
            if let Some(name) = functions.first().and_then(|f| f.group.as_ref()) {
                writeln!(out, "\n[groups.{name}]\nworkers = {}", workers(group))?;
            }
        }
        writeln!(out)?;
        for (group, functions) in &app.groups() {
            let names: Vec<&str> = functions.iter().map(|f| f.name.as_str()).collect();
            writeln!(out, "# consumer group {group}: {}", names.join(", "))?;
        }
        for (changelog, input) in app.changelogs() {
            writeln!(out, "# changelog {changelog}: as many partitions as {input}, compacted")?;
        }
        Ok(())
    }

    fn write_function(&self, out: &mut String, function: &Function) -> fmt::Result {
        let (Source::Crate(source) | Source::Component(source)) = &function.source;
        writeln!(out, "\n[functions.{}]", function.name)?;
        writeln!(out, "source = {}", string(&self.relative(source)))?;
        writeln!(out, "input = {}", strings(&function.input))?;
        writeln!(out, "output = {}", strings(&function.output))?;
        let config = function.config.iter().map(|(key, value)| (key.as_str(), Value::from(value.as_str())));
        writeln!(out, "config = {}", config.collect::<InlineTable>())?;
        let (limits, retry) = (&function.limits, &function.retry);
        let bytes = |bytes: usize| size_text(u64::try_from(bytes).unwrap_or(u64::MAX));
        writeln!(
            out,
            "limits = {{ time = \"{}\", memory = \"{}\", output = \"{}\" }}",
            time_text(limits.time),
            bytes(limits.memory_bytes),
            bytes(limits.output_bytes)
        )?;
        writeln!(
            out,
            "retry = {{ attempts = {}, backoff = \"{}..{}\" }}",
            retry.attempts,
            time_text(retry.backoff_min),
            time_text(retry.backoff_max)
        )?;
        if let Some(group) = &function.group {
            writeln!(out, "group = {}", string(group))?;
        }
        let from = match function.from {
            From::Earliest => "earliest",
            From::Latest => "latest",
        };
        writeln!(out, "from = \"{from}\"")
    }

    /// A path as it stands in the manifest.
    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.app.root).unwrap_or(path).display().to_string()
    }
}

fn write_topic(out: &mut String, name: &str, topic: &TopicSpec) -> fmt::Result {
    writeln!(out, "\n[topics.{}]", toml_edit::Key::new(name).display_repr())?;
    writeln!(out, "partitions = {}", topic.partitions)?;
    match topic.replication {
        Some(replication) => writeln!(out, "replication = {replication}")?,
        None => writeln!(out, "# replication: the broker's default")?,
    }
    writeln!(out, "retention = \"{}\"", time_text(topic.retention))?;
    writeln!(out, "max-message = \"{}\"", size_text(topic.message_bytes_max))?;
    match &topic.schema {
        Some(schema) => writeln!(out, "schema = {}\nvalidate = {}", string(schema), topic.validate),
        None => writeln!(out, "# schema: none, so nothing is validated"),
    }
}

fn write_route(out: &mut String, route: &Route) -> fmt::Result {
    writeln!(out, "\n[[routes]]")?;
    let pairs = [
        ("method", route.method.as_str()),
        ("path", &route.path),
        ("body", &route.body),
        ("topic", &route.topic),
        ("type", &route.event_type),
        ("member", &route.member),
        ("id", &route.id),
    ];
    for (key, value) in pairs {
        writeln!(out, "{key} = {}", string(value))?;
    }
    writeln!(out, "max-body = \"{}\"", size_text(u64::try_from(route.body_bytes_max).unwrap_or(u64::MAX)))
}

fn string(text: &str) -> String {
    Value::from(text).to_string()
}

fn strings(texts: &[std::sync::Arc<str>]) -> String {
    texts.iter().map(|text| &**text).collect::<Array>().to_string()
}
