//! Faults: what is wrong in a file that a person wrote, and where.
//!
//! A fault names file, line and column, shows the line with the place underlined, and says in a hint what mends it. It
//! is legible without colour. All faults of a file are collected into [`Faults`], so one run shows all that is to be
//! mended. The manifest and the schemas make them; the command line prints them.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong: lowercase, no full stop.
    pub message: String,
    /// Where.
    pub place: Option<Box<Place>>,
    /// A word or two beside the underlining, or behind what else there is.
    pub note: Option<String>,
    /// What mends it.
    pub hint: Option<String>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The place in it; `None` is the whole file.
    pub spot: Option<Spot>,
}

/// A line of a file, and what is meant in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line itself. Tabs and control characters are spaces, so that a terminal shows it in one piece.
    pub text: String,
    /// How many characters are underlined, at least 1.
    pub width: usize,
}

impl Spot {
    /// A longer line is shown cut.
    const LINE_CHARS_MAX: usize = 160;

    /// The spot that the bytes `span` of `text` make. What lies beyond the first line is left out.
    pub fn new(text: &str, span: Range<usize>) -> Self {
        let start = floor(text, span.start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let rest = text.get(line_start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let meant = text.get(start..floor(text, span.end.max(start))).unwrap_or_default();
        let width = meant.split('\n').next().unwrap_or_default().trim_end().chars().count().max(1);
        let shown: String = line.chars().take(Self::LINE_CHARS_MAX.max(column + width)).map(plain).collect();
        Self { line: before.matches('\n').count() + 1, column, text: shown, width }
    }
}

impl Place {
    /// A whole file.
    pub fn file(file: &Path) -> Self {
        Self { file: file.to_path_buf(), spot: None }
    }

    /// The bytes `span` of `text`, which `file` holds.
    pub fn new(file: &Path, text: &str, span: Range<usize>) -> Self {
        Self { file: file.to_path_buf(), spot: Some(Spot::new(text, span)) }
    }

    /// Where `text`, which `file` holds, is no JSON.
    pub fn of_json(file: &Path, text: &str, error: &serde_json::Error) -> Self {
        let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let start = before + error.column().saturating_sub(1);
        Self::new(file, text, start..start + 1)
    }
}

impl Fault {
    /// A fault without a place yet.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, note: None, hint: None }
    }

    /// The same fault at a place.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(Box::new(place)), ..self }
    }

    /// The same fault with a word beside the underlining.
    #[must_use]
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    /// The same fault with what mends it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, place, note, hint } = self;
        write!(f, "error: {message}")?;
        match (place.as_deref(), note) {
            (Some(Place { file, spot: Some(spot) }), note) => spot.fmt(f, file, note.as_deref())?,
            (Some(Place { file, spot: None }), None) => write!(f, "\n --> {}", file.display())?,
            (Some(Place { file, spot: None }), Some(note)) => write!(f, "\n --> {}: {note}", file.display())?,
            (None, Some(note)) => write!(f, ": {note}")?,
            (None, None) => {}
        }
        match hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>, file: &Path, note: Option<&str>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let under = format!("{}{}", " ".repeat(self.column - 1), "^".repeat(self.width));
        let note = note.map(|note| format!(" {note}")).unwrap_or_default();
        write!(f, "\n{gutter}--> {}:{number}:{}", file.display(), self.column)?;
        let text = format!(" {}", self.text);
        write!(f, "\n{gutter} |\n{number} |{}\n{gutter} | {under}{note}", text.trim_end())
    }
}

/// All that is wrong in what was read, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults, or `None` when there is none. Faults that are the same are kept once; they are put into the order of
    /// files and lines.
    pub fn new(mut faults: Vec<Fault>) -> Option<Self> {
        let line =
            |fault: &Fault| fault.place.as_ref().map(|p| (p.file.clone(), p.spot.as_ref().map(|s| (s.line, s.column))));
        faults.sort_by_key(line);
        faults.dedup();
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let gap = if i == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{fault}")?;
        }
        Ok(())
    }
}

impl Error for Faults {}

/// The one of `known` that `name` was probably meant to be.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = (name.chars().count() / 3).max(1);
    let near = known.into_iter().map(|k| (strsim::damerau_levenshtein(name, k), k)).filter(|(d, _)| *d <= far);
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// A fault about a name that is not among `known`: with the nearest that is, or all of them, or `nothing`.
pub fn undeclared(message: String, name: &str, known: &[&str], nothing: &str) -> Fault {
    let fault = Fault::new(message);
    match (nearest(name, known.iter().copied()), known) {
        (Some(near), _) => fault.note(format!("did you mean `{near}`?")),
        (None, []) => fault.note(nothing.to_owned()),
        (None, known) if known.len() <= 12 => fault.note(format!("known: {}", listed(known))),
        (None, _) => fault,
    }
}

/// What is said of a name that an app does not have: the nearest that it has, or all of them.
pub fn instead_of(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has {}", listed(known)),
    }
}

/// Names in backquotes, with commas.
pub fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The last character's border at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// A character as a terminal can be given it.
fn plain(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_shows_file_line_and_underlined_place() {
        let text = "name = \"a\"\n\n[functions.inventory]\noutput = [\"order-confirmd\"]\n";
        let start = text.find("\"order-confirmd\"").unwrap();
        let fault =
            Fault::new("function `inventory` writes to topic `order-confirmd`, which app.toml does not declare")
                .at(Place::new(Path::new("functions/fulfilment/app.toml"), text, start..start + 16))
                .note("did you mean `order-confirmed`?")
                .hint("declare it with `[topics.order-confirmd]`, or correct the name");
        insta::assert_snapshot!(fault, @r#"
        error: function `inventory` writes to topic `order-confirmd`, which app.toml does not declare
         --> functions/fulfilment/app.toml:4:11
          |
        4 | output = ["order-confirmd"]
          |           ^^^^^^^^^^^^^^^^ did you mean `order-confirmed`?

        hint: declare it with `[topics.order-confirmd]`, or correct the name
        "#);
    }

    #[test]
    fn line_number_of_two_digits_keeps_the_gutter_straight() {
        let text = format!("{}bad = 1", "\n".repeat(11));
        let fault = Fault::new("key `bad`").at(Place::new(Path::new("app.toml"), &text, 11..14));
        insta::assert_snapshot!(fault, @r"
        error: key `bad`
          --> app.toml:12:1
           |
        12 | bad = 1
           | ^^^
        ");
    }

    #[test]
    fn spot_survives_spans_beyond_the_text_between_characters_and_over_lines() {
        assert_eq!(Spot::new("ä", 1..9).column, 1);
        assert_eq!(Spot::new("", 5..7), Spot { line: 1, column: 1, text: String::new(), width: 1 });
        assert_eq!(Spot::new("a = [\n1,\n]", 4..10), Spot { line: 1, column: 5, text: "a = [".into(), width: 1 });
        assert_eq!(Spot::new("\ta\u{1b}[2J", 1..2).text, " a [2J");
    }

    #[test]
    fn nearest_name_is_found_only_when_it_is_near() {
        assert_eq!(nearest("partitons", ["partitions", "retention"]), Some("partitions"));
        assert_eq!(nearest("colour", ["partitions", "retention"]), None);
    }
}
