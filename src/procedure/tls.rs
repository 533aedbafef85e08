//! TLS of a set: which certificates there are to be, stage by stage to every pod.

mod follow;
mod recorded;
mod settle;
mod transition;

#[cfg(test)]
mod tests;

pub(crate) use recorded::{certificates_of, is_required, made_new, of_set, read_given, remember};
pub(crate) use settle::settle;
pub(crate) use transition::{Transition, transition};
