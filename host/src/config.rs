//! What is given to the host from outside: secrets, client properties, and everything in the environment.
//!
//! The only module that reads the environment (options of the command line read theirs through clap, `FNHOST_*` each; some of
//! `OTEL_*` OpenTelemetry's exporter reads itself).
//! It turns strings into types that cannot be logged by accident. Refused: client properties that the guarantee depends
//! on (see [`ClientProperties`]), short secrets, and a secret given twice.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

mod otlp;
mod properties;
mod refused;
mod terminal;
mod token;

pub use otlp::{Otlp, Ratio};
pub use properties::{ClientProperties, Property};
pub use terminal::{is_colour_unwanted, is_terminal_dumb};
pub use token::{TOKEN_VARIABLE, Token};

/// How a secret can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Names {
    option: &'static str,
    variable: &'static str,
}

/// Where seeds of guests' random numbers come from, when the environment holds it.
pub const SECRET_VARIABLE: &str = "FNHOST_SECRET";

/// What is logged: directives of tracing-subscriber's `EnvFilter`.
pub const LOG_VARIABLE: &str = "FNHOST_LOG";

/// The secret that guests' random numbers are derived from. The same on every host of an app, or an event that is
/// handled again elsewhere draws other numbers. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    const NAMES: Names = Names { option: "--secret-file", variable: SECRET_VARIABLE };

    /// A shorter one is refused.
    pub const BYTES_MIN: usize = 16;

    /// A longer one is refused.
    const BYTES_MAX: usize = 4096;

    /// The secret in `file`, or in [`SECRET_VARIABLE`]. Without either one is drawn, and a warning logged. A line break
    /// at the end does not count.
    ///
    /// # Errors
    /// When both are given, the file cannot be read, or the secret is too short or too long.
    pub fn resolve(file: Option<&Path>) -> Result<Self, Error> {
        let variable = environment(SECRET_VARIABLE)?;
        if let Some(secret) = Self::given(file, variable.as_deref(), Self::NAMES)? {
            return Ok(secret);
        }
        tracing::warn!(
            "no secret was given, so one was drawn: random numbers of functions will not repeat on another host or \
             after a restart; name one with --secret-file"
        );
        Ok(Self::draw())
    }

    fn given(file: Option<&Path>, variable: Option<&str>, names: Names) -> Result<Option<Self>, Error> {
        let Names { option, variable: name } = names;
        match (file, variable.filter(|text| !text.is_empty())) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(Error::SecretTwice { option, variable: name }),
            (None, Some(text)) => Self::checked(text.as_bytes().to_vec(), name.to_owned()).map(Some),
            (Some(file), None) => {
                let cannot = |cause| Error::Unreadable { file: file.to_path_buf(), cause };
                let mut bytes = Vec::new();
                let limit = u64::try_from(Self::BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
                std::fs::File::open(file).and_then(|f| f.take(limit).read_to_end(&mut bytes)).map_err(cannot)?;
                Self::checked(bytes, file.display().to_string()).map(Some)
            }
        }
    }

    fn checked(mut bytes: Vec<u8>, given_in: String) -> Result<Self, Error> {
        for ending in [b'\n', b'\r'] {
            bytes.pop_if(|last| *last == ending);
        }
        match bytes.len() {
            Self::BYTES_MIN..=Self::BYTES_MAX => Ok(Self(bytes)),
            count => Err(Error::SecretLength { given_in, count }),
        }
    }

    /// 32 bytes that nobody can guess: three random UUIDs carry 366 bits, hashed.
    pub fn draw() -> Self {
        let mut hash = Sha256::new();
        for _ in 0..3 {
            hash.update(uuid::Uuid::new_v4().as_bytes());
        }
        Self(hash.finalize().to_vec())
    }

    /// The bytes, for deriving seeds.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What to log, from [`LOG_VARIABLE`].
///
/// # Errors
/// When the variable is no Unicode.
pub fn log_filter() -> Result<Option<String>, Error> {
    Ok(environment(LOG_VARIABLE)?.filter(|directives| !directives.trim().is_empty()))
}

#[expect(clippy::disallowed_methods, reason = "this module is the one that reads the environment")]
fn environment(variable: &'static str) -> Result<Option<String>, Error> {
    match std::env::var(variable) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Error::NotUnicode { variable }),
    }
}

/// What was given cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("{} cannot be read", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A variable that holds something else than Unicode.
    #[error("the environment variable {variable} is no Unicode")]
    NotUnicode {
        /// Its name.
        variable: &'static str,
    },
    /// Two secrets, and no telling which one holds.
    #[error("a secret is given by {option} and by {variable}")]
    SecretTwice {
        /// The option.
        option: &'static str,
        /// The variable.
        variable: &'static str,
    },
    /// A secret that can be guessed, or a file that is none.
    #[error("the secret in {given_in} has {count} bytes, and not {} to {}", Secret::BYTES_MIN, Secret::BYTES_MAX)]
    SecretLength {
        /// The file or variable.
        given_in: String,
        /// How many it has; one more than the limit when it has more.
        count: usize,
    },
    /// A token that no HTTP header can carry.
    #[error("the token has other characters than visible ones of ASCII")]
    TokenForm,
    /// A property that is no `key=value`. What was given is not repeated: it may hold a password.
    #[error("{given_in} is no `key=value`")]
    PropertyForm {
        /// The option, or the file and line.
        given_in: String,
    },
    /// A property that the host sets itself.
    #[error("client property `{key}` cannot be set: {reason}")]
    PropertyRefused {
        /// Its key.
        key: String,
        /// What would break.
        reason: &'static str,
        /// What to do in place of it.
        instead: Option<&'static str>,
    },
    /// A build that cannot do what a property asks.
    #[error("client property `{key}` asks for {value}, and this build has no TLS")]
    NoTls {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Where spans go, or which are recorded, that cannot be. The value is not repeated: it may hold a password.
    #[error("{given_in} cannot be used: {reason}")]
    Otlp {
        /// The option or variable.
        given_in: &'static str,
        /// What is wrong with it.
        reason: String,
        /// What to do in place of it.
        instead: String,
    },
    /// Log directives that cannot be read.
    #[error("{LOG_VARIABLE} cannot be read")]
    LogFilter {
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } => None,
            Self::NotUnicode { variable } => Some(format!("unset {variable}, or set it to text")),
            Self::SecretTwice { option, variable } => Some(format!("unset {variable}, or leave {option} out")),
            Self::TokenForm => Some("make one with `openssl rand -hex 32`".to_owned()),
            Self::SecretLength { .. } => Some("make one with `openssl rand -hex 32`".to_owned()),
            Self::PropertyForm { .. } => Some("write it like `client.id=a`, a property a line".to_owned()),
            Self::PropertyRefused { instead, .. } => {
                Some(instead.unwrap_or("leave it out; the host sets it").to_owned())
            }
            Self::NoTls { .. } => Some("build it in: cargo build --release --features tls".to_owned()),
            Self::Otlp { instead, .. } => Some(instead.clone()),
            Self::LogFilter { .. } => Some(format!("for example {LOG_VARIABLE}=info,fnhost=debug")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn secret_comes_from_file_or_variable_without_the_line_break() {
        let file = file("0123456789abcdef\r\n");
        let from_file = Secret::given(Some(file.path()), None, Secret::NAMES).unwrap().unwrap();
        let from_variable = Secret::given(None, Some("0123456789abcdef"), Secret::NAMES).unwrap().unwrap();
        assert_eq!(from_file.bytes(), b"0123456789abcdef");
        assert_eq!(from_file, from_variable);
    }

    #[test]
    fn empty_variable_is_no_secret() {
        assert_eq!(Secret::given(None, Some(""), Secret::NAMES).unwrap(), None);
    }

    #[test]
    fn short_long_and_doubled_secrets_are_refused_without_being_shown() {
        let refuse =
            |file: Option<&Path>, variable| Secret::given(file, variable, Secret::NAMES).unwrap_err().to_string();
        let long = file(&"x".repeat(10_000));
        assert_eq!(refuse(None, Some("hunter2")), "the secret in FNHOST_SECRET has 7 bytes, and not 16 to 4096");
        assert!(refuse(Some(long.path()), None).ends_with("has 4097 bytes, and not 16 to 4096"));
        assert_eq!(
            refuse(Some(long.path()), Some("0123456789abcdef")),
            "a secret is given by --secret-file and by FNHOST_SECRET"
        );
        assert!(refuse(Some(Path::new("/no/such/file")), None).contains("/no/such/file"));
    }

    #[test]
    fn drawn_secrets_differ_and_debug_shows_nothing() {
        let (one, other) = (Secret::draw(), Secret::draw());
        assert_ne!(one, other);
        assert_eq!(one.bytes().len(), 32);
        assert_eq!(format!("{one:?}"), "Secret(…)");
    }
}
