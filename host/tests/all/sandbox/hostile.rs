//! Components that no compiler makes: they break the rules of the component model itself, or use them to the full.

use super::*;

/// A component whose core module is `module`, which has to export `memory`, `realloc` and `handle`.
fn hostile(module: &str) -> Vec<u8> {
    component(&format!(
        r#"(component
            (import "fnhost:function/types@0.1.0" (instance $types
                (type $h (record (field "name" string) (field "value" (option (list u8)))))
                (export "header" (type $header (eq $h)))
                (type $e (record
                    (field "topic" string) (field "timestamp" (option u64)) (field "key" (option (list u8)))
                    (field "value" (option (list u8))) (field "headers" (list $header))))
                (export "event" (type $event (eq $e)))
                (type $o (record
                    (field "topic" string) (field "key" (option (list u8))) (field "value" (option (list u8)))
                    (field "headers" (list $header))))
                (export "output" (type $output (eq $o)))
                (type $f (variant (case "reject" string) (case "retry" string)))
                (export "failure" (type $failure (eq $f)))))
            (alias export $types "event" (type $event))
            (alias export $types "output" (type $output))
            (alias export $types "failure" (type $failure))
            (core module $m {module})
            (core instance $c (instantiate $m))
            (func $handle (param "event" $event) (result (result (list $output) (error $failure)))
                (canon lift (core func $c "handle") (memory (core memory $c "memory")) (realloc (core func $c "realloc"))))
            (instance $handler (export "handle" (func $handle)))
            (export "fnhost:function/handler@0.1.0" (instance $handler))
            (instance $extra)
            (export "example:beside/the-handler@1.0.0" (instance $extra)))"#
    ))
}

/// A module with 2 MiB, in which `handle` does `body` and returns what it leaves: where the result lies.
fn module(body: &str) -> String {
    with_parts(body, "(i32.const 4096)", "")
}

fn with_parts(handle: &str, realloc: &str, more: &str) -> String {
    format!(
        r#"(memory (export "memory") 32)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc})
        (func $handle (export "handle")
            (param i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (local $i i32)
            {handle})
        {more}"#
    )
}

fn run_module(module: &str) -> Outcome {
    let version = sandbox().load(&hostile(module)).unwrap();
    let quick = case("").with(|case| {
        case.function.limits.time = Duration::from_secs(2);
        case.function.limits.output_bytes = 1 << 20;
    });
    quick.run_on(&version)
}

/// Leaves `count` outputs to topic `out` at 65536, each with the same value of `bytes` bytes, and the result at 16.
fn same_value_many_times(count: u32, bytes: u32) -> String {
    format!(
        r#"(loop $next
            (i32.store (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 40))) (i32.const 8))
            (i32.store offset=4 (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 40))) (i32.const 3))
            (i32.store8 offset=20 (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 40))) (i32.const 1))
            (i32.store offset=28 (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 40))) (i32.const {bytes}))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const {count}))))
        (i32.store (i32.const 20) (i32.const 65536))
        (i32.store (i32.const 24) (i32.const {count}))
        (i32.store (i32.const 8) (i32.const 0x74756f)) (; "out" ;)
        (i32.const 16)"#
    )
}

#[test]
fn exports_beside_the_handler_are_tolerated() {
    let effects = completed(run_module(&module(&same_value_many_times(2, 10))));
    assert_eq!(effects.outputs.len(), 2);
    assert_eq!((&*effects.outputs[1].topic, effects.outputs[1].value.as_ref().unwrap().len()), ("out", 10));
}

/// The most memory that this process ever had, in bytes.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn a_value_returned_a_thousand_times_over_is_not_copied_a_thousand_times() {
    let before = peak_bytes();
    // 1,024 times 1.9 MB out of 2 MiB of memory.
    let outcome = run_module(&module(&same_value_many_times(1024, 1_900_000)));
    assert_failed(outcome, Class::OutputTooLarge, "`limits.output`");
    // Other tests run meanwhile, but none of them takes half a gigabyte.
    assert!(peak_bytes() - before < 512 << 20);
}

#[test]
fn a_result_that_lies_outside_the_memory_is_a_trap() {
    assert_failed(run_module(&module("(i32.const 0x7ffffff0)")), Class::Trapped, "");
    let far_list =
        "(i32.store (i32.const 20) (i32.const 0x70000000)) (i32.store (i32.const 24) (i32.const 5)) (i32.const 16)";
    assert_failed(run_module(&module(far_list)), Class::Trapped, "out of bounds");
    let long_list =
        "(i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const -1)) (i32.const 16)";
    assert_failed(run_module(&module(long_list)), Class::Trapped, "out of bounds");
}

#[test]
fn a_topic_that_is_no_text_is_a_trap() {
    let bytes = same_value_many_times(1, 1).replace("0x74756f", "0xffffff");
    assert_failed(run_module(&module(&bytes)), Class::Trapped, "utf-8");
}

#[test]
fn a_result_of_an_unknown_kind_is_a_trap() {
    assert_failed(run_module(&module("(i32.store8 (i32.const 16) (i32.const 7)) (i32.const 16)")), Class::Trapped, "");
}

#[test]
fn a_place_for_the_event_outside_the_memory_is_a_trap() {
    let outcome = run_module(&with_parts("(i32.const 16)", "(i32.const -16)", ""));
    assert_failed(outcome, Class::Trapped, "beyond end of memory");
    let outcome = run_module(&with_parts("(i32.const 16)", "(unreachable)", ""));
    assert_failed(outcome, Class::Trapped, "unreachable");
}

#[test]
fn a_stack_without_end_is_a_trap() {
    let recursion = "(func $again (call $again) (call $again))";
    let outcome = run_module(&with_parts("(call $again) (i32.const 16)", "(i32.const 4096)", recursion));
    assert_failed(outcome, Class::Trapped, "call stack exhausted");
}

#[test]
fn code_that_runs_before_the_handler_is_bounded_too() {
    let before = |body: &str| {
        let start = format!("(func $begin {body}) (start $begin)");
        run_module(&with_parts("(i32.const 16)", "(i32.const 4096)", &start))
    };
    assert_failed(before("(loop $ever (br $ever))"), Class::TimedOut, "2s");
    assert_failed(before("(unreachable)"), Class::Trapped, "unreachable");
    let grow = "(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then (unreachable)))";
    assert_failed(before(grow), Class::OutOfMemory, "`limits.memory`");
}

#[test]
fn a_place_for_the_event_that_never_comes_is_waited_for_no_longer_than_the_limit() {
    let endless = "(loop $ever (br $ever)) (i32.const 0)";
    assert_failed(run_module(&with_parts("(i32.const 16)", endless, "")), Class::TimedOut, "2s");
}

#[test]
fn a_table_does_not_grow_without_end() {
    let table = "(table $t 1 funcref) (func $grow (result i32) (table.grow $t (ref.null func) (i32.const 1000000)))";
    let body = "(if (i32.ne (call $grow) (i32.const -1)) (then (unreachable))) (i32.const 16)";
    completed(run_module(&with_parts(body, "(i32.const 4096)", table)));
}
