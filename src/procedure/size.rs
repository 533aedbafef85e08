//! The size of the volumes where no size was asked for: that of the set's claims, whoever enlarged them.

use serde_json::Value;

use super::inventory::Objects;
use crate::manifest::{Kind, ObjectId};
use crate::plan::Refusal;
use crate::set::{SetIdentity, objects};
use crate::settings::Settings;
use crate::values::quantity;

/// The settings with the size that is in force. A size that is in the recipe was not asked for now: the set keeps
/// the size that it has.
///
/// # Errors
/// When a smaller size than that of kept claims was asked for.
pub(crate) fn in_force(settings: &Settings, live: &Objects) -> Result<Settings, Refusal> {
    let set = &settings.set;
    let recorded = live.get(&objects::settings(set)).and_then(|map| map["data"]["size"].as_str());
    let asked = recorded.is_none_or(|recorded| !quantity::same(recorded, settings.size.as_str()));
    let mut settings = settings.clone();
    if asked {
        return keeps(set, settings.size.as_str(), live).map(|()| settings);
    }
    // The same size in other words is written as it is recorded, so that nothing changes.
    let has = of_set(&settings, live).filter(|has| !quantity::same(has, settings.size.as_str()));
    if let Some(size) = has.or(recorded).and_then(|size| size.parse().ok()) {
        settings.size = size;
    }
    Ok(settings)
}

/// The size that the set requests: for the claim that all pods share, or in the claim template.
fn of_set<'a>(settings: &Settings, live: &'a Objects) -> Option<&'a str> {
    let set = &settings.set;
    if settings.storage.is_static() {
        let namespace = set.namespace.as_str();
        let id = ObjectId::new(Kind::PersistentVolumeClaim, namespace, &set.claim());
        return request(live.get(&id)?);
    }
    let statefulset = live.get(&objects::statefulset(set))?;
    request(&statefulset["spec"]["volumeClaimTemplates"][0])
}

fn request(claim: &Value) -> Option<&str> {
    claim["spec"]["resources"]["requests"]["storage"].as_str()
}

/// Refuses a size that is smaller than that of a claim which was kept when the set was taken down. A StatefulSet
/// that exists is compared with its claim templates.
fn keeps(set: &SetIdentity, to: &str, live: &Objects) -> Result<(), Refusal> {
    if live.contains_key(&objects::statefulset(set)) {
        return Ok(());
    }
    let own = live.iter().filter(|(id, _)| {
        let ordinal = set.ordinal_of_claim(&id.name);
        id.kind == Kind::PersistentVolumeClaim && ordinal.is_some()
    });
    for (id, claim) in own {
        let Some(from) = request(claim).filter(|from| quantity::less(to, from)) else { continue };
        let (object, from, to) = (id.clone(), from.to_owned(), to.to_owned());
        return Err(Refusal::Shrinks { object, from, to });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::{GlobalArgs, SettingsArgs};
    use crate::environment::Environment;
    use crate::settings::Recipe;
    use crate::settings::resolve::{Host, resolve};

    fn settings(size: &str, storage: &str) -> Settings {
        let args = SettingsArgs {
            size: Some(size.to_owned()),
            storage: Some(storage.to_owned()),
            ..SettingsArgs::default()
        };
        let (global, environment) = (GlobalArgs::default(), Environment::default());
        resolve(&args, &global, &environment, &Recipe::default(), &Host::BARE).unwrap().settings
    }

    fn claim(size: &str) -> Value {
        json!({"spec": {"resources": {"requests": {"storage": size}}}})
    }

    fn live(recorded: Option<&str>, template: Option<&str>, claims: &[(&str, &str)]) -> Objects {
        let set = &settings("1Gi", "class").set;
        let mut live = Objects::new();
        if let Some(size) = recorded {
            live.insert(objects::settings(set), json!({"data": {"size": size}}));
        }
        if let Some(size) = template {
            let set_value = json!({"spec": {"volumeClaimTemplates": [claim(size)]}});
            live.insert(objects::statefulset(set), set_value);
        }
        for (name, size) in claims {
            let id = ObjectId::new(Kind::PersistentVolumeClaim, "pg", name);
            live.insert(id, claim(size));
        }
        live
    }

    #[test]
    fn a_size_that_nobody_asked_for_is_that_of_the_set() {
        for (size, storage, recorded, template, claims, in_force) in [
            // As recorded, however it is written.
            ("1Gi", "class", Some("1Gi"), Some("1024Mi"), [("pgdata-pgset-0", "1Gi")], "1Gi"),
            ("1024Mi", "class", Some("1Gi"), Some("1Gi"), [("pgdata-pgset-0", "1Gi")], "1Gi"),
            ("1073741824", "class", Some("1Gi"), Some("1Gi"), [("pgdata-pgset-0", "1Gi")], "1Gi"),
            // Enlarged by another client: the claims, or the template as well.
            ("1Gi", "class", Some("1Gi"), Some("1Gi"), [("pgdata-pgset-0", "2Gi")], "1Gi"),
            ("1Gi", "class", Some("1Gi"), Some("2Gi"), [("pgdata-pgset-0", "2Gi")], "2Gi"),
            ("1Gi", "hostpath:/x", Some("1Gi"), None, [("pgset-pvc", "2Gi")], "2Gi"),
            // Asked for: a running set is compared with its template later.
            ("512Mi", "class", Some("1Gi"), Some("1Gi"), [("pgdata-pgset-0", "1Gi")], "512Mi"),
            ("3Gi", "class", Some("1Gi"), Some("2Gi"), [("pgdata-pgset-0", "2Gi")], "3Gi"),
            ("1Gi", "class", None, Some("2Gi"), [("pgdata-pgset-0", "2Gi")], "1Gi"),
            // After `down`: what is recorded stays, also where a claim is larger.
            ("1Gi", "class", Some("1024Mi"), None, [("pgdata-pgset-0", "2Gi")], "1Gi"),
            ("2Gi", "class", Some("1Gi"), None, [("pgdata-pgset-0", "1Gi")], "2Gi"),
            ("1024Mi", "class", Some("2Gi"), None, [("pgdata-pgset-0", "1Gi")], "1Gi"),
        ] {
            let found =
                super::in_force(&settings(size, storage), &live(recorded, template, &claims));
            assert_eq!(found.unwrap().size.as_str(), in_force, "{size} {recorded:?} {template:?}");
        }
    }

    #[test]
    fn kept_claims_do_not_shrink() {
        let live = live(Some("2Gi"), None, &[("pgdata-pgset-0", "2Gi")]);
        let refusal = super::in_force(&settings("1Gi", "class"), &live).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "PersistentVolumeClaim pgdata-pgset-0 has 2Gi and can't shrink to 1Gi"
        );
    }
}
