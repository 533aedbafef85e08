//! How the current master became the master, as the topology records it: `KIND FROM TO WHEN TIMELINE`. The last step of a
//! change of the master writes it. Nothing decides by it: it is only shown.

use jiff::Timestamp;

use super::identity::SetIdentity;
use super::transition::{Kind, Transition};

/// The last change of the master that was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastChange {
    /// How it was done.
    pub kind: Kind,
    /// The ordinal of the old master.
    pub from: u32,
    /// The ordinal of the new master.
    pub to: u32,
    /// When the new master was promoted, by the clock of the machine that promoted it.
    pub when: Timestamp,
    /// The timeline of the new master.
    pub timeline: u32,
}

impl LastChange {
    /// What a transition leaves when its new master is promoted.
    #[must_use]
    pub fn of(transition: &Transition, when: Timestamp, timeline: u32) -> Self {
        let Transition { kind, from, to, .. } = *transition;
        Self { kind, from, to, when, timeline }
    }

    /// Reads the record. `None` if it is not one that this pgset knows.
    #[must_use]
    pub fn parse(set: &SetIdentity, text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let kind = Kind::parse(words.next()?)?;
        let (from, to) = (set.ordinal(words.next()?)?, set.ordinal(words.next()?)?);
        let when = words.next()?.parse().ok()?;
        let timeline = words.next()?.parse().ok()?;
        words.next().is_none().then_some(Self { kind, from, to, when, timeline })
    }

    /// The record.
    #[must_use]
    pub fn text(&self, set: &SetIdentity) -> String {
        let (from, to) = (set.pod(self.from), set.pod(self.to));
        let when = self.when.strftime("%Y-%m-%dT%H:%M:%SZ");
        format!("{} {from} {to} {when} {}", self.kind.word(), self.timeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "my-set".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    #[test]
    fn a_record_is_read_back() {
        let begun = "t1 switchover my-set-0 my-set-2 promoting 2026-11-30T09:59:58Z 0/3000028 2";
        let begun = Transition::parse(&set(), begun).unwrap();
        let when = "2026-11-30T10:00:00.7Z".parse().unwrap();
        let text = LastChange::of(&begun, when, 3).text(&set());
        assert_eq!(text, "switchover my-set-0 my-set-2 2026-11-30T10:00:00Z 3");
        let read = LastChange::parse(&set(), &text).unwrap();
        assert_eq!((read.kind, read.from, read.to, read.timeline), (Kind::Switchover, 0, 2, 3));
        assert_eq!(read.text(&set()), text);
    }

    #[test]
    fn another_record_is_none() {
        for text in [
            "",
            "switchover my-set-0 my-set-2 2026-11-30T10:00:00Z",
            "upgrade my-set-0 my-set-2 2026-11-30T10:00:00Z 3",
            "switchover my-set-0 other-2 2026-11-30T10:00:00Z 3",
            "switchover my-set-0 my-set-2 yesterday 3",
            "switchover my-set-0 my-set-2 2026-11-30T10:00:00Z three",
            "switchover my-set-0 my-set-2 2026-11-30T10:00:00Z 3 more",
        ] {
            assert_eq!(LastChange::parse(&set(), text), None, "{text:?}");
        }
    }
}
