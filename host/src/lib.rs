//! fnhost runs event handlers as sandboxed WebAssembly components on Apache Kafka: one event in, one transaction out.
//!
//! The modules in the order that an event meets them:
//!
//! - [`app`]: what is to run, from `app.toml`.
//! - [`event`]: the types that cross module borders; [`invocation`]: the one between worker and sandbox.
//! - [`form`]: events as people write and read them in JSON.
//! - [`ingress`]: HTTP requests become events.
//! - [`broker`]: the seam to what holds topics, and behind it Apache Kafka, or one file.
//! - [`worker`]: one thread, one membership, its partitions: poll, handle, commit.
//! - [`sandbox`]: a component in a fresh instance for every event.
//! - [`scenario`]: functions without a broker: what becomes of events, held against what is expected.
//! - [`deploy`]: which version of each function is active.
//! - [`schedule`]: slots of time become events.
//! - [`spans`]: what is recorded of traces, on its way to a collector.
//! - [`admin`]: health, metrics, functions and events over HTTP, for operators.
//! - [`cli`] and [`config`]: the command line, and everything that is read from the environment.

pub mod admin;
pub mod app;
pub mod broker;
pub mod cli;
pub mod config;
pub mod deploy;
pub mod event;
pub mod form;
pub mod ingress;
pub mod invocation;
pub mod sandbox;
pub mod scenario;
pub mod schedule;
pub mod spans;
mod sync;
pub mod worker;
