//! Tracks which steps of a plan are done, and which may start.

use crate::manifest::Kind;

/// The state of each step of a plan, with its kind. An object is applied as soon as the kinds that it
/// needs are done, independent of all other steps.
#[derive(Clone, Debug)]
pub struct Progress {
    steps: Vec<(Kind, State)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    UnderWay,
    Done,
}

impl Progress {
    /// No step has started.
    pub fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self { steps: kinds.into_iter().map(|kind| (kind, State::Waiting)).collect() }
    }

    /// Starts the first step that may start, and returns its index.
    pub fn begin(&mut self) -> Option<usize> {
        let ready = |kind: Kind| {
            let holds = |(other, state): &(Kind, State)| {
                *state != State::Done && kind.needs().contains(other)
            };
            !self.steps.iter().any(holds)
        };
        let next =
            self.steps.iter().position(|(kind, state)| *state == State::Waiting && ready(*kind))?;
        self.steps[next].1 = State::UnderWay;
        Some(next)
    }

    /// Marks a started step as done.
    pub fn done(&mut self, step: usize) {
        self.steps[step].1 = State::Done;
    }

    /// The number of finished steps.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.steps.iter().filter(|(_, state)| *state == State::Done).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(progress: &mut Progress) -> Vec<usize> {
        std::iter::from_fn(|| progress.begin()).collect()
    }

    #[test]
    fn an_object_goes_out_as_soon_as_what_it_needs_is_there() {
        let mut progress = Progress::new([
            Kind::ServiceAccount,
            Kind::Role,
            Kind::RoleBinding,
            Kind::PersistentVolume,
            Kind::PersistentVolume,
            Kind::PersistentVolumeClaim,
            Kind::Service,
            Kind::StatefulSet,
        ]);
        assert_eq!(begun(&mut progress), [0, 1, 3, 4, 6]);
        progress.done(0);
        assert_eq!(begun(&mut progress), [0_usize; 0]);
        progress.done(1);
        assert_eq!(begun(&mut progress), [2], "the binding does not wait for the volumes");
        progress.done(3);
        assert_eq!(begun(&mut progress), [0_usize; 0], "one volume is not all volumes");
        progress.done(4);
        assert_eq!(begun(&mut progress), [5]);
        for step in [2, 5] {
            progress.done(step);
        }
        assert_eq!(begun(&mut progress), [0_usize; 0]);
        progress.done(6);
        assert_eq!(begun(&mut progress), [7]);
        assert_eq!(progress.finished(), 7);
    }
}
