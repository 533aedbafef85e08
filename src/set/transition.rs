//! The change of the master that is under way, as the topology records it. One line of words:
//! `ID KIND FROM TO STEP SINCE [POSITION TIMELINE]`. The pods read the first five: `standby_as_master` in `master.sh`.

use jiff::Timestamp;

use super::identity::SetIdentity;
use crate::error::{Exit, Failure};
use crate::values::Lsn;

/// How another pod becomes the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The master stops cleanly, and a replica that has everything takes over.
    Switchover,
    /// The master does not come back, and a replica that has most takes over. Until it is promoted, the pod that the
    /// record names as the new master is only the one that had most at first.
    Failover,
}

impl Kind {
    /// The kind with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Switchover, Self::Failover].into_iter().find(|kind| kind.word() == word)
    }

    /// The command, and the word in the record.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::Failover => "failover",
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// No pod is the master. The old one is fenced and stops. It can be undone.
    Fenced,
    /// The new master is decided. It can't be undone.
    Promoting,
}

impl Step {
    /// The word in the record.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Promoting => "promoting",
        }
    }
}

/// Where the WAL of the old master ends: the proof that the new master has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The position of its last record.
    pub position: Lsn,
    /// Its timeline.
    pub timeline: u32,
}

/// A change of the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Its id: in the fence file beside the old master's data.
    pub id: String,
    /// How another pod becomes the master.
    pub kind: Kind,
    /// The ordinal of the old master.
    pub from: u32,
    /// The ordinal of the new master.
    pub to: u32,
    /// How far it is.
    pub step: Step,
    /// When it began, by the clock of the machine that began it.
    pub since: Timestamp,
    /// Where the WAL of the old master ends. `None` until that is proved.
    pub end: Option<End>,
}

impl Transition {
    /// Reads the record. `None` if it is not one of a change that this pgset knows.
    #[must_use]
    pub fn parse(set: &SetIdentity, text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let id = words.next()?.to_owned();
        let kind = Kind::parse(words.next()?)?;
        let (from, to) = (set.ordinal(words.next()?)?, set.ordinal(words.next()?)?);
        let step = words.next()?;
        let step =
            [Step::Fenced, Step::Promoting].into_iter().find(|known| known.word() == step)?;
        let since = words.next()?.parse().ok()?;
        let end = match (words.next(), words.next()) {
            (None, None) => None,
            (position, timeline) => {
                Some(End { position: Lsn::parse(position?)?, timeline: timeline?.parse().ok()? })
            }
        };
        words.next().is_none().then_some(Self { id, kind, from, to, step, since, end })
    }

    /// What to say of it: `a switchover from pgset-0 to pgset-1 is not complete`.
    #[must_use]
    pub fn incomplete(&self, set: &SetIdentity) -> String {
        let (from, to) = (set.pod(self.from), set.pod(self.to));
        match (self.kind, self.step) {
            (Kind::Failover, Step::Fenced) => format!("a failover of {from} is not complete"),
            (kind, _) => format!("a {} from {from} to {to} is not complete", kind.word()),
        }
    }

    /// What to type next. `command` is the command line of [`Kind::word`] for this set.
    #[must_use]
    pub fn hints(&self, set: &SetIdentity, command: &str) -> Vec<String> {
        let mut hints = vec![format!("{command}  # completes it")];
        if self.step == Step::Fenced {
            hints.push(format!("{command} --back-out  # {} stays the master", set.pod(self.from)));
        }
        hints
    }

    /// The command that makes another pod the master, if the new one can't be promoted. `command` is `pgset failover`.
    #[must_use]
    pub fn instead(&self, set: &SetIdentity, command: &str) -> String {
        let other = match self.kind {
            Kind::Switchover => set.pod(self.from),
            Kind::Failover => "POD".to_owned(),
        };
        format!("{command} --to {other}  # if {} can't be promoted", set.pod(self.to))
    }

    /// The failure of a command that can't work meanwhile. `command` is as in [`Self::hints`].
    #[must_use]
    pub fn refusal(&self, set: &SetIdentity, command: &str) -> Failure {
        let failure = Failure::new(Exit::Refused, self.incomplete(set));
        self.hints(set, command).into_iter().fold(failure, Failure::hint)
    }

    /// The record.
    #[must_use]
    pub fn text(&self, set: &SetIdentity) -> String {
        let (from, to) = (set.pod(self.from), set.pod(self.to));
        let since = self.since.strftime("%Y-%m-%dT%H:%M:%SZ");
        let (kind, step) = (self.kind.word(), self.step.word());
        let text = format!("{} {kind} {from} {to} {step} {since}", self.id);
        match self.end {
            Some(end) => format!("{text} {} {}", end.position, end.timeline),
            None => text,
        }
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
        let begun = Transition {
            id: "t1".to_owned(),
            kind: Kind::Switchover,
            from: 0,
            to: 2,
            step: Step::Fenced,
            since: "2026-11-30T10:00:00Z".parse().unwrap(),
            end: None,
        };
        let text = begun.text(&set());
        assert_eq!(text, "t1 switchover my-set-0 my-set-2 fenced 2026-11-30T10:00:00Z");
        assert_eq!(Transition::parse(&set(), &text), Some(begun.clone()));
        let said = begun.incomplete(&set());
        assert_eq!(said, "a switchover from my-set-0 to my-set-2 is not complete");
        let hints = begun.hints(&set(), "pgset switchover");
        assert_eq!(hints[1], "pgset switchover --back-out  # my-set-0 stays the master");
        let end = Some(End { position: Lsn(0x300_0028), timeline: 7 });
        let proved = Transition { step: Step::Promoting, end, ..begun };
        let text = proved.text(&set());
        assert_eq!(proved.hints(&set(), "pgset switchover").len(), 1);
        let instead = proved.instead(&set(), "pgset failover");
        assert_eq!(instead, "pgset failover --to my-set-0  # if my-set-2 can't be promoted");
        let failover = Transition { kind: Kind::Failover, ..proved.clone() };
        assert!(failover.instead(&set(), "pgset failover").starts_with("pgset failover --to POD "));
        assert!(text.ends_with("promoting 2026-11-30T10:00:00Z 0/3000028 7"), "{text}");
        assert_eq!(Transition::parse(&set(), &text), Some(proved));
    }

    #[test]
    fn another_record_is_none() {
        for text in [
            "",
            "t1",
            "t1 upgrade my-set-0 my-set-2 fenced 2026-11-30T10:00:00Z",
            "t1 switchover my-set-0 other-2 fenced 2026-11-30T10:00:00Z",
            "t1 switchover my-set-0 my-set-2 done 2026-11-30T10:00:00Z",
            "t1 switchover my-set-0 my-set-2 fenced yesterday",
            "t1 switchover my-set-0 my-set-2 fenced 2026-11-30T10:00:00Z 0/3000028",
            "t1 switchover my-set-0 my-set-2 fenced 2026-11-30T10:00:00Z 0/3000028 1 more",
        ] {
            assert_eq!(Transition::parse(&set(), text), None, "{text:?}");
        }
    }
}
