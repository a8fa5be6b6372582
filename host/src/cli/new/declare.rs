//! A function that is added to an `app.toml`. What stands there stays as it is, comments too.

use anyhow::Context as _;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike};

/// What is added.
pub(super) struct Declared<'a> {
    pub(super) function: &'a str,
    pub(super) input: &'a [String],
    pub(super) output: &'a [String],
}

/// `text` with the function, and with the topics that it names and that are not there; the names of these.
///
/// # Errors
/// When `text` is no manifest.
pub(super) fn declare(text: &str, added: &Declared<'_>) -> anyhow::Result<(String, Vec<String>)> {
    let mut document: DocumentMut = text.parse()?;
    let topics = tables(&mut document, "topics")?;
    let mut new = Vec::new();
    for topic in added.input.iter().chain(added.output) {
        if !topics.contains_key(topic) {
            topics.insert(topic, Item::Table(Table::new()));
            new.push(topic.clone());
        }
    }
    let mut function = Table::new();
    function.insert("source", added.function.into());
    function.insert("input", list(added.input));
    if !added.output.is_empty() {
        function.insert("output", list(added.output));
    }
    tables(&mut document, "functions")?.insert(added.function, Item::Table(function));
    Ok((document.to_string(), new))
}

/// The table of tables `name`, which may be new.
fn tables<'a>(document: &'a mut DocumentMut, name: &str) -> anyhow::Result<&'a mut dyn TableLike> {
    let mut new = Table::new();
    new.set_implicit(true);
    let tables = document.entry(name).or_insert(Item::Table(new));
    tables.as_table_like_mut().with_context(|| format!("`{name}` is no table"))
}

fn list(topics: &[String]) -> Item {
    topics.iter().collect::<Array>().into()
}
