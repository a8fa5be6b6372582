use crate::deploy::shadow::{Difference, TEXT_BYTES_MAX};
use crate::event::{Class, Effects, Failure, Header, Output};
use crate::worker::verdict::Verdict;

use super::compare::difference;
use super::*;

fn output(topic: &str, key: &str, value: &str) -> Output {
    Output { topic: topic.into(), key: Some(key.into()), value: Some(value.into()), headers: Vec::new() }
}

fn applied(outputs: &[Output], changes: &[(&str, Option<&str>)]) -> Verdict {
    let change = |(key, value): &(&str, Option<&str>)| (key.as_bytes().to_vec(), value.map(|v| v.as_bytes().to_vec()));
    Verdict::Apply(Effects { outputs: outputs.to_vec(), changes: changes.iter().map(change).collect() })
}

fn failed(class: Class, reason: &str) -> Verdict {
    Verdict::Fail { failure: Failure::new(class, reason), attempts: 1 }
}

/// What is said of two verdicts, in three lines.
fn said(one: &Verdict, other: &Verdict) -> String {
    match difference(one, other) {
        None => "the same".to_owned(),
        Some((difference, active, candidate)) => format!("{}\n{active}\n{candidate}", difference.name()),
    }
}

#[test]
fn what_differs_is_said_by_its_place() {
    let one = output("stock", "k", r#"{"data":{"left":7,"of":[1,2]},"id":"a"}"#);
    let with = |value: &str| applied(&[Output { value: Some(value.into()), ..one.clone() }], &[]);
    let active = applied(std::slice::from_ref(&one), &[("k", Some("1"))]);
    assert_eq!(said(&active, &active.clone()), "the same");
    let left = with(r#"{"data":{"left":8,"of":[1,2]},"id":"a"}"#);
    assert_eq!(said(&active, &left), "outputs\noutput 1 to `stock`, /data/left: 7\noutput 1 to `stock`, /data/left: 8");
    let of = with(r#"{"data":{"left":7,"of":[1]},"id":"a"}"#);
    assert_eq!(
        said(&active, &of),
        "outputs\noutput 1 to `stock`, /data/of/1: 2\noutput 1 to `stock`, /data/of/1: nothing"
    );
    let spaced = with(r#"{"data":{"left":7,"of":[1,2]}, "id":"a"}"#);
    assert!(said(&active, &spaced).starts_with("outputs\noutput 1 to `stock`, value: {"), "bytes count, not meaning");
    let keyed = applied(&[Output { key: None, ..one.clone() }], &[]);
    assert_eq!(said(&active, &keyed), "outputs\noutput 1 to `stock`, key: k\noutput 1 to `stock`, key: null");
    let header = Header { name: "h".into(), value: Some("1".into()) };
    let headed = applied(&[Output { headers: vec![header], ..one.clone() }], &[]);
    assert_eq!(said(&active, &headed), "outputs\noutput 1 to `stock`, headers: \noutput 1 to `stock`, headers: h=1");
    assert_eq!(
        said(&applied(&[], &[]), &applied(&[output("stock", "k", "text")], &[])),
        "outputs\nno output 1\noutput 1 to `stock`: text"
    );
    assert_eq!(
        said(&active, &applied(std::slice::from_ref(&one), &[("k", None)])),
        "state\nkey k set to 1\nkey k deleted"
    );
    assert_eq!(
        said(&active, &failed(Class::Rejected, "no stock")),
        "verdict\napplied, 1 outputs and 1 changes of state\nfailed, rejected: no stock"
    );
}

#[test]
fn a_rejection_counts_word_by_word_and_a_trap_only_as_one() {
    assert_eq!(said(&failed(Class::Trapped, "at 0x12"), &failed(Class::Trapped, "at 0x34")), "the same");
    assert!(said(&failed(Class::Rejected, "a"), &failed(Class::Rejected, "b")).starts_with("verdict\n"));
    assert!(said(&failed(Class::TimedOut, "a"), &failed(Class::Trapped, "a")).starts_with("verdict\n"));
}

#[test]
fn a_long_text_is_cut() {
    let long = "ö".repeat(TEXT_BYTES_MAX);
    let (difference, active, candidate) =
        difference(&applied(&[output("t", "k", &long)], &[]), &applied(&[output("t", "k", "short")], &[])).unwrap();
    assert_eq!(difference, Difference::Outputs);
    assert!(active.len() <= TEXT_BYTES_MAX && active.ends_with('…'), "{active}");
    assert_eq!(candidate, "output 1 to `t`, value: short");
}

#[test]
fn a_worker_waits_for_candidates_a_twentieth_of_its_time_at_most() {
    let mut allowance = Allowance::default();
    let at = Duration::from_millis;
    assert_eq!(allowance.left(at(100)), Some(at(5)));
    allowance.spend(at(5));
    assert_eq!(allowance.left(at(100)), Some(at(0)));
    // A candidate that could not be stopped: nothing is left until that is earned again.
    allowance.spend(at(250));
    assert_eq!(allowance.left(at(1100)), None);
    assert_eq!(allowance.left(at(5200)), Some(at(5)));
    assert_eq!(allowance.left(at(1_000_000)), Some(SAVED_MAX), "what is not used does not pile up");
}

#[test]
fn a_candidate_sees_what_is_committed_and_what_the_active_version_changed_before() {
    let mut store = Store::default();
    let change = |key: &str, value: &str| (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
    store.lay(vec![change("a", "1"), change("b", "2")], 0);
    store.apply(None, 0);
    // All of the batch lies over the store by now, what comes later too.
    store.lay(vec![change("a", "later"), change("c", "later")], 1);
    let changes = [change("b", "3"), (b"a".to_vec(), None)].into_iter().collect();
    let view = Changed { store: Arc::new(store), changes };
    assert_eq!((view.get(b"a"), view.get(b"b"), view.get(b"c")), (None, Some(&b"3"[..]), None));
    let own = BTreeMap::from([(b"d".to_vec(), Some(b"4".to_vec()))]);
    assert_eq!(view.scan(b"", None, 9, &own), [(b"b".to_vec(), b"3".to_vec()), (b"d".to_vec(), b"4".to_vec())]);
    assert_eq!(view.scan(b"", Some(b"b"), 9, &own), [(b"d".to_vec(), b"4".to_vec())]);
}
