//! What is wanted and what is there, to steps. Pure: live objects are JSON values that somebody read.
//!
//! An object that an apply would not change is not written. What is another's, or would lose data,
//! is refused before anything is written.

mod adopt;
mod difference;
pub mod fields;
mod lists;
mod owner;
mod path;
mod quantity;
mod refusal;
mod replicas;
mod safety;

use std::collections::BTreeMap;

use serde_json::Value;

pub use difference::{Difference, difference};
pub use fields::{Manager, extract, owners};
pub use owner::{Owner, foreign};
pub use path::{Path, Segment};
pub use refusal::Refusal;
pub use replicas::{ReplicasDecision, replicas};

use crate::manifest::{Kind, Object, ObjectId};
use crate::settings::SetIdentity;

/// What a plan depends on beside the objects.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The set.
    pub set: &'a SetIdentity,
    /// What was decided about the number of pods: the detail of the StatefulSet's step.
    pub replicas: Option<&'a ReplicasDecision>,
    /// Whether somebody gave every password: then data may be taken over whose Secret is gone.
    pub passwords_given: bool,
}

/// What to do, phase by phase.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Steps of a phase may be done at the same time; a phase begins when the one before is done.
    pub phases: Vec<Vec<Step>>,
}

impl Plan {
    /// Every step, in the order of the phases.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.phases.iter().flatten()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.steps().all(|step| step.action == Action::Unchanged)
    }
}

/// What to do about one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The object that is wanted.
    pub object: Object,
    /// What to do about it.
    pub action: Action,
    /// What else there is to say.
    pub detail: Option<String>,
}

/// What to do about an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It is not there: apply it.
    Create,
    /// It is there and differs: apply it.
    Update(Difference),
    /// It is there as it should be: write nothing.
    Unchanged,
}

/// Compares what is wanted with what is there.
///
/// `live` holds what was found of the desired objects; the set's claims and volumes beyond them, and
/// the volumes of other sets, where they could be read, make the checks sharper.
///
/// # Errors
/// The first [`Refusal`]; checks of other owners come first.
pub fn plan(
    desired: Vec<Object>,
    live: &BTreeMap<ObjectId, Value>,
    options: &Options<'_>,
) -> Result<Plan, Refusal> {
    for object in &desired {
        if let Some(live) = live.get(&object.id) {
            safety::ownership(object, live, options.set)?;
        }
    }
    safety::passwords(&desired, live, options)?;
    safety::volumes(&desired, live, options.set)?;
    let mut phases: BTreeMap<usize, Vec<Step>> = BTreeMap::new();
    for mut object in desired {
        if let Some(live) = live.get(&object.id) {
            adopt::claim_templates(&mut object, live);
        }
        let action = match live.get(&object.id) {
            None => Action::Create,
            Some(live) => {
                let difference = difference(&object.value, live);
                safety::change(&object, live, &difference)?;
                if difference.is_unchanged() {
                    Action::Unchanged
                } else {
                    Action::Update(difference)
                }
            }
        };
        let of_set =
            object.id.kind == Kind::StatefulSet && object.id.name == options.set.name.as_str();
        let detail = options.replicas.filter(|_| of_set).and_then(ReplicasDecision::detail);
        phases.entry(object.id.kind.phase()).or_default().push(Step { object, action, detail });
    }
    Ok(Plan { phases: phases.into_values().collect() })
}

#[cfg(test)]
mod tests;
