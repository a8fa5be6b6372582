//! Tests of the host as a whole, one binary: each module is a part of it.

mod guests;
mod sandbox;
