//! Steps that a well-behaved function does not take.

use std::hint::black_box;
use std::process;
use std::time::{Duration, Instant};

use fnhost_sdk::bindings::fnhost::function::types::Failure;

use crate::script::Step;

pub(crate) fn run(step: &Step<'_>) -> Result<bool, Failure> {
    match step.command {
        "trap" => trap(),
        #[expect(clippy::panic, reason = "it is what the step is for")]
        "panic" => panic!("{}", step.text()),
        "abort" => process::abort(),
        "exit" => process::exit(step.number(0)?),
        "loop" => loop {
            black_box(());
        },
        "recurse" => {
            black_box(recurse(0));
        }
        "allocate" => {
            black_box(vec![1_u8; step.number(0)?]);
        }
        "grow" => grow(step.number(0)?),
        "sleep" => std::thread::sleep(Duration::from_millis(step.number(0)?)),
        "spin" => {
            let (start, span) = (Instant::now(), Duration::from_millis(step.number(0)?));
            while start.elapsed() < span {}
        }
        "burn" => {
            for number in 0..step.number::<u64>(0)? {
                black_box(number);
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

#[cfg(target_family = "wasm")]
fn trap() -> ! {
    std::arch::wasm32::unreachable()
}

#[cfg(not(target_family = "wasm"))]
fn trap() -> ! {
    process::abort()
}

#[cfg(target_family = "wasm")]
fn grow(pages: usize) {
    if std::arch::wasm32::memory_grow::<0>(pages) == usize::MAX {
        trap();
    }
}

#[cfg(not(target_family = "wasm"))]
fn grow(_pages: usize) {}

fn recurse(depth: u64) -> u64 {
    // Something on the stack, that is needed after the call.
    let frame = black_box([depth; 16]);
    if depth == u64::MAX {
        return depth;
    }
    recurse(depth + 1).wrapping_add(frame.iter().sum())
}
