//! The tests: one binary, a module each.

mod e2e;
mod forgotten;
mod harness;
mod scripted;
mod support;
