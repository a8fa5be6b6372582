//! stub
use crate::event::Partition;
use std::collections::BTreeMap;
/// p
pub enum Phase { /// j
 Joining, /// r
 Restoring, /// r
 Running, /// a
 Away, /// o
 Over }
/// w
#[derive(Clone)]
pub struct WorkerStatus;
impl WorkerStatus { /// b
 pub fn beat(&self) {} /// p
 pub fn set_phase(&self, _p: Phase) {} /// p
 pub fn set_partitions(&self, _p: impl IntoIterator<Item=Partition>) {} /// s
 pub fn set_stopped(&self, _s: BTreeMap<Partition, String>) {} }
