//! Times of events: RFC 3339 as text, and milliseconds since the Unix epoch.

use std::time::{Duration, UNIX_EPOCH};

use fnhost_sdk::Failure;

/// The last millisecond that can be written: of the year 9999.
const MS_MAX: u64 = 253_402_300_799_999;

/// The time in milliseconds since the Unix epoch, cut to whole ones.
///
/// # Errors
///
/// [`Failure::Reject`] when `text` is no timestamp of RFC 3339, or one before 1970. `what` it is begins the reason.
pub fn parse(what: &str, text: &str) -> Result<u64, Failure> {
    read(text).ok_or_else(|| Failure::reject(format!("{what} is `{text}`, and no time of RFC 3339 since 1970")))
}

fn read(text: &str) -> Option<u64> {
    let upper = text.to_ascii_uppercase();
    let (local, offset) = match upper.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => {
            // `+hh:mm` is ahead of UTC.
            let (local, offset) = upper.split_at_checked(upper.len().checked_sub(6)?)?;
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let seconds = 3600 * number(hours, 23)? + 60 * number(minutes, 59)?;
            let seconds = match offset.as_bytes().first()? {
                b'+' => seconds,
                b'-' => -seconds,
                _ => return None,
            };
            (local, seconds)
        }
    };
    // humantime takes a second one.
    if local.ends_with('Z') {
        return None;
    }
    let time = humantime::parse_rfc3339(&format!("{local}Z")).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let ms = i64::try_from(time.as_millis()).ok()?.checked_sub(1000 * offset)?;
    u64::try_from(ms).ok().filter(|ms| *ms <= MS_MAX)
}

fn number(digits: &str, max: i64) -> Option<i64> {
    let number: i64 = digits.parse().ok()?;
    (digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()) && number <= max).then_some(number)
}

/// A time with milliseconds, in UTC. Beyond the year 9999 it stays at its end.
#[must_use]
pub fn with_millis(ms: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms.min(MS_MAX))).to_string()
}

/// A time without them.
#[must_use]
pub fn with_seconds(ms: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.min(MS_MAX))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_any_offset_and_any_precision() {
        for text in [
            "2026-11-21T06:43:01.003Z",
            "2026-11-21t06:43:01.003999z",
            "2026-11-21T08:13:01.003+01:30",
            "2026-11-20T23:43:01.003-07:00",
            "2026-11-21T06:43:01.003-00:00",
        ] {
            assert_eq!(parse("time", text), Ok(1_795_243_381_003), "{text}");
        }
        assert_eq!(parse("time", "2026-11-21T06:43:01Z"), Ok(1_795_243_381_000));
        assert_eq!(parse("time", "9999-12-31T23:59:59.999Z"), Ok(MS_MAX));
    }

    #[test]
    fn what_is_no_time_is_rejected_and_said() {
        for text in [
            "",
            "Z",
            "yesterday",
            "2026-11-21",
            "2026-11-21T06:43:01",
            "2026-13-21T06:43:01Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:30:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "2026-11-21T06:43:01+24:00",
            "2026-11-21T06:43:01+1:000",
            "2026-11-21T06:43:01*01:00",
            "2026-11-21T06:43:01+-1:00",
            "2026-11-21T06:43:01Z+01:00",
            "ééé",
            "2026-11-21T06:43:01é01:00",
        ] {
            let reason = format!("`time` is `{text}`, and no time of RFC 3339 since 1970");
            assert_eq!(parse("`time`", text), Err(Failure::reject(reason)));
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for ms in [0, 1, 1_795_243_381_003, MS_MAX] {
            assert_eq!(parse("time", &with_millis(ms)), Ok(ms));
            assert_eq!(parse("time", &with_seconds(ms)), Ok(ms / 1000 * 1000));
        }
        assert_eq!(with_millis(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(with_seconds(1_795_243_381_003), "2026-11-21T06:43:01Z");
    }
}
