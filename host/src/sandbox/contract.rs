//! The contract and the part of WASI that functions see, as Rust, generated from `wit/` and `wasi.wit`.
//!
//! Resources are plain numbers here: a guest's stream is 1 for stdout and 2 for stderr, every pollable is 0. So no
//! table of resources has to be kept, bounded or cleared for an event.

#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: ["../wit", "src/sandbox/wasi.wit"],
    world: "fnhost:sandbox/component",
    imports: { default: trappable },
    ownership: Borrowing { duplicate_if_necessary: true },
});
