//! stub
use std::time::Duration;
use crate::event::Class;
/// v
pub enum Verdict { /// a
 Applied, /// f
 Failed(Class) }
/// t
pub enum TransactionResult { /// c
 Committed, /// a
 Again, /// s
 Stale, /// r
 Refused, /// o
 Over }
/// m
pub struct Metrics;
impl Metrics { /// t
 pub fn transaction(&self, _took: Duration, _r: TransactionResult) {} /// b
 pub fn batch(&self, _e: usize, _b: usize) {} /// r
 pub fn restored(&self, _r: usize, _t: Duration) {} }
/// f
#[derive(Clone)]
pub struct FunctionMetrics;
impl FunctionMetrics { /// e
 pub fn event(&self, _v: Verdict) {} /// i
 pub fn invocation(&self, _t: Duration) {} /// r
 pub fn retry(&self) {} }
