//! All integration tests: one binary, one module a subject.

// All of it is test code, helpers included, as far as lints are concerned.
#![cfg(test)]

mod cli;
mod manifest;
mod schemas;
