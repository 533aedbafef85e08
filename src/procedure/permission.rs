//! The rights of the user: asked for while the cluster is read, judged when it is known what `up` needs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Exit, Failure};
use crate::manifest::kind::KINDS;
use crate::manifest::{Kind, Object, ObjectId, ServerVersion};
use crate::plan::{Action, Plan};
use crate::set::account::is_of_rights;
use crate::set::rights::{self, Change, Right};
use crate::set::{SetIdentity, Topology, objects};
use crate::settings::Settings;

/// What decides which rights `up` needs.
#[derive(Clone, Copy)]
pub(crate) struct Needs<'a> {
    /// The settings.
    pub(crate) settings: &'a Settings,
    /// The draft of the objects.
    pub(crate) draft: &'a [Object],
    /// Objects that were read before; none for one that does not exist.
    pub(crate) known: &'a BTreeMap<ObjectId, Option<Value>>,
    /// Whether the command waits for the set.
    pub(crate) waits: bool,
    /// Whether the command writes. A dry run does not.
    pub(crate) writes: bool,
}

impl Needs<'_> {
    fn set(&self) -> &SetIdentity {
        &self.settings.set
    }

    /// Whether an object was read before, and exists.
    pub(crate) fn exists(&self, id: &ObjectId) -> bool {
        self.known.get(id).is_some_and(Option::is_some)
    }

    /// The rights for every change that is possible.
    pub(crate) fn possible(&self, version: &ServerVersion) -> Vec<Right> {
        let mut rights = self.rights(version, |_| Change::Unknown);
        rights.extend(self.leasing());
        rights
    }

    /// The rights to hold the set's Lease.
    fn leasing(&self) -> Vec<Right> {
        if self.writes { rights::leasing(self.set()) } else { Vec::new() }
    }

    fn rights(&self, version: &ServerVersion, of: impl Fn(&ObjectId) -> Change) -> Vec<Right> {
        let recipe = object(objects::settings(self.set()), self.set());
        let objects = self.draft.iter().chain([&recipe]);
        let changes: Vec<_> = objects.map(|object| (object, of(&object.id))).collect();
        rights::up(self.set(), &changes, self.waits, version)
    }

    /// Refuses to plan without the rights to read. Names what else is missing for the objects as they are.
    ///
    /// # Errors
    /// When a right to read is missing.
    pub(crate) fn check_reads(
        &self,
        version: &ServerVersion,
        missing: &[Right],
        there: &BTreeMap<ObjectId, Value>,
        unread: impl Fn(&ObjectId) -> bool,
    ) -> Result<(), Failure> {
        let unreadable = |id: &ObjectId| {
            let of_kind = |right: &Right| right.verb == "get" && right.resource == id.kind.plural();
            unread(id) || missing.iter().any(of_kind)
        };
        let exists = |id: &ObjectId| there.contains_key(id) || self.exists(id);
        let mut needed = self.rights(version, |id| match (unreadable(id), exists(id)) {
            (true, _) => Change::Unknown,
            (false, true) => Change::Update,
            (false, false) => Change::Create,
        });
        needed.extend(self.leasing());
        let missing = both(missing, &needed);
        let reads = |right: &Right| {
            // A plan without changes needs no Lease.
            right.resource != Kind::Lease.plural()
                && ["get", "list", "watch"].contains(&right.verb.as_str())
        };
        if missing.iter().any(reads) { Err(lacking(&missing)) } else { Ok(()) }
    }

    /// Refuses a plan for which a right is missing. `raises_pods`: a higher number of pods has to be recorded.
    ///
    /// # Errors
    /// When a right is missing.
    pub(crate) fn check_plan(
        &self,
        version: &ServerVersion,
        missing: &[Right],
        plan: &Plan,
        topology: &Topology,
        raises_pods: bool,
    ) -> Result<(), Failure> {
        let set = self.set();
        let mut changes: Vec<(&Object, Change)> = Vec::new();
        for step in &plan.steps {
            let change = match step.action {
                Action::Create => Change::Create,
                Action::Update(_) => Change::Update,
                Action::Unchanged => Change::Nothing,
            };
            changes.push((&step.object, change));
        }
        let records = self.waits
            && self.settings.profile.capabilities().has_topology
            && topology.system_identifier.is_none();
        let topology = object(objects::topology(set), set);
        if records {
            // The system identifier is recorded when the set is ready.
            changes.push((&topology, Change::Create));
        }
        if raises_pods {
            // The number of pods is recorded before pods are added.
            changes.push((&topology, Change::Update));
        }
        let mut needed = rights::up(set, &changes, self.waits, version);
        if changes.iter().any(|(_, change)| *change != Change::Nothing) {
            needed.extend(self.leasing());
        }
        refuse(&both(missing, &needed))
    }
}

/// A ConfigMap without data, which stands for one that no template renders.
fn object(id: ObjectId, set: &SetIdentity) -> Object {
    objects::config_map(set, id, &Value::Null, "")
}

/// The missing rights that are needed.
fn both(missing: &[Right], needed: &[Right]) -> Vec<Right> {
    missing.iter().filter(|right| needed.contains(right)).cloned().collect()
}

/// Refuses to continue if a right is missing.
///
/// # Errors
/// When there is one.
pub(crate) fn refuse(missing: &[Right]) -> Result<(), Failure> {
    if missing.is_empty() { Ok(()) } else { Err(lacking(missing)) }
}

/// The failure when rights are missing, with the rules that grant them.
fn lacking(missing: &[Right]) -> Failure {
    let list = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    // The rules below say the same in fewer lines.
    let message = match missing.len() {
        0..=3 => format!("these rights are missing: {list}"),
        count => format!("{count} rights are missing"),
    };
    let mut failure = Failure::new(Exit::NoCluster, message).details(rights::rules(missing));
    if missing.iter().any(|right| right.resource == "persistentvolumes") {
        failure = failure.hint(
            "storage without rights on PersistentVolumes: --storage class, or --storage claim:NAME",
        );
    }
    if missing.iter().any(on_roles) {
        failure = failure.hint(
            "without rights on Roles: --service-account NAME, with an account that an administrator created",
        );
    }
    failure.hint("ask an administrator of the cluster for a Role with the rules above")
}

/// Whether `--service-account` makes the right unnecessary.
fn on_roles(right: &Right) -> bool {
    let is_of = |kind: Kind| is_of_rights(kind) && kind.plural() == right.resource;
    right.resource == "pods/status" || KINDS.into_iter().any(is_of)
}
