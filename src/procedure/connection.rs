//! Describes how clients connect to a set.

use crate::context::Context;
use crate::postgres::address::Addresses;

/// What `up` shows at its end and `connect` prints: the addresses, and the commands that a client needs
/// next, with a label each.
pub(crate) fn rows(context: &Context, addresses: &Addresses<'_>) -> Vec<(&'static str, String)> {
    let mut rows = addresses.uris();
    rows.extend(addresses.commands(
        &context.sibling("password show"),
        &context.sibling("connect --ca-certificate"),
        &context.sibling("psql"),
    ));
    rows
}
