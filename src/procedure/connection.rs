//! How clients connect to a set, in words.

use crate::context::Context;
use crate::postgres::address::Addresses;

/// What `up` says at its end, and `connect` prints.
pub(crate) fn human(context: &Context, addresses: &Addresses<'_>) -> String {
    addresses.human(
        &context.sibling("password show"),
        &context.sibling("connect --ca-certificate"),
        &context.sibling("psql"),
    )
}
