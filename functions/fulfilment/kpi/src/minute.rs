//! Minutes, as they are kept and published: `2026-11-21T18:05:00Z`.

use std::fmt;

use order::time;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MINUTE_MS: u64 = 60_000;

/// A minute of time, counted from 1970 in UTC. As text, minutes have the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Minute(pub(crate) u64);

impl Minute {
    /// The minute that `ms` since the Unix epoch lies in.
    pub(crate) fn of(ms: u64) -> Self {
        Self(ms / MINUTE_MS)
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        Some(Self::of(time::parse("", text).ok()?)).filter(|minute| minute.to_string() == text)
    }

    pub(crate) fn before(self, minutes: u64) -> Self {
        Self(self.0.saturating_sub(minutes))
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&time::with_seconds(self.0.saturating_mul(MINUTE_MS)))
    }
}

impl Serialize for Minute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Minute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| D::Error::custom("it is no minute"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_read_as_it_is_written_and_nothing_else_is_one() {
        let minute = Minute::of(1_795_284_359_999);
        assert_eq!(minute.to_string(), "2026-11-21T18:05:00Z");
        assert_eq!(Minute::of(1_795_284_360_000).before(1), minute);
        assert_eq!(Minute::read("2026-11-21T18:05:00Z"), Some(minute));
        for other in ["", "2026-11-21T18:05:01Z", "2026-11-21T18:05:00.000Z", "2026-11-21T19:05:00+01:00"] {
            assert_eq!(Minute::read(other), None);
        }
    }
}
