//! Ids that a request is given. All are functions of what the request says, but for the fresh one.
//!
//! Derived ids are UUIDv5 below one namespace. A change of [`NAMESPACE`], of the order of the parts or of how they are
//! joined gives other ids: a request that is retried across that change becomes a second order.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{NoContext, Timestamp, Uuid};

/// What all derived ids begin from. Never to be changed.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f6d_4a0e_37c1_4d0b_9a55_2b8f_c6e0_91d4);

/// Who sends a request. Two callers may use one `Idempotency-Key` without meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller<'a>(&'a str);

impl Caller<'_> {
    /// Everybody, as long as requests are not authenticated. An authenticated principal's name will stand here
    /// instead, and is never empty.
    pub(super) const NOBODY: Self = Self("");
}

/// The id that an `Idempotency-Key` stands for.
pub(super) fn of_key(app: &str, route: &str, caller: Caller<'_>, key: &str) -> Uuid {
    derive(&["key", app, route, caller.0, key])
}

/// The id of the event that a route makes for `id`: the same for a request that is sent again.
pub(super) fn of_event(app: &str, route: &str, id: &str) -> Uuid {
    derive(&["event", app, route, id])
}

/// A new id: UUIDv7, so that ids sort by the time they were given.
pub(super) fn fresh(now: SystemTime) -> Uuid {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos()))
}

/// Each part is preceded by its length, so that no two lists of parts look alike.
fn derive(parts: &[&str]) -> Uuid {
    let mut name = Vec::new();
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&NAMESPACE, &name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn derived_ids_never_change() {
        let id = of_key("fulfilment", "POST /orders", Caller::NOBODY, "k-1");
        assert_eq!(id.to_string(), "9f42ff46-3cf0-559d-868d-24867f5813f4");
        assert_eq!(
            of_event("fulfilment", "POST /orders", &id.to_string()).to_string(),
            "53b98d2b-0aad-53c7-8324-b8f347f48969"
        );
    }

    #[test]
    fn each_part_makes_another_id() {
        let id = of_key("a", "b", Caller("c"), "d");
        let others = [
            of_key("A", "b", Caller("c"), "d"),
            of_key("a", "B", Caller("c"), "d"),
            of_key("a", "b", Caller("C"), "d"),
        ];
        assert!(!others.contains(&id));
        assert_ne!(of_key("a", "b", Caller("c"), "D"), id);
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(of_key("a", "b", Caller("c"), "de"), of_key("a", "b", Caller("cd"), "e"));
        assert_ne!(of_event("ab", "c", "d"), of_event("a", "bc", "d"));
    }

    #[test]
    fn fresh_ids_sort_by_time() {
        let at = |ms| fresh(UNIX_EPOCH + Duration::from_millis(ms));
        assert!(at(1) < at(2));
        assert_ne!(at(1), at(1));
        assert_eq!(at(1).get_version_num(), 7);
    }
}
