//! The tests: one binary, a module each.

mod generated;
mod render;
