//! The whole of it: orders posted over HTTP to real hosts, on a real Kafka, through the functions of the order path.
//!
//! Hosts are processes of the built binary, and are killed as `kill -9` does. What is asserted is read from Kafka as a
//! customer of its topics would read it: committed records only.

mod apps;
mod compose;
mod demo;
mod deployments;
mod dev;
mod embedded;
mod error_events;
mod events;
mod first_run;
mod groups;
mod hosts;
mod kills;
mod kpis;
mod operating;
mod orders;
mod outage;
mod raw;
mod refusals;
mod schedules;
mod shadows;
mod spans;
mod state;
mod swaps;
mod tools;
mod trials;
mod world;

pub(crate) use hosts::SUPERVISOR;
pub(crate) use world::{FNHOST, bounded, workspace};
