//! What a guest can do to the host: nothing. Every excess ends the event, with a class that says which.

use fnhost::event::Class;

use super::*;

#[test]
fn a_trap_fails_the_event() {
    assert_failed(run("trap"), Class::Trapped, "unreachable");
}

#[test]
fn a_panics_message_is_in_the_reason() {
    let failure = failed(run("panic the \u{1b}[31msky fell"));
    assert_eq!(failure.class, Class::Trapped);
    assert!(failure.reason.contains("unreachable"), "{}", failure.reason);
    assert!(failure.reason.contains("the \\u{1b}[31msky fell"), "{}", failure.reason);
}

#[test]
fn a_reason_stays_short_whatever_the_guest_says() {
    let long = "long ".repeat(10_000);
    assert_failed(run(&format!("panic {long}")), Class::Trapped, "unreachable");
    assert_failed(run(&format!("reject {long}")), Class::Rejected, "long long");
    match run(&format!("retry {long}")) {
        Outcome::RetryAsked(reason) => assert!(reason.len() < 2100, "{}", reason.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_guest_that_ends_its_process_traps() {
    assert_failed(run("abort"), Class::Trapped, "");
    assert_failed(run("exit 0"), Class::Trapped, "it called exit");
    assert_failed(run("exit 3"), Class::Trapped, "it called exit");
}

#[test]
fn endless_recursion_is_a_trap_and_the_process_lives() {
    // Its own stack is full before the engine's is.
    assert_failed(run("recurse"), Class::Trapped, "out of bounds memory access");
    completed(run(""));
}

#[test]
fn a_guest_that_never_returns_is_timed_out() {
    let endless = case("loop").with(|case| case.function.limits.time = Duration::from_millis(20));
    assert_failed(endless.run(), Class::TimedOut, "20ms");
}

#[test]
fn a_guest_that_waits_for_ever_by_reading_the_clock_is_timed_out() {
    let endless = case("spin 360000000").with(|case| case.function.limits.time = Duration::from_millis(20));
    assert_failed(endless.run(), Class::TimedOut, "`limits.time`");
}

#[test]
fn a_guest_that_is_just_slow_is_not_timed_out() {
    completed(run("burn 10000000"));
}

#[test]
fn a_guest_that_wants_four_gibibytes_is_out_of_memory() {
    assert_failed(run("grow 65536"), Class::OutOfMemory, "`limits.memory`");
    assert_failed(run("allocate 2000000000"), Class::OutOfMemory, "33554432 are the most");
}

#[test]
fn all_memory_that_was_granted_can_be_used() {
    completed(run("allocate 20000000"));
    let mebibytes: usize = report(run("allocate-all out")).parse().unwrap();
    assert!((24..32).contains(&mebibytes), "{mebibytes} of 32 MiB");
}

#[test]
fn a_guest_that_needs_more_memory_than_it_is_granted_does_not_begin() {
    let small = case("").with(|case| case.function.limits.memory_bytes = 64 << 10);
    assert_failed(small.run(), Class::OutOfMemory, "65536 are the most");
}

#[test]
fn a_trap_that_has_nothing_to_do_with_memory_is_no_lack_of_memory() {
    assert_failed(run("allocate 1000000; trap"), Class::Trapped, "unreachable");
}

#[test]
fn failures_leave_the_pool_as_it_was() {
    for _ in 0..40 {
        assert_failed(run("trap"), Class::Trapped, "unreachable");
        failed(run("allocate 2000000000"));
        completed(run("emit out x"));
    }
}
