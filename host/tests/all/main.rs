//! All integration tests: one binary, so that they are linked once.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics, and so do its helpers"
)]

mod admin;
mod ingress;
