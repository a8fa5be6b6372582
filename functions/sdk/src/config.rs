//! The function's `config` table in `app.toml`, as a trait: the host's on WebAssembly, a map in a native test.
//!
//! What is configured wrongly is a [`Failure::Retry`]: the events are sound, and work once someone has put it right.

use std::fmt::Display;
use std::str::FromStr;

use crate::Failure;

/// The function's `config` table in `app.toml`.
pub trait Config {
    /// The value of `key`, or none when it is not set.
    ///
    /// # Errors
    ///
    /// When the configuration cannot be read just now.
    fn get(&self, key: &str) -> Result<Option<String>, Failure>;

    /// The value of `key`, which the function cannot do without.
    ///
    /// # Errors
    ///
    /// When it is not set.
    fn required(&self, key: &str) -> Result<String, Failure> {
        self.get(key)?.ok_or_else(|| Failure::retry(format!("config key `{key}` is not set")))
    }
}

impl dyn Config + '_ {
    /// The value of `key` as a number or whatever else can be parsed.
    ///
    /// # Errors
    ///
    /// When it is not set, or is no such thing.
    pub fn parsed<T: FromStr<Err: Display>>(&self, key: &str) -> Result<T, Failure> {
        let value = self.required(key)?;
        value.trim().parse().map_err(|error| Failure::retry(format!("config key `{key}` is `{value}`: {error}")))
    }
}
