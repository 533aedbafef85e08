//! What a pod knows about the topology: the file `.role` beside its data directory.

use serde::Serialize;

/// The file `.role` beside a data directory: `IDENTIFIER EPOCH MASTER`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Knowledge {
    /// PostgreSQL's system identifier.
    pub system_identifier: String,
    /// The epoch.
    pub epoch: u64,
    /// The name of the pod that is the master of the epoch.
    pub master: String,
}

impl Knowledge {
    /// Reads the file. `None` if it is empty or is none of pgset's.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let system_identifier = words.next()?.to_owned();
        let epoch = words.next()?.parse().ok()?;
        let master = words.next()?.to_owned();
        let is_number = system_identifier.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && words.next().is_none()).then_some(Self { system_identifier, epoch, master })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_pod_is_read() {
        let read = Knowledge::parse("77 2 pgset-1\n").unwrap();
        assert_eq!((read.system_identifier.as_str(), read.epoch), ("77", 2));
        assert_eq!(read.master, "pgset-1");
        for text in ["", "77", "77 2", "x 2 pgset-1", "77 two pgset-1", "77 2 pgset-1 more"] {
            assert_eq!(Knowledge::parse(text), None, "{text:?}");
        }
    }
}
