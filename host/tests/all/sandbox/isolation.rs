//! What a guest sees of the world: nothing but its event, and the same whenever it is asked.

use std::time::Instant;

use fnhost::event::{Class, Header};

use super::*;

#[test]
fn a_guest_that_sleeps_an_hour_returns_at_once_and_finds_that_an_hour_has_passed() {
    let begin = Instant::now();
    let effects = completed(run("clocks out; sleep 3600000; clocks out"));
    // Not a measurement: anything near an hour, or even a second, would be a real sleep.
    assert!(begin.elapsed() < Duration::from_secs(10));
    let ms = |i: usize| -> u64 {
        let report = String::from_utf8(effects.outputs[i].value.clone().unwrap()).unwrap();
        report.split(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(ms(1) - ms(0), 3_600_000);
}

#[test]
fn a_guest_that_waits_by_reading_the_clock_comes_to_an_end() {
    completed(run("spin 20"));
}

#[test]
fn time_begins_at_the_events_timestamp() {
    assert!(report(run("clocks out")).starts_with("1700000000123 "));
    let unstamped = case("clocks out").with(|case| case.event.timestamp_ms = None);
    assert!(report(unstamped.run()).starts_with("0 "));
}

#[test]
fn no_timestamp_is_too_late_to_run() {
    let late = case("clocks out; sleep 1000").with(|case| case.event.timestamp_ms = Some(u64::MAX));
    completed(late.run());
}

#[test]
fn random_numbers_repeat_with_the_seed_and_differ_without() {
    for step in ["random", "seed"] {
        let script = format!("{step} out");
        let first = report(run(&script));
        assert!(first.len() >= 16, "{first}");
        assert_eq!(report(run(&script)), first);
        let other = case(&script).with(|case| case.seed = [8; 32]);
        assert_ne!(report(other.run()), first);
    }
}

#[test]
fn the_same_event_gives_the_same_bytes() {
    let script = "random out; seed out; clocks out; see out; config-all out; set a b; scan out * 10";
    assert_eq!(run(script), run(script));
}

#[test]
fn a_guest_has_no_environment_and_no_arguments() {
    let seen = report(run("env out"));
    assert!(!seen.contains("PATH") && !seen.contains("fnhost"), "{seen}");
    assert_eq!(seen.matches("[]").count(), 2, "{seen}");
}

#[test]
fn a_guest_can_open_no_file() {
    for script in ["open out /etc/passwd", "open out .", "write out /tmp/x", "write out x"] {
        assert_ne!(report(run(script)), "opened", "{script}");
    }
}

#[test]
fn standard_input_is_empty() {
    assert_eq!(report(run("stdin out")), "0");
}

#[test]
fn a_guest_reads_its_functions_configuration_and_nothing_else() {
    assert_eq!(report(run("config out colour")), "blue");
    assert_eq!(report(run("config out PATH")), "none");
    assert_eq!(report(run("config-all out")), "answer=42 colour=blue");
}

#[test]
fn an_event_arrives_whole() {
    let seen = report(run("see out"));
    for part in ["topic=in", "timestamp=1700000000123", "key", "headers"] {
        assert!(seen.contains(part), "{seen}");
    }
    assert!(!seen.contains("42"), "a guest does not see the offset: {seen}");
}

#[test]
fn nulls_duplicate_headers_and_bytes_that_are_no_text_pass_through() {
    let header = |name: &str, value: Option<&[u8]>| Header { name: name.into(), value: value.map(<[u8]>::to_vec) };
    let headers = vec![
        header("h", Some(b"1")),
        header("h", Some(&[0xff, 0, 0xfe])),
        header("h", None),
        header("h", Some(b"")),
        header("", Some(b"unnamed")),
        header("größe", Some(b"x")),
    ];
    let original = case("echo out").with(|case| {
        case.event.key = Some(vec![0, 0xc3, 0x28, 0xff]);
        case.event.headers = headers.clone();
    });
    let effects = completed(original.run());
    assert_eq!(effects.outputs[0].key, original.event.key);
    assert_eq!(effects.outputs[0].value, original.event.value);
    assert_eq!(effects.outputs[0].headers, headers);

    let keyless = completed(case("echo out").with(|case| case.event.key = None).run());
    assert_eq!(keyless.outputs[0].key, None);
    let empty = completed(case("echo out").with(|case| case.event.key = Some(vec![])).run());
    assert_eq!(empty.outputs[0].key, Some(vec![]));

    let published = completed(run("null out"));
    assert_eq!((&published.outputs[0].key, &published.outputs[0].value), (&None, &None));
    let values: Vec<_> = published.outputs[0].headers.iter().map(|h| h.value.as_deref()).collect();
    assert_eq!(values, [Some(b"1".as_slice()), Some(b"2"), None, Some(b"")]);
}

#[test]
fn a_null_value_and_one_that_is_no_text_reach_the_guest() {
    completed(case("").with(|case| case.event.value = None).run());
    let binary = case("").with(|case| case.event.value = Some(vec![0xff, 0xfe, 0]));
    assert_failed(binary.run(), Class::Rejected, "UTF-8");
}

#[test]
fn nothing_of_one_event_is_left_for_the_next() {
    // Memory, state, random numbers, clock: the second run must not be able to tell that there was a first.
    let probe = "random out; clocks out; scan out * 10; fold out";
    let first = run(probe);
    run("set left behind; allocate 1000000; log 100; print 1000; sleep 5; fold out");
    failed(run("set left behind; panic"));
    failed(case("set left behind; loop").with(|case| case.function.limits.time = Duration::from_millis(5)).run());
    assert_eq!(run(probe), first);
}

#[test]
fn many_workers_call_one_version_at_once() {
    let alone = run("random out; see out; set a b");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(run("random out; see out; set a b"), alone);
                }
            });
        }
    });
}
