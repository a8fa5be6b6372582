//! The state as a guest sees it, and what comes back of it.

use fnhost::event::Change;

use super::*;

fn changes(pairs: &[(&str, Option<&str>)]) -> Vec<Change> {
    pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.map(|v| v.as_bytes().to_vec()))).collect()
}

#[test]
fn a_guest_reads_what_earlier_events_wrote() {
    let stored = case("get out a").with(|case| case.state = Pairs::of(&[("a", "1")]));
    assert_eq!(report(stored.run()), "1");
    assert_eq!(completed(run("get out a")).outputs[0].value, None);
}

#[test]
fn a_guest_reads_its_own_writes() {
    let rewritten = case("set a 2; get out a; delete a; get out a; set a; get out a")
        .with(|case| case.state = Pairs::of(&[("a", "1")]));
    let effects = completed(rewritten.run());
    let values: Vec<_> = effects.outputs.iter().map(|o| o.value.as_deref()).collect();
    assert_eq!(values, [Some(b"2".as_slice()), None, Some(b"")]);
    assert_eq!(effects.changes, changes(&[("a", Some(""))]), "one change a key, the last");
}

#[test]
fn changes_come_back_in_the_order_of_their_keys() {
    let effects = completed(run("set c 3; set a 1; delete d; set b 2"));
    assert_eq!(effects.changes, changes(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3")), ("d", None)]));
}

#[test]
fn a_scan_sees_the_guests_own_writes_over_what_is_stored() {
    let stored = Pairs::of(&[("a/1", "1"), ("a/2", "2"), ("a/3", "3"), ("b/1", "x")]);
    let scan = |script: &str| report(case(script).with(|case| case.state = stored.clone()).run());
    assert_eq!(scan("scan out a/ 10"), "a/1=1 a/2=2 a/3=3");
    assert_eq!(scan("set a/2 two; delete a/3; set a/4 4; scan out a/ 10"), "a/1=1 a/2=two a/4=4");
    assert_eq!(scan("scan out a/ 2"), "a/1=1 a/2=2");
    assert_eq!(scan("scan out a/ 2 a/2"), "a/3=3");
    assert_eq!(scan("scan out * 10"), "a/1=1 a/2=2 a/3=3 b/1=x");
    assert_eq!(scan("scan out a/ 0"), "");
}

#[test]
fn a_scan_gives_no_more_than_a_thousand_pairs_at_once_and_goes_on_from_the_last() {
    let many: BTreeMap<_, _> = (0..2500).map(|i| (format!("k{i:04}").into_bytes(), vec![b'x'])).collect();
    let stored = |script: &str| case(script).with(|case| case.state = Pairs(many.clone()));
    let first = report(stored("scan out k 4294967295").run());
    assert_eq!(first.split(' ').count(), 1024);
    assert!(first.starts_with("k0000=x ") && first.ends_with(" k1023=x"), "{first}");
    assert_eq!(report(stored("scan-all out k").run()), "2500");
}

#[test]
fn a_scan_gives_no_more_than_a_mebibyte_at_once_and_goes_on_from_the_last() {
    let large: BTreeMap<_, _> = (0..40).map(|i| (format!("k{i:04}").into_bytes(), vec![b'x'; 60_000])).collect();
    let stored = |script: &str| {
        case(script).with(|case| {
            case.state = Pairs(large.clone());
            case.function.limits.output_bytes = 4 << 20;
        })
    };
    assert_eq!(report(stored("scan out k 1000").run()).split(' ').count(), 17);
    assert_eq!(report(stored("scan-all out k").run()), "40");
}

#[test]
fn state_up_to_its_limits_is_kept() {
    assert_eq!(completed(run("set-key-size 1024")).changes[0].0.len(), 1024);
    assert_eq!(completed(run("set-size a 65536")).changes[0].1.as_ref().unwrap().len(), 65536);
    assert_eq!(completed(run("set-many k 1024; set-many k 1024")).changes.len(), 1024);
}

#[test]
fn state_beyond_its_limits_fails_the_event() {
    assert_failed(run("set-key-size 1025"), Class::StateTooLarge, "1025 bytes");
    assert_failed(run("set-key-size 0"), Class::StateTooLarge, "empty");
    assert_failed(run("set-size a 65537"), Class::StateTooLarge, "65537 bytes");
    assert_failed(run("set-many k 1025"), Class::StateTooLarge, "1024 keys");
    assert_failed(run(&format!("get out {}", "k".repeat(1025))), Class::StateTooLarge, "1025 bytes");
}

#[test]
fn a_guest_that_fails_after_a_write_leaves_nothing_behind() {
    for end in ["trap", "panic", "reject no", "exit 1", "recurse", "emit undeclared x", "grow 65536", "count out 1025"]
    {
        failed(run(&format!("set a b; emit out x; {end}")));
    }
}

#[test]
fn what_a_guest_folds_depends_on_what_it_stored_before() {
    let first = completed(run("fold out"));
    assert!(String::from_utf8_lossy(first.outputs[0].value.as_ref().unwrap()).starts_with("1 "));
    let stored = Pairs(first.changes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect());
    assert!(report(case("fold out").with(|case| case.state = stored).run()).starts_with("2 "));
}
