//! Volume growth, although the claim templates of a StatefulSet are immutable.

use serde_json::{Value, json};

use super::Refusal;
use super::adopt::says_the_same;
use crate::manifest::{Kind, Object, ObjectId};
use crate::values::quantity;

/// What grows, and how: each claim requests more storage, then the StatefulSet is deleted without its pods
/// and recreated with claim templates that request the new size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The StatefulSet.
    pub set: ObjectId,
    /// The claims that request less than the new size, with their current request.
    pub claims: Vec<(ObjectId, String)>,
    /// The new size.
    pub to: String,
    /// Whether the StatefulSet exists, so that it must be deleted without its pods.
    pub recreates: bool,
}

impl Growth {
    /// A message for people: which claims, old size and new size.
    #[must_use]
    pub fn detail(&self) -> String {
        let claims: Vec<_> =
            self.claims.iter().map(|(id, from)| format!("{} ({from})", id.name)).collect();
        let claims = if claims.is_empty() { "new claims".to_owned() } else { claims.join(", ") };
        let grows = format!("{claims} to {}", self.to);
        if self.recreates {
            format!("{grows}; {} is recreated while its pods run", self.set)
        } else {
            grows
        }
    }
}

const REQUEST: &str = "/spec/resources/requests/storage";

fn request(claim: &Value) -> Option<&str> {
    claim.pointer(REQUEST)?.as_str()
}

fn templates(set: &Value) -> &[Value] {
    set["spec"]["volumeClaimTemplates"].as_array().map_or(&[], Vec::as_slice)
}

/// The growth for a StatefulSet, if the only difference between desired and live claim templates is a larger
/// request. If `spec.replicas` is left to another manager, it is set to the live value: a StatefulSet created
/// without it would have one pod.
///
/// # Errors
/// [`Refusal::Shrinks`] if the new size is smaller: volumes can't shrink.
pub(super) fn growth<'a>(
    object: &mut Object,
    live: &Value,
    claims: impl Iterator<Item = (&'a ObjectId, &'a Value)>,
) -> Result<Option<Growth>, Refusal> {
    if object.id.kind != Kind::StatefulSet {
        return Ok(None);
    }
    let (wanted, there) = (templates(&object.value), templates(live));
    let [wanted] = wanted else { return Ok(None) };
    let [there] = there else { return Ok(None) };
    let (Some(from), Some(to)) = (request(there), request(wanted)) else { return Ok(None) };
    let mut of_equal_size = wanted.clone();
    of_equal_size["spec"]["resources"]["requests"]["storage"] = json!(from);
    if quantity::same(from, to) || !says_the_same(&of_equal_size, there) {
        return Ok(None);
    }
    if quantity::less(to, from) {
        let (from, to) = (from.to_owned(), to.to_owned());
        return Err(Refusal::Shrinks { object: object.id.clone(), from, to });
    }
    let growth = Growth {
        set: object.id.clone(),
        claims: of_template(object, wanted, claims)
            .filter(|(_, has)| quantity::less(has, to))
            .map(|(id, has)| (id.clone(), has.to_owned()))
            .collect(),
        to: to.to_owned(),
        recreates: true,
    };
    let replicas = &mut object.value["spec"]["replicas"];
    if replicas.is_null() {
        *replicas = live["spec"]["replicas"].clone();
    }
    Ok(Some(growth))
}

/// The growth of the claims that were kept of a StatefulSet that does not exist, and that is created with a larger
/// request.
pub(super) fn of_kept<'a>(
    object: &Object,
    claims: impl Iterator<Item = (&'a ObjectId, &'a Value)>,
) -> Option<Growth> {
    let template = templates(&object.value).first()?;
    let to = request(template)?;
    let claims: Vec<_> = of_template(object, template, claims)
        .filter(|(_, has)| quantity::less(has, to))
        .map(|(id, has)| (id.clone(), has.to_owned()))
        .collect();
    let (set, to) = (object.id.clone(), to.to_owned());
    (!claims.is_empty()).then_some(Growth { set, claims, to, recreates: false })
}

/// The claims that were created from a template of a StatefulSet, with the size that they request.
fn of_template<'a>(
    object: &Object,
    template: &Value,
    claims: impl Iterator<Item = (&'a ObjectId, &'a Value)>,
) -> impl Iterator<Item = (&'a ObjectId, &'a str)> {
    let name = template["metadata"]["name"].as_str().unwrap_or_default();
    let prefix = format!("{name}-{}-", object.id.name);
    claims
        .filter(move |(id, _)| id.kind == Kind::PersistentVolumeClaim && is_of(&id.name, &prefix))
        .filter_map(|(id, claim)| Some((id, request(claim)?)))
}

/// Whether the claim was created from the template for an ordinal.
fn is_of(claim: &str, prefix: &str) -> bool {
    claim.strip_prefix(prefix).is_some_and(|ordinal| ordinal.parse::<u32>().is_ok())
}

/// The StatefulSet with the live claim templates, which the server can validate while the old StatefulSet
/// still exists.
#[must_use]
pub fn with_live_templates(object: &Object, live: &Value) -> Object {
    let mut object = object.clone();
    object.value["spec"]["volumeClaimTemplates"] = live["spec"]["volumeClaimTemplates"].clone();
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(size: &str, class: &str) -> Value {
        json!([{"metadata": {"name": "pgdata"}, "spec": {"accessModes": ["ReadWriteOnce"],
            "storageClassName": class, "resources": {"requests": {"storage": size}}}}])
    }

    fn claims() -> Vec<(ObjectId, Value)> {
        ["pgdata-pgset-0", "pgdata-pgset-1", "pgdata-pgset-two-0", "other-pgset-0"]
            .map(|name| {
                let id = ObjectId::new(Kind::PersistentVolumeClaim, "pg", name);
                let size = if name.ends_with('1') { "2Gi" } else { "1Gi" };
                (id, json!({"spec": {"resources": {"requests": {"storage": size}}}}))
            })
            .into()
    }

    fn found(wanted: &Value) -> Result<Option<(Growth, Value)>, Refusal> {
        let id = ObjectId::new(Kind::StatefulSet, "pg", "pgset");
        let mut object = Object {
            id,
            value: json!({"spec": {"volumeClaimTemplates": wanted}}),
            template: String::new(),
        };
        let mut there = template("1Gi", "standard");
        there[0]["status"] = json!({"phase": "Pending"});
        let live = json!({"spec": {"replicas": 3, "volumeClaimTemplates": there}});
        let claims = claims();
        let growth = growth(&mut object, &live, claims.iter().map(|(id, value)| (id, value)))?;
        Ok(growth.map(|growth| (growth, object.value["spec"]["replicas"].clone())))
    }

    #[test]
    fn claims_of_the_set_that_are_too_small_grow() {
        let (growth, replicas) = found(&template("2Gi", "standard")).unwrap().unwrap();
        let names: Vec<_> = growth.claims.iter().map(|(id, from)| (&*id.name, &**from)).collect();
        assert_eq!(names, [("pgdata-pgset-0", "1Gi")]);
        assert_eq!((growth.to.as_str(), replicas), ("2Gi", json!(3)));
        assert_eq!(
            growth.detail(),
            "pgdata-pgset-0 (1Gi) to 2Gi; StatefulSet pgset is recreated while its pods run"
        );
    }

    #[test]
    fn the_same_size_and_other_changes_are_no_growth() {
        assert_eq!(found(&template("1024Mi", "standard")).unwrap(), None);
        assert_eq!(found(&template("2Gi", "fast")).unwrap(), None);
        assert_eq!(found(&json!(null)).unwrap(), None);
    }

    #[test]
    fn kept_claims_grow_before_the_set_is_created_again() {
        let id = ObjectId::new(Kind::StatefulSet, "pg", "pgset");
        let kept = |size: &str| {
            let value = json!({"spec": {"volumeClaimTemplates": template(size, "standard")}});
            let object = Object { id: id.clone(), value, template: String::new() };
            of_kept(&object, claims().iter().map(|(id, value)| (id, value)))
        };
        assert_eq!(kept("1024Mi"), None);
        assert_eq!(kept("512Mi"), None, "the claims keep what they have");
        assert_eq!(kept("2Gi").unwrap().detail(), "pgdata-pgset-0 (1Gi) to 2Gi");
    }

    #[test]
    fn nothing_shrinks() {
        let refusal = found(&template("512Mi", "standard")).unwrap_err();
        assert!(matches!(refusal, Refusal::Shrinks { .. }), "{refusal}");
    }
}
