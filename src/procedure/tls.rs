//! TLS of a set: decides which certificates it should have, and takes every pod from stage to stage.

mod follow;
mod recorded;
mod settle;
mod transition;

#[cfg(test)]
mod tests;

pub(crate) use recorded::{certificates_of, is_required, made_new, of_set, read_given, remember};
pub(crate) use settle::settle;
pub(crate) use transition::{Transition, transition};
