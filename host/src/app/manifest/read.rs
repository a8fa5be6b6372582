//! Reading typed values out of a TOML document, keeping the place of each.
//!
//! Nothing here stops at the first fault: a value that cannot be read is reported to the [`Reader`] and left out, and
//! reading goes on. What the values mean together is for [`super::rules`].

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use toml_edit::{Item, Key, TableLike, Value};

use crate::app::fault::{Fault, Place, listed, nearest};

/// A value and the bytes of the file it stands in.
#[derive(Clone, Debug)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// The file being read, and what was found wrong in it so far.
pub(super) struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, faults: RefCell::default() }
    }

    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        Place::new(self.file, self.text, span.clone())
    }

    /// Keeps a fault at a place of the file.
    pub(super) fn report(&self, span: &Range<usize>, fault: Fault) {
        self.faults.borrow_mut().push(fault.at(self.place(span)));
    }

    /// Keeps a fault about something that is not in the file.
    pub(super) fn report_missing(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault.at(Place::file(self.file)));
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }
}

/// One table of the document.
#[derive(Clone)]
pub(super) struct Section<'a> {
    pub(super) reader: &'a Reader<'a>,
    table: &'a dyn TableLike,
    /// How faults call it, such as ``topic `error` ``.
    pub(super) title: String,
    /// Its header.
    pub(super) span: Range<usize>,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        reader: &'a Reader<'a>,
        table: &'a dyn TableLike,
        title: impl Into<String>,
        span: Range<usize>,
    ) -> Self {
        Self { reader, table, title: title.into(), span }
    }

    /// Refuses every key that is not among `known`.
    pub(super) fn only(&self, known: &[&str]) {
        for (name, _) in self.table.iter().filter(|(name, _)| !known.contains(name)) {
            let span = self.key_span(name);
            let fault = Fault::new(format!("{} has no key `{name}`", self.title));
            let fault = match nearest(name, known.iter().copied()) {
                Some(near) => fault.note(format!("did you mean `{near}`?")),
                None => fault.note("unknown key"),
            };
            self.reader.report(&span, fault.hint(format!("the keys here are {}", listed(known))));
        }
    }

    /// The names in it, in the order of the file.
    pub(super) fn names(&self) -> Vec<Spanned<&'a str>> {
        self.table.iter().map(|(name, _)| Spanned { value: name, span: self.key_span(name) }).collect()
    }

    pub(super) fn key_span(&self, name: &str) -> Range<usize> {
        let key = self.table.get_key_value(name).and_then(|(key, _)| Key::span(key));
        key.unwrap_or_else(|| self.span.clone())
    }

    /// The table under `name`.
    pub(super) fn section(&self, name: &str, title: impl Into<String>) -> Option<Section<'a>> {
        let item = self.item(name)?;
        let Some(table) = item.as_table_like() else {
            self.mistyped(name, item, "a table");
            return None;
        };
        Some(Section::new(self.reader, table, title, self.key_span(name)))
    }

    /// The tables of the list under `name`.
    pub(super) fn sections(&self, name: &str, title: impl Fn(usize) -> String) -> Vec<Section<'a>> {
        match self.item(name) {
            None => Vec::new(),
            Some(Item::ArrayOfTables(tables)) => {
                let section = |(i, table): (usize, &'a toml_edit::Table)| {
                    let span = table.span().unwrap_or_else(|| self.key_span(name));
                    Section::new(self.reader, table, title(i + 1), span)
                };
                tables.iter().enumerate().map(section).collect()
            }
            Some(item) => {
                self.mistyped(name, item, &format!("a list of tables, each headed `[[{name}]]`"));
                Vec::new()
            }
        }
    }

    pub(super) fn string(&self, name: &str) -> Option<Spanned<String>> {
        let item = self.item(name)?;
        match item.as_str() {
            Some(value) => Some(Spanned { value: value.to_owned(), span: self.value_span(name, item) }),
            None => {
                self.mistyped(name, item, "a string");
                None
            }
        }
    }

    /// A string that cannot be left out.
    pub(super) fn required(&self, name: &str, meaning: &str) -> Option<Spanned<String>> {
        if self.item(name).is_none() {
            let fault = Fault::new(format!("{} has no `{name}`", self.title));
            self.reader.report(&self.span, fault.hint(format!("add `{name} = \"…\"`: {meaning}")));
        }
        self.string(name)
    }

    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        let item = self.item(name)?;
        let value = item.as_bool();
        if value.is_none() {
            self.mistyped(name, item, "true or false");
        }
        value
    }

    /// A whole number within `range`.
    pub(super) fn integer(&self, name: &str, range: Range<i64>) -> Option<Spanned<i64>> {
        let item = self.item(name)?;
        let Some(value) = item.as_integer() else {
            self.mistyped(name, item, "a whole number");
            return None;
        };
        let span = self.value_span(name, item);
        if range.contains(&value) {
            return Some(Spanned { value, span });
        }
        let fault = Fault::new(format!("`{name}` of {} is out of range", self.title));
        self.reader.report(&span, fault.note(format!("{} to {}", range.start, range.end - 1)));
        None
    }

    /// A size with its unit, within `range`, in bytes.
    pub(super) fn size(&self, name: &str, range: Range<u64>) -> Option<Spanned<u64>> {
        let text = self.with_unit(name, "a size with its unit, such as \"256KiB\"")?;
        let read = ByteSize::from_str(&text.value).ok().filter(|_| !is_bare_number(&text.value));
        let Some(ByteSize(value)) = read else {
            let fault = Fault::new(format!("`{name}` of {} must be a size with its unit", self.title));
            self.reader.report(&text.span, fault.note("such as 256KiB or 4MiB"));
            return None;
        };
        if range.contains(&value) {
            return Some(Spanned { value, span: text.span });
        }
        let fault = Fault::new(format!("`{name}` of {} is out of range", self.title));
        let note = format!("{} to {}", size_text(range.start), size_text(range.end - 1));
        self.reader.report(&text.span, fault.note(note));
        None
    }

    /// A time with its unit, within `range`.
    pub(super) fn duration(&self, name: &str, range: Range<Duration>) -> Option<Spanned<Duration>> {
        let text = self.with_unit(name, "a time with its unit, such as \"250ms\"")?;
        let value = self.parse_duration(name, &text)?;
        if range.contains(&value) {
            return Some(Spanned { value, span: text.span });
        }
        let fault = Fault::new(format!("`{name}` of {} is out of range", self.title));
        let note = format!("{} to less than {}", time_text(range.start), time_text(range.end));
        self.reader.report(&text.span, fault.note(note));
        None
    }

    /// Two times with their units, `MIN..MAX`, or one that is both.
    pub(super) fn duration_range(&self, name: &str) -> Option<Spanned<(Duration, Duration)>> {
        let text = self.with_unit(name, "two times with their units, such as \"50ms..2s\"")?;
        let (min, max) = text.value.split_once("..").unwrap_or((&text.value, &text.value));
        let time = |part: &str| self.parse_duration(name, &Spanned { value: part.into(), span: text.span.clone() });
        let (min, max) = (time(min)?, time(max)?);
        if min <= max {
            return Some(Spanned { value: (min, max), span: text.span });
        }
        let fault = Fault::new(format!("`{name}` of {} begins after its end", self.title));
        self.reader.report(&text.span, fault.note("the shorter time comes first"));
        None
    }

    /// A list of strings, no two the same.
    pub(super) fn strings(&self, name: &str) -> Vec<Spanned<String>> {
        let Some(item) = self.item(name) else { return Vec::new() };
        let Some(array) = item.as_array() else {
            self.mistyped(name, item, "a list of strings, such as [\"a\", \"b\"]");
            return Vec::new();
        };
        let mut strings: Vec<Spanned<String>> = Vec::new();
        for value in array {
            let span = value.span().unwrap_or_else(|| self.value_span(name, item));
            let Value::String(text) = value else {
                let fault = Fault::new(format!("`{name}` of {} must be a list of strings", self.title));
                self.reader.report(&span, fault.note(format!("this is of type {}", value.type_name())));
                continue;
            };
            let value = text.value().clone();
            if strings.iter().any(|s| s.value == value) {
                let fault = Fault::new(format!("`{name}` of {} names `{value}` twice", self.title));
                self.reader.report(&span, fault.note("once is enough"));
                continue;
            }
            strings.push(Spanned { value, span });
        }
        strings
    }

    pub(super) fn item(&self, name: &str) -> Option<&'a Item> {
        self.table.get(name).filter(|item| !item.is_none())
    }

    fn with_unit(&self, name: &str, what: &str) -> Option<Spanned<String>> {
        let item = self.item(name)?;
        let text = item.as_str();
        if text.is_none() {
            self.mistyped(name, item, what);
        }
        Some(Spanned { value: text?.trim().to_owned(), span: self.value_span(name, item) })
    }

    fn parse_duration(&self, name: &str, text: &Spanned<String>) -> Option<Duration> {
        let value = humantime::parse_duration(text.value.trim()).ok().filter(|_| !is_bare_number(&text.value));
        if value.is_none() {
            let fault = Fault::new(format!("`{name}` of {} must be a time with its unit", self.title));
            self.reader.report(&text.span, fault.note("such as 250ms, 2s or 3d"));
        }
        value
    }

    pub(super) fn value_span(&self, name: &str, item: &Item) -> Range<usize> {
        item.span().unwrap_or_else(|| self.key_span(name))
    }

    fn mistyped(&self, name: &str, item: &Item, wanted: &str) {
        let fault = Fault::new(format!("`{name}` of {} must be {wanted}", self.title));
        self.reader.report(&self.value_span(name, item), fault.note(format!("this is of type {}", item.type_name())));
    }
}

/// A size so that it is read back as the same number of bytes.
pub(super) fn size_text(bytes: u64) -> String {
    [("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .into_iter()
        .find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift))
        .map_or_else(|| format!("{bytes}B"), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

/// A time so that it is read back as the same one.
pub(super) fn time_text(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

fn is_bare_number(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || c == '.')
}
