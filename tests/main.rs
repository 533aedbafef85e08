//! The tests: one binary, a module each.
