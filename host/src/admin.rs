//! stub
pub mod metrics;
pub mod status;
