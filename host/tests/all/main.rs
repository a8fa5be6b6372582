//! All integration tests: one binary, one module a subject.
//!
//! Those that want a real Kafka get one from [`kafka::kafka`].

mod conformance;
mod kafka;
