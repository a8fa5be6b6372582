//! Reading JSON that a person wrote, keeping the place of each value.
//!
//! Nothing here stops at the first fault: what cannot be read is reported to the [`Reader`] and left out, and reading
//! goes on. What the values mean is for [`super::form`] and [`super::ending`].

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use super::json;
use crate::app::fault::{Fault, Faults, Place, listed, nearest};

/// A larger file is refused.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A file of JSON.
pub(super) struct Document {
    file: PathBuf,
    text: String,
}

impl Document {
    /// The file, or `None` when it is not there.
    pub(super) fn find(file: &Path) -> Result<Option<Self>, Fault> {
        match fs::File::open(file) {
            Ok(opened) => Self::read(file, opened).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(file, &error)),
        }
    }

    /// What `from` holds, which is called `file`.
    pub(super) fn read(file: &Path, from: impl io::Read) -> Result<Self, Fault> {
        let mut bytes = Vec::new();
        from.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(file, &error))?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
            return Err(Fault::new("this is larger than 16MiB").at(Place::file(file)));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { file: file.to_path_buf(), text }),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes());
                let fault = Fault::new("this is no UTF-8").at(Place::new(file, &text, valid..valid + 1));
                Err(fault.hint("write bytes as Base64, in `valueBase64`"))
            }
        }
    }

    /// What `read` makes of the whole of it.
    pub(super) fn with<T>(&self, read: impl FnOnce(Value<'_>) -> Option<T>) -> Result<T, Faults> {
        let reader = Reader { file: &self.file, text: &self.text, faults: RefCell::default() };
        let made = match serde_json::from_str::<&RawValue>(&self.text) {
            Ok(raw) => read(Value { reader: &reader, raw: raw.get() }),
            Err(error) => {
                let what = error.to_string();
                let position = format!(" at line {} column {}", error.line(), error.column());
                let what = what.strip_suffix(&position).unwrap_or(&what);
                let place = Place::of_json(&self.file, &self.text, &error);
                reader.faults.borrow_mut().push(Fault::new(format!("this is no JSON: {what}")).at(place));
                None
            }
        };
        match (Faults::new(reader.faults.into_inner()), made) {
            (None, Some(made)) => Ok(made),
            (Some(faults), _) => Err(faults),
            // Whoever makes nothing has said why; this is for whoever forgets.
            (None, None) => Err(Fault::new("this cannot be read").at(Place::file(&self.file)).into()),
        }
    }
}

fn unreadable(file: &Path, error: &io::Error) -> Fault {
    Fault::new(format!("{} cannot be read: {error}", file.display()))
}

/// The file being read, and what was found wrong in it so far.
struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    faults: RefCell<Vec<Fault>>,
}

/// A value, as it stands in the file.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    reader: &'a Reader<'a>,
    raw: &'a str,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    List,
    Text,
    Null,
    /// A number, `true` or `false`.
    Plain,
}

impl<'a> Value<'a> {
    pub(super) fn kind(self) -> Kind {
        match self.raw.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            Some(b'"') => Kind::Text,
            Some(b'n') => Kind::Null,
            _ => Kind::Plain,
        }
    }

    /// The text that it is written as.
    pub(super) fn raw(self) -> &'a str {
        self.raw
    }

    /// Keeps a fault at this value.
    pub(super) fn report(self, fault: Fault) {
        let Reader { file, text, faults } = self.reader;
        // It is a part of the text, so its beginning is at or after that of the text.
        let start = (self.raw.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        // The brackets that end an object or a list are most often on another line.
        let length = if matches!(self.kind(), Kind::Object | Kind::List) { 1 } else { self.raw.len() };
        faults.borrow_mut().push(fault.at(Place::new(file, text, start..start + length)));
    }

    /// Reports that it is something else than it must be.
    pub(super) fn mistyped(self, title: &str, wanted: &str) {
        let found = match self.kind() {
            Kind::Object => "an object",
            Kind::List => "a list",
            Kind::Text => "a string",
            Kind::Null => "null",
            Kind::Plain if self.raw.starts_with(['t', 'f']) => "true or false",
            Kind::Plain => "a number",
        };
        self.report(Fault::new(format!("{title} must be {wanted}")).note(format!("this is {found}")));
    }

    /// The members, when it is an object. `title` is what faults call it, such as `an event`.
    pub(super) fn object(self, title: &str) -> Option<Object<'a>> {
        if self.kind() != Kind::Object {
            self.mistyped(title, "an object");
            return None;
        }
        let mut object = Object { title: title.to_owned(), whole: self, members: Vec::new() };
        for (name, value) in json::members(self.raw) {
            let (at, value) = (self.part(name), self.part(value));
            let Some(name) = at.string("a name") else { continue };
            if object.get(&name).is_some() {
                at.report(Fault::new(format!("`{name}` stands twice in {title}")).note("again here"));
                continue;
            }
            object.members.push(Member { name, at, value });
        }
        Some(object)
    }

    /// The values, when it is a list.
    pub(super) fn list(self, title: &str) -> Option<Vec<Value<'a>>> {
        if self.kind() != Kind::List {
            self.mistyped(title, "a list");
            return None;
        }
        Some(self.items())
    }

    /// The values of a list, or the one value that it is.
    pub(super) fn one_or_many(self) -> Vec<Value<'a>> {
        if self.kind() == Kind::List { self.items() } else { vec![self] }
    }

    /// What it says, when it is a string.
    pub(super) fn string(self, title: &str) -> Option<String> {
        if self.kind() != Kind::Text {
            self.mistyped(title, "a string");
            return None;
        }
        match serde_json::from_str(self.raw) {
            Ok(text) => Some(text),
            Err(_) => {
                self.report(
                    Fault::new(format!("{title} cannot be read")).note("half a surrogate pair is no character"),
                );
                None
            }
        }
    }

    /// The whole number that it is, when it is one of at least 1.
    pub(super) fn count(self, title: &str) -> Option<u32> {
        let count = self.raw.parse().ok().filter(|count| *count > 0);
        if count.is_none() {
            self.mistyped(title, "a whole number of at least 1");
        }
        count
    }

    fn items(self) -> Vec<Value<'a>> {
        json::items(self.raw).into_iter().map(|raw| self.part(raw)).collect()
    }

    fn part(self, raw: &'a str) -> Value<'a> {
        Value { reader: self.reader, raw }
    }
}

/// An object, as it stands in the file.
pub(super) struct Object<'a> {
    title: String,
    whole: Value<'a>,
    members: Vec<Member<'a>>,
}

/// A member of an object.
pub(super) struct Member<'a> {
    pub(super) name: String,
    /// Its name in the file.
    pub(super) at: Value<'a>,
    pub(super) value: Value<'a>,
}

impl<'a> Object<'a> {
    /// The member of that name.
    pub(super) fn get(&self, name: &str) -> Option<Value<'a>> {
        self.members.iter().find(|member| member.name == name).map(|member| member.value)
    }

    /// The members, in the order of the file.
    pub(super) fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// What faults call it.
    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// Keeps a fault at the object.
    pub(super) fn report(&self, fault: Fault) {
        self.whole.report(fault);
    }

    /// Refuses every member that is not among `known`.
    pub(super) fn only(&self, known: &[&str]) {
        for member in self.members.iter().filter(|member| !known.contains(&member.name.as_str())) {
            let fault = Fault::new(format!("{} has no `{}`", self.title, member.name));
            let fault = match nearest(&member.name, known.iter().copied()) {
                Some(near) => fault.note(format!("did you mean `{near}`?")),
                None => fault.note("unknown name"),
            };
            member.at.report(fault.hint(format!("what can stand here is {}", listed(known))));
        }
    }

    /// The string under `name`, which cannot be left out.
    pub(super) fn required(&self, name: &str) -> Option<String> {
        match self.get(name) {
            Some(value) => value.string(&format!("`{name}` of {}", self.title)),
            None => {
                self.report(Fault::new(format!("{} has no `{name}`", self.title)));
                None
            }
        }
    }
}
