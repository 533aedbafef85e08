//! What asks the bootstrap of a pod to replace its data directory: a record in the topology.

use super::SetIdentity;

/// A request of `pgset rejoin`. It counts in its epoch only, and once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The pod's ordinal.
    pub ordinal: u32,
    /// The epoch in which it counts.
    pub epoch: u64,
    /// Tells one request from the next one. The bootstrap writes it beside the data when it has done it.
    pub id: String,
    /// Whether any directory is replaced, also one that has not diverged.
    pub clone: bool,
}

impl Request {
    /// Reads the record. `None` if it is not that of a request, or of another set.
    #[must_use]
    pub fn parse(set: &SetIdentity, text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let ordinal = set.ordinal(words.next()?)?;
        let epoch = words.next()?.parse().ok()?;
        let id = words.next()?.to_owned();
        let clone = match words.next() {
            None => false,
            Some("clone") => true,
            Some(_) => return None,
        };
        words.next().is_none().then_some(Self { ordinal, epoch, id, clone })
    }

    /// The record. See `set_aside` in replica.sh, which reads it.
    #[must_use]
    pub fn text(&self, set: &SetIdentity) -> String {
        let text = format!("{} {} {}", set.pod(self.ordinal), self.epoch, self.id);
        if self.clone { text + " clone" } else { text }
    }

    /// Whether both ask for the same.
    #[must_use]
    pub fn asks_as(&self, other: &Self) -> bool {
        let asks = |it: &Self| (it.ordinal, it.epoch, it.clone);
        asks(self) == asks(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_back() {
        let set = SetIdentity { name: "my-set".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let request = Request { ordinal: 2, epoch: 7, id: "r1".to_owned(), clone: true };
        assert_eq!(request.text(&set), "my-set-2 7 r1 clone");
        let diverged = Request { clone: false, id: "r2".to_owned(), ..request.clone() };
        assert_eq!(diverged.text(&set), "my-set-2 7 r2");
        for it in [&request, &diverged] {
            assert_eq!(Request::parse(&set, &it.text(&set)).as_ref(), Some(it));
        }
        assert!(!request.asks_as(&diverged));
        assert!(request.asks_as(&Request { id: "r3".to_owned(), ..request.clone() }));
        for text in ["", "my-set-2 7", "other-2 7 r1", "my-set-2 x r1", "my-set-2 7 r1 clone more"]
        {
            assert_eq!(Request::parse(&set, text), None, "{text:?}");
        }
    }
}
