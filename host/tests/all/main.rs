//! All integration tests: one binary, one module a subject.
//!
//! Those that want a real Kafka get one from [`kafka::kafka`].

// All of it is test code, helpers included, as far as lints are concerned.
#![cfg(test)]

mod conformance;
mod kafka;
