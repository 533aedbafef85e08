//! What is wanted and what is there, to steps. Pure: live objects are JSON values that somebody read.
//!
//! An object that an apply would not change is not written. What is another's, or would lose data,
//! is refused before anything is written.

mod adopt;
mod difference;
pub mod fields;
mod growth;
mod lists;
mod owner;
mod path;
mod progress;
mod refusal;
mod replicas;
mod safety;

use std::collections::BTreeMap;

use serde_json::Value;

pub use difference::{Difference, difference};
pub use fields::{Manager, extract, owners};
pub use growth::{Growth, with_live_templates};
pub use owner::{Owner, foreign};
pub use path::{Path, Segment};
pub use progress::Progress;
pub use refusal::Refusal;
pub use replicas::{ReplicasDecision, replicas};

use crate::manifest::{Kind, Object, ObjectId};
use crate::set::SetIdentity;

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

/// What to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// A step for each object, in the order of apply. What may go out at the same time is
    /// [`Progress`]'s to say.
    pub steps: Vec<Step>,
    /// What has to grow before the steps: the StatefulSet's step then makes it again.
    pub growth: Option<Growth>,
}

impl Plan {
    /// The same without what has to grow first, for who only asks: the StatefulSet is compared with its
    /// claim templates as they are, and says what would grow.
    #[must_use]
    pub fn without_growth(mut self, live: &BTreeMap<ObjectId, Value>) -> Self {
        let Some(growth) = self.growth.take() else { return self };
        for step in self.steps.iter_mut().filter(|step| step.object.id == growth.set) {
            if let Some(there) = live.get(&growth.set) {
                step.object = with_live_templates(&step.object, there);
            }
            step.detail = Some(growth.detail());
        }
        self
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.steps.iter().all(|step| step.action == Action::Unchanged)
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

/// Whether a Secret that another run made first will do: it must say what was given; keys of `made`
/// hold passwords that were made up, and give way.
///
/// # Errors
/// [`Refusal::FirstStartOnly`] with the keys that differ.
pub fn adopt_secret(wanted: &Object, there: &Value, made: &[&str]) -> Result<(), Refusal> {
    safety::same_secret(wanted, there, made)
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
    let (mut steps, mut growing) = (Vec::new(), None);
    for mut object in desired {
        if let Some(live) = live.get(&object.id) {
            adopt::claim_templates(&mut object, live);
        }
        let action = match live.get(&object.id) {
            None => Action::Create,
            Some(there) => {
                let growth = growth::growth(&mut object, there, live.iter())?;
                let difference = difference(&object.value, there);
                match growth {
                    // All but the claim templates must be fields that can change.
                    Some(growth) => {
                        let rest = with_live_templates(&object, there);
                        safety::change(&rest, there, &self::difference(&rest.value, there))?;
                        growing = Some(growth);
                    }
                    None => safety::change(&object, there, &difference)?,
                }
                if difference.is_unchanged() {
                    Action::Unchanged
                } else {
                    Action::Update(difference)
                }
            }
        };
        let of_set =
            object.id.kind == Kind::StatefulSet && object.id.name == options.set.name.as_str();
        let again =
            growing.as_ref().filter(|_| of_set).map(|_| "made again around its pods".into());
        let detail = again.or_else(|| options.replicas.filter(|_| of_set)?.detail());
        steps.push(Step { object, action, detail });
    }
    // The sort is stable: objects of a kind stay as the templates have them.
    steps.sort_by_key(|step| step.object.id.kind);
    Ok(Plan { steps, growth: growing })
}

#[cfg(test)]
mod tests;
