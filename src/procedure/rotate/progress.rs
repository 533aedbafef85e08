//! How far a rotation has come: what the Secret stores, and what this run has done. Pure.

use crate::procedure::Next;
use crate::values::Secret;

/// What the Secret stores of one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// The password in force.
    pub(super) current: Option<Secret>,
    /// A new password that a rotation stores beside it until PostgreSQL and all clients have it.
    pub(super) pending: Option<Secret>,
}

/// What a run remembers.
#[derive(Clone)]
pub(super) struct Progress {
    given: Option<Secret>,
    generated: Secret,
    /// The new password. Chosen after the Secret is read.
    chosen: Option<Secret>,
    /// Whether the replicas had replayed everything before the first change.
    caught_up: bool,
    /// The password that PostgreSQL was given.
    altered: Option<Secret>,
    /// The password that the replicas have, too.
    replayed: Option<Secret>,
    /// The password that a login has succeeded with.
    proved: Option<Secret>,
}

/// The facts that the next step depends on.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact that the next step depends on")]
pub(super) struct Facts {
    /// Whether the replicas had replayed everything before the first change.
    caught_up: bool,
    /// Whether the Secret stores the new password as pending.
    kept: bool,
    /// Whether PostgreSQL has the new password.
    altered: bool,
    /// Whether the replicas have it, too.
    replayed: bool,
    /// Whether the new password is the current one in the Secret.
    in_force: bool,
    /// Whether a login with the new password has succeeded.
    proved: bool,
    /// Whether the rotation is complete.
    cleared: bool,
}

/// A step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait until the replicas have replayed what the master has written. Nothing is changed as long as a replica
    /// could not replay the new password, because then neither password would work everywhere.
    CatchUp,
    /// Store the new password in the Secret as pending.
    Keep,
    /// Change the password in PostgreSQL.
    Alter,
    /// Wait until the replicas have replayed the change: clients log in to them, too.
    Replay,
    /// Make it the current password in the Secret. It also stays pending, because not every pod has it yet.
    Promote,
    /// Log in with it. For the replication role, first write it to each pod's passfile.
    Prove,
    /// Remove the pending password: the rotation is complete.
    Clear,
}

impl Progress {
    pub(super) fn new(given: Option<Secret>, generated: Secret) -> Self {
        Self {
            given,
            generated,
            chosen: None,
            caught_up: false,
            altered: None,
            replayed: None,
            proved: None,
        }
    }

    /// Chooses the new password, unless this run has chosen it: the given one, or the pending one of an interrupted
    /// rotation, or the generated one. Whether an interrupted rotation continues.
    pub(super) fn choose(&mut self, stored: &Stored) -> bool {
        if self.chosen.is_none() {
            self.chosen = self.given.clone().or_else(|| stored.pending.clone());
        }
        let foreign = stored.pending.as_ref().is_some_and(|pending| *pending != self.generated);
        self.given.is_none() && foreign
    }

    /// The new password.
    pub(super) fn password(&self) -> &Secret {
        self.chosen.as_ref().unwrap_or(&self.generated)
    }

    /// The replicas have replayed what the master has written.
    pub(super) fn caught_up(&mut self) {
        self.caught_up = true;
    }

    /// PostgreSQL has the new password.
    pub(super) fn altered(&mut self) {
        self.altered = Some(self.password().clone());
    }

    /// Whether PostgreSQL was given a password.
    pub(super) fn has_altered(&self) -> bool {
        self.altered.is_some()
    }

    /// The replicas have the new password.
    pub(super) fn replayed(&mut self) {
        self.replayed = Some(self.password().clone());
    }

    /// A login with the new password has succeeded.
    pub(super) fn proved(&mut self) {
        self.proved = Some(self.password().clone());
    }

    /// Another client has changed the Secret, maybe another rotation: everything is done again.
    pub(super) fn start_again(&mut self) {
        self.chosen = None;
        self.altered = None;
        self.replayed = None;
        self.proved = None;
    }

    pub(super) fn facts(&self, stored: &Stored) -> Facts {
        let is_new = |password: &Option<Secret>| password.as_ref() == Some(self.password());
        let (in_force, proved) = (is_new(&stored.current), is_new(&self.proved));
        Facts {
            caught_up: self.caught_up,
            kept: is_new(&stored.pending),
            altered: is_new(&self.altered),
            replayed: is_new(&self.replayed),
            in_force,
            proved,
            cleared: proved && in_force && stored.pending.is_none(),
        }
    }
}

/// The next step.
pub(super) fn next(facts: &Facts) -> Next<Step> {
    match *facts {
        Facts { cleared: true, .. } => Next::Done,
        Facts { kept: false, caught_up: false, .. } => Next::Act(Step::CatchUp),
        Facts { kept: false, .. } => Next::Act(Step::Keep),
        Facts { altered: false, .. } => Next::Act(Step::Alter),
        Facts { replayed: false, .. } => Next::Act(Step::Replay),
        Facts { in_force: false, .. } => Next::Act(Step::Promote),
        Facts { proved: false, .. } => Next::Act(Step::Prove),
        Facts { .. } => Next::Act(Step::Clear),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The facts of this list are true.
    fn facts(done: &str) -> Facts {
        let is = |fact: &str| done.split_whitespace().any(|word| word == fact);
        Facts {
            caught_up: is("caught_up"),
            kept: is("kept"),
            altered: is("altered"),
            replayed: is("replayed"),
            in_force: is("in_force"),
            proved: is("proved"),
            cleared: is("cleared"),
        }
    }

    #[test]
    fn each_step_follows_from_what_is_done_already() {
        for (done, expected) in [
            ("", Next::Act(Step::CatchUp)),
            ("caught_up", Next::Act(Step::Keep)),
            ("caught_up kept", Next::Act(Step::Alter)),
            // An interrupted run may have reached any step, so the password is set in PostgreSQL again, also if
            // a replica lags: the master may have the new password already.
            ("kept", Next::Act(Step::Alter)),
            ("kept in_force", Next::Act(Step::Alter)),
            ("kept altered", Next::Act(Step::Replay)),
            ("kept altered replayed", Next::Act(Step::Promote)),
            ("kept altered replayed in_force", Next::Act(Step::Prove)),
            ("kept altered replayed in_force proved", Next::Act(Step::Clear)),
            ("caught_up altered replayed in_force proved cleared", Next::Done),
        ] {
            assert_eq!(next(&facts(done)), expected, "{done}");
        }
    }

    /// The Secret with its version, and PostgreSQL.
    struct World {
        stored: Stored,
        version: u32,
        postgresql: Secret,
        replica: Secret,
    }

    /// A run of a rotation against a [`World`].
    struct Run {
        progress: Progress,
        read: Option<(Stored, u32)>,
        done: bool,
    }

    impl Run {
        fn new(given: Option<&str>, generated: &str) -> Self {
            let secret = |text: &str| Secret::new(text.to_owned());
            let progress = Progress::new(given.map(secret), secret(generated));
            Self { progress, read: None, done: false }
        }

        /// One step, with the optimistic lock of the Secret. Whether the run goes on: a login may fail.
        fn step(&mut self, world: &mut World) -> bool {
            let read = self.read.get_or_insert_with(|| (world.stored.clone(), world.version));
            self.progress.choose(&read.0);
            let Next::Act(step) = next(&self.progress.facts(&read.0)) else {
                self.done = true;
                return true;
            };
            let password = self.progress.password().clone();
            let mut stored = read.0.clone();
            match step {
                Step::CatchUp => {
                    self.progress.caught_up();
                    return true;
                }
                Step::Replay => {
                    world.replica = world.postgresql.clone();
                    self.progress.replayed();
                    return true;
                }
                Step::Alter => {
                    world.postgresql = password;
                    self.progress.altered();
                    return true;
                }
                Step::Prove if world.postgresql != password => return false,
                Step::Prove => {
                    self.progress.proved();
                    return true;
                }
                Step::Keep => stored.pending = Some(password),
                Step::Promote => stored.current = Some(password),
                Step::Clear => stored.pending = None,
            }
            if read.1 == world.version {
                world.version += 1;
                world.stored = stored.clone();
                *read = (stored, world.version);
            } else {
                self.read = None;
                self.progress.start_again();
            }
            true
        }
    }

    fn world() -> World {
        let old = Secret::new("old".to_owned());
        let stored = Stored { current: Some(old.clone()), pending: None };
        World { stored, version: 0, postgresql: old.clone(), replica: old }
    }

    proptest! {
        /// Two rotations at the same time, in any order of their steps: when both have ended well, the Secret holds
        /// the password that PostgreSQL has. With generated passwords the Secret holds it at every moment.
        #[test]
        fn the_secret_holds_the_password_that_postgresql_has(
            schedule in proptest::collection::vec(any::<bool>(), 80),
            given in any::<[bool; 2]>(),
        ) {
            let mut world = world();
            let mut runs = [
                Run::new(given[0].then_some("first"), "one"),
                Run::new(given[1].then_some("second"), "two"),
            ];
            for turn in schedule {
                let run = &mut runs[usize::from(turn)];
                if !run.done && !run.step(&mut world) {
                    // Its login failed: this run ends with an error, and says so.
                    return Ok(());
                }
                if given == [false, false] {
                    let known = [&world.stored.current, &world.stored.pending];
                    prop_assert!(known.contains(&&Some(world.postgresql.clone())));
                }
            }
            if runs.iter().all(|run| run.done) {
                prop_assert_eq!(world.stored.current, Some(world.postgresql));
                prop_assert_eq!(world.stored.pending, None);
            }
        }

        /// A run that is killed at any step, and one after it.
        #[test]
        fn a_killed_rotation_is_completed_by_the_next(steps in 0_usize..10) {
            let mut world = world();
            let mut killed = Run::new(None, "one");
            for _ in 0..steps {
                prop_assert!(killed.step(&mut world));
                // The Secret changes last.
                let known = [&world.postgresql, &world.replica].map(|server| Some(server.clone()));
                prop_assert!(world.stored.current == Some(Secret::new("old".to_owned()))
                    || known.iter().all(|server| *server == world.stored.current));
            }
            let mut next = Run::new(None, "two");
            for _ in 0..12 {
                prop_assert!(next.step(&mut world));
            }
            prop_assert!(next.done);
            prop_assert_eq!(world.stored.current, Some(world.postgresql));
        }
    }
}
