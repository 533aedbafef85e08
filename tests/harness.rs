//! Tests of the test harness itself.

mod proxy;
mod server;
