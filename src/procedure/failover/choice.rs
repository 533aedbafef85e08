//! Which replica becomes the master after a failover, and what that costs. Pure.

use super::evidence::Replica;
use crate::postgres::replication::Lsn;
use crate::set::transition::End;

/// A replica that has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) ordinal: u32,
    /// Where its WAL ends.
    pub(crate) end: End,
    /// When it last heard from the master, and when it was asked: seconds since 1970.
    pub(crate) contact: Option<(i64, i64)>,
    /// How much WAL it keeps for others, in bytes.
    pub(crate) keeps: u64,
}

/// The replicas that have data.
#[must_use]
pub(crate) fn candidates(replicas: &[Replica]) -> Vec<Candidate> {
    let candidate = |replica: &Replica| {
        let standing = replica.standing.as_ref().ok()?;
        let end = End { position: standing.end()?, timeline: standing.timeline? };
        let (contact, keeps) = (standing.contact, standing.keeps);
        Some(Candidate { ordinal: replica.ordinal, end, contact, keeps })
    };
    replicas.iter().filter_map(candidate).collect()
}

/// What makes one have more than another: its timeline, then its position.
fn more(end: End) -> (u32, Lsn) {
    (end.timeline, end.position)
}

/// The new master, and what becomes of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) to: Candidate,
    /// The replicas that have more than the new master. They can't follow it.
    pub(crate) ahead: Vec<u32>,
    /// The replicas that are so far behind that the new master may not keep the WAL that they need.
    pub(crate) cloned: Vec<u32>,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoChoice {
    /// No replica has data, or none answers.
    NoReplica,
    /// The pod that the user wants does not answer, or has no data.
    NotThis(u32),
    /// The pod that the user wants has less than this one.
    Less {
        /// The pod that the user wants.
        wanted: Candidate,
        /// The one that has most.
        most: Candidate,
    },
}

/// Chooses the replica that has most, and the lowest ordinal of those. `wanted` is the pod that the user wants, and
/// `less` whether it may have less than another.
///
/// # Errors
/// When there is no replica that may become the master.
pub(crate) fn choose(
    candidates: &[Candidate],
    wanted: Option<u32>,
    less: bool,
) -> Result<Choice, NoChoice> {
    let most = candidates.iter().rev().max_by_key(|it| more(it.end)).ok_or(NoChoice::NoReplica)?;
    let to = match wanted {
        None => most,
        Some(wanted) => {
            let found = candidates.iter().find(|it| it.ordinal == wanted);
            found.ok_or(NoChoice::NotThis(wanted))?
        }
    };
    if more(to.end) < more(most.end) && !less {
        return Err(NoChoice::Less { wanted: *to, most: *most });
    }
    let others = || candidates.iter().filter(|it| it.ordinal != to.ordinal);
    let ahead = others().filter(|it| more(it.end) > more(to.end)).map(|it| it.ordinal).collect();
    let far = |it: &&Candidate| {
        it.end.timeline == to.end.timeline
            && to.end.position.0.saturating_sub(it.end.position.0) > to.keeps
    };
    let cloned = others().filter(far).map(|it| it.ordinal).collect();
    Ok(Choice { to: *to, ahead, cloned })
}

/// What may be missing on the new master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing that was acknowledged: this number of replicas had to confirm each commit, and one of the replicas that were
    /// asked has it.
    NothingAcknowledged {
        /// How many replicas had to confirm each commit.
        synchronous: u32,
    },
    /// What was acknowledged after the last contact.
    AfterContact,
}

/// Decides what may be missing. `replicas` is how many replicas the set has, and `asked` how many of them answered.
#[must_use]
pub(crate) fn missing(choice: &Choice, synchronous: u32, replicas: u32, asked: u32) -> Missing {
    // A commit is on `synchronous` of the replicas. Of more than the others, one has it.
    let enough = synchronous > 0 && asked > replicas.saturating_sub(synchronous);
    if enough && choice.ahead.is_empty() {
        return Missing::NothingAcknowledged { synchronous };
    }
    Missing::AfterContact
}

/// Whether the new master has everything that the old one wrote. Both ends are last records.
#[must_use]
pub(crate) fn has_all(choice: &Choice, old: End) -> bool {
    let to = choice.to.end;
    to.timeline >= old.timeline && to.position >= old.position && choice.ahead.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(ordinal: u32, timeline: u32, position: u64) -> Candidate {
        let end = End { position: Lsn(position), timeline };
        Candidate { ordinal, end, contact: None, keeps: 100 }
    }

    #[test]
    fn the_replica_that_has_most_is_chosen() {
        let three = [candidate(1, 1, 900), candidate(2, 1, 950), candidate(3, 1, 950)];
        let choice = choose(&three, None, false).unwrap();
        assert_eq!((choice.to.ordinal, choice.ahead), (2, vec![]));
        assert!(choice.cloned.is_empty());
        // A later timeline has more, whatever the position.
        let two = [candidate(1, 2, 10), candidate(2, 1, 950)];
        assert_eq!(choose(&two, None, false).unwrap().to.ordinal, 1);
        // One that is far behind needs a clone.
        let two = [candidate(1, 1, 950), candidate(2, 1, 849)];
        assert_eq!(choose(&two, None, false).unwrap().cloned, [2]);
        assert_eq!(choose(&[], None, false), Err(NoChoice::NoReplica));
    }

    #[test]
    fn one_that_has_less_needs_consent() {
        let two = [candidate(1, 1, 950), candidate(2, 1, 900)];
        let less = NoChoice::Less { wanted: two[1], most: two[0] };
        assert_eq!(choose(&two, Some(2), false), Err(less));
        let choice = choose(&two, Some(2), true).unwrap();
        assert_eq!((choice.to.ordinal, choice.ahead), (2, vec![1]));
        assert_eq!(choose(&two, Some(3), true), Err(NoChoice::NotThis(3)));
        // The same position is not less.
        let two = [candidate(1, 1, 950), candidate(2, 1, 950)];
        assert_eq!(choose(&two, Some(2), false).unwrap().to.ordinal, 2);
    }

    #[test]
    fn what_is_missing_follows_from_what_is_known() {
        let two = [candidate(1, 1, 950), candidate(2, 1, 900)];
        let best = choose(&two, None, false).unwrap();
        assert_eq!(missing(&best, 0, 2, 2), Missing::AfterContact);
        let acknowledged = Missing::NothingAcknowledged { synchronous: 1 };
        assert_eq!(missing(&best, 1, 2, 2), acknowledged);
        // The replica that did not answer may be the one that confirmed.
        assert_eq!(missing(&best, 1, 2, 1), Missing::AfterContact);
        let both = Missing::NothingAcknowledged { synchronous: 2 };
        assert_eq!(missing(&best, 2, 2, 1), both);
        let end = |position| End { position: Lsn(position), timeline: 1 };
        assert!(has_all(&best, end(950)) && !has_all(&best, end(951)));
        let worse = choose(&two, Some(2), true).unwrap();
        assert_eq!(missing(&worse, 1, 2, 2), Missing::AfterContact);
    }
}
