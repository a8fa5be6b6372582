//! What a guest may publish.

use super::*;

#[test]
fn outputs_come_in_order_with_what_they_hold() {
    let effects = completed(run("emit out one; key other k two; nullkey out three"));
    let seen: Vec<_> = effects
        .outputs
        .iter()
        .map(|o| (&*o.topic, o.key.as_deref(), o.value.as_deref().map(String::from_utf8_lossy)))
        .collect();
    assert_eq!(
        seen,
        [
            ("out", Some(b"key".as_slice()), Some("one".into())),
            ("other", Some(b"k"), Some("two".into())),
            ("out", None, Some("three".into()))
        ]
    );
}

#[test]
fn an_undeclared_topic_fails_the_event_by_name() {
    assert_failed(run("emit out fine; emit in loop"), Class::UndeclaredTopic, "`in`");
    assert_failed(run("emit Out x"), Class::UndeclaredTopic, "`Out`");
    assert_failed(run(&format!("emit {} x", "t".repeat(5000))), Class::UndeclaredTopic, "ttt…`");
}

#[test]
fn outputs_up_to_the_limit_are_published() {
    assert_eq!(completed(run("size out 262141")).outputs.len(), 1, "with its key of 3 bytes it is 256 KiB");
    assert_eq!(completed(run("count out 1024")).outputs.len(), 1024);
}

#[test]
fn too_many_bytes_fail_the_event() {
    assert_failed(run("size out 262142"), Class::OutputTooLarge, "262144 bytes");
    assert_failed(run("size out 20000000"), Class::OutputTooLarge, "`limits.output`");
    let small = case("size out 100; size out 100").with(|case| case.function.limits.output_bytes = 150);
    assert_failed(small.run(), Class::OutputTooLarge, "150 bytes");
}

#[test]
fn too_many_records_fail_the_event() {
    assert_failed(run("count out 1025"), Class::OutputTooLarge, "1025 records");
    assert_failed(run("count out 200000"), Class::OutputTooLarge, "");
}

#[test]
fn what_a_guest_asks_for_is_what_the_host_hears() {
    assert_failed(run("emit out lost; set a b; reject no such customer"), Class::Rejected, "no such customer");
    assert_eq!(run("emit out lost; set a b; retry later please"), Outcome::RetryAsked("later please".into()));
}
