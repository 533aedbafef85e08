//! Compares desired with live objects and derives the steps. Pure: live objects are JSON values from the
//! caller.
//!
//! An object that an apply would not change is not written. A plan that would take over another owner's
//! object or lose data is refused before anything is written.

mod adopt;
mod difference;
mod drift;
pub mod fields;
mod growth;
mod kept;
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
pub use drift::{Drift, drift};
pub use fields::{Manager, extract, owners, reapplied};
pub use growth::{Growth, with_live_templates};
pub use kept::{Foreign, Kept};
pub use owner::{Owner, foreign};
pub use path::{Path, Segment};
pub use progress::Progress;
pub use refusal::Refusal;
pub use replicas::{ReplicasDecision, replicas};

use crate::manifest::{Kind, Object, ObjectId};
use crate::set::SetIdentity;

/// The input of a plan besides the objects.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The set.
    pub set: &'a SetIdentity,
    /// The decision about the number of pods, for the detail of the StatefulSet's step.
    pub replicas: Option<&'a ReplicasDecision>,
    /// Whether the user has specified every password. If so, pgset may use kept data even if its Secret is
    /// gone.
    pub passwords_given: bool,
    /// What to do about fields that another field manager owns.
    pub foreign: Foreign<'a>,
}

/// The steps that make the live objects match the desired ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// A step for each object, in apply order. [`Progress`] decides which steps may run concurrently.
    pub steps: Vec<Step>,
    /// The volumes that must grow before the steps. The StatefulSet's step then recreates the StatefulSet.
    pub growth: Option<Growth>,
    /// The fields that keep the values of other field managers.
    pub kept: Vec<Kept>,
    /// Whether the plan starts a set that has no pods. The number of pods is then taken over from the client that
    /// set it to 0.
    pub starts: bool,
}

impl Plan {
    /// The StatefulSet of a step for a dry run, which must find conflicts: if the plan takes over the number of
    /// pods, without that number.
    #[must_use]
    pub fn rehearsed(&self, object: &Object) -> Object {
        let mut object = object.clone();
        if self.starts
            && let Some(spec) = object.value["spec"].as_object_mut()
        {
            spec.remove("replicas");
        }
        object
    }

    /// The plan without the growth, for read-only callers such as `diff`. The StatefulSet is compared with
    /// its live claim templates, and its detail says what would grow.
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

    /// The step for an object.
    #[must_use]
    pub fn step(&self, id: &ObjectId) -> Option<&Step> {
        self.steps.iter().find(|step| step.object.id == *id)
    }

    /// The desired object with pgset's values also for the fields that keep the values of other field managers.
    #[must_use]
    pub fn own_values(&self, id: &ObjectId) -> Option<Value> {
        let kept = self.kept.iter().filter(|kept| kept.object == *id);
        Some(kept::with_own_values(&self.step(id)?.object, kept))
    }

    /// Whether no object needs to be written.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.steps.iter().all(|step| step.action == Action::Unchanged)
    }
}

/// What to do about one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The desired object.
    pub object: Object,
    /// The action.
    pub action: Action,
    /// Additional information for the user.
    pub detail: Option<String>,
    /// The fields that stay with other field managers: an apply leaves them out.
    pub left_out: Vec<Path>,
}

impl Step {
    /// Whether the step changes the pod template of a StatefulSet that exists.
    #[must_use]
    pub fn changes_template(&self) -> bool {
        let template = Path::of(&["spec", "template"]);
        match &self.action {
            Action::Update(difference) => difference.paths().any(|path| path.is_within(&template)),
            Action::Create | Action::Unchanged => false,
        }
    }

    /// The object to apply. An update leaves out the fields that stay with other field managers.
    #[must_use]
    pub fn sent(&self) -> Object {
        match self.action {
            Action::Update(_) => kept::without(&self.object, &self.left_out),
            Action::Create | Action::Unchanged => self.object.clone(),
        }
    }
}

/// What to do about an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It does not exist: apply it.
    Create,
    /// It exists and differs: apply it.
    Update(Difference),
    /// It exists and does not differ: write nothing.
    Unchanged,
}

/// Whether a Secret that another run created first can be used. Its values must equal the specified ones.
/// The keys in `made` hold generated passwords, which may differ: the existing ones are used.
///
/// # Errors
/// [`Refusal::FirstStartOnly`] with the keys that differ.
pub fn adopt_secret(wanted: &Object, there: &Value, made: &[&str]) -> Result<(), Refusal> {
    safety::same_secret(wanted, there, made)
}

/// Compares desired with live objects.
///
/// `live` contains the live versions of the desired objects. If it also contains the set's other claims
/// and volumes and the volumes of other sets, the checks find more problems.
///
/// # Errors
/// The first [`Refusal`]. Checks for other owners come first.
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
    let (mut steps, mut growing, mut kept) = (Vec::new(), None, Vec::new());
    for mut object in desired {
        let mut keeps = Vec::new();
        if let Some(live) = live.get(&object.id) {
            adopt::claim_templates(&mut object, live);
            keeps = kept::keep(&mut object, live, options.foreign)?;
        }
        let action = match live.get(&object.id) {
            None => {
                growing = growing.or_else(|| growth::of_kept(&object, live.iter()));
                Action::Create
            }
            Some(there) => {
                let growth = growth::growth(&mut object, there, live.iter())?;
                let difference = difference(&object.value, there);
                match growth {
                    // All changed fields except the claim templates must be mutable.
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
        let again = of_set && growing.as_ref().is_some_and(|growth| growth.recreates);
        let detail = again
            .then(|| "recreated while its pods run".to_owned())
            .or_else(|| options.replicas.filter(|_| of_set)?.detail());
        // An object that is created again needs all its fields.
        let left_out =
            if again { Vec::new() } else { keeps.iter().map(|k| k.path.clone()).collect() };
        kept.extend(keeps);
        steps.push(Step { object, action, detail, left_out });
    }
    // The sort is stable: objects of one kind keep the order of the templates.
    steps.sort_by_key(|step| step.object.id.kind);
    Ok(Plan { steps, growth: growing, kept, starts: false })
}

#[cfg(test)]
mod tests;
