//! The harness holds what it promises.

mod proxy;
mod server;
