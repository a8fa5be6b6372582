//! All integration tests: one binary, one module a subject.
//!
//! Those that want a real Kafka get one from [`kafka::kafka`], or one of their own that they may kill.

// All of it is test code, helpers included, as far as lints are concerned.
#![cfg(test)]

mod admin;
mod artefacts;
mod cli;
mod conformance;
mod embedded;
mod guests;
mod ingress;
mod kafka;
mod manifest;
mod newcomer;
mod order_path;
mod readme;
mod sandbox;
mod scenarios;
mod schemas;
