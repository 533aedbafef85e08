//! Describes how clients connect to a set.

use crate::context::Context;
use crate::postgres::address::Addresses;

/// The text that `up` shows at its end and `connect` prints.
pub(crate) fn human(context: &Context, addresses: &Addresses<'_>) -> String {
    addresses.human(
        &context.sibling("password show"),
        &context.sibling("connect --ca-certificate"),
        &context.sibling("psql"),
    )
}
