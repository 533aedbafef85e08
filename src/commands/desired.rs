//! What should be there: rendered, parsed, checked.

use serde_json::Value;

use super::live::Live;
use super::tls;
use crate::error::{Exit, Failure};
use crate::manifest::parse;
use crate::manifest::{Kind, Object, ObjectId};
use crate::render::{self, Inputs, Passwords, TemplateSet};
use crate::settings::tls::Origin;
use crate::settings::{Replicas, Secret, SetIdentity, Settings, Tls};

/// Keys of the Secret.
pub(crate) const SUPERUSER_PASSWORD: &str = "superuser-password";
pub(crate) const PRIMARY_PASSWORD: &str = "primary-password";
pub(crate) const USER_PASSWORD: &str = "user-password";

/// The key of a password that a rotation has made, and PostgreSQL may not have yet.
pub(crate) fn pending(key: &str) -> String {
    format!("next-{key}")
}

/// Keeps what an interrupted rotation left in the live Secret: it may be the only copy of a password.
pub(crate) fn keep_pending(objects: &mut [Object], live: &Live, set: &SetIdentity) {
    let id = secret_id(set);
    let Some(there) = live.objects.get(&id) else { return };
    for object in objects.iter_mut().filter(|object| object.id == id) {
        for key in [SUPERUSER_PASSWORD, PRIMARY_PASSWORD, USER_PASSWORD].map(pending) {
            if let Some(password) = there["data"].get(&key) {
                object.value["data"][&key] = password.clone();
            }
        }
    }
}

/// The Secret with the passwords.
pub(crate) fn secret_id(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::Secret, set.namespace.as_str(), &set.secret())
}

/// The Secret with the certificates that pgset makes.
pub(crate) fn tls_id(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::Secret, set.namespace.as_str(), &set.tls_secret())
}

/// The ConfigMap that says whose data the set's is.
pub(crate) fn topology_id(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::ConfigMap, set.namespace.as_str(), &set.topology())
}

/// Whether an object is the data, or is needed to read it: `down` keeps it.
pub(crate) fn holds_data(set: &SetIdentity, id: &ObjectId) -> bool {
    id.kind.holds_data() || *id == topology_id(set)
}

/// The objects with made-up passwords: which there are, and whether they are all right.
pub fn draft(
    settings: &Settings,
    templates: &TemplateSet,
    server_minor: u32,
) -> anyhow::Result<Vec<Object>> {
    let replicas = settings.replicas.as_ref().map_or(Replicas::DEFAULT, |r| r.value);
    let passwords = given_or_made(settings);
    let setting = settings.tls.as_ref().map(|given| &given.value);
    let tls = Tls::wanted(setting, None, &settings.set);
    let certificates = match &tls {
        Some(tls) if tls.origin == Origin::Made => tls::made_new(&settings.set)?,
        _ => None,
    };
    let inputs = Inputs {
        settings,
        replicas: Some(replicas),
        pods: replicas.get(),
        server_minor,
        passwords: &passwords,
        tls: tls.as_ref(),
        certificates: certificates.as_ref(),
    };
    objects(templates, &inputs)
}

/// The objects as they should be.
pub fn objects(templates: &TemplateSet, inputs: &Inputs<'_>) -> anyhow::Result<Vec<Object>> {
    let rendered = render::render(templates, inputs)?;
    Ok(parse::objects(&rendered, &inputs.settings.set)?)
}

/// Passwords as given, and made where none was given.
#[must_use]
pub fn given_or_made(settings: &Settings) -> Passwords {
    let credentials = &settings.credentials;
    let one = |given: &Option<Secret>| given.clone().unwrap_or_else(Secret::random);
    Passwords {
        superuser: one(&credentials.superuser_password),
        primary: one(&credentials.primary_password),
        user: one(&credentials.password),
    }
}

/// The Secret's keys whose passwords nobody gave.
#[must_use]
pub fn made(settings: &Settings) -> Vec<&'static str> {
    let credentials = &settings.credentials;
    [
        (SUPERUSER_PASSWORD, &credentials.superuser_password),
        (PRIMARY_PASSWORD, &credentials.primary_password),
        (USER_PASSWORD, &credentials.password),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.is_none().then_some(key))
    .collect()
}

/// The passwords in force: given, or those of the live Secret, or new ones where there is none.
/// Whether given ones may differ from those that are there is the plan's to decide.
///
/// # Errors
/// When the live Secret lacks a password that was not given: a new one would not open the data.
pub fn passwords(settings: &Settings, live: &Live) -> anyhow::Result<Passwords> {
    let id = secret_id(&settings.set);
    let Some(secret) = live.objects.get(&id) else { return Ok(given_or_made(settings)) };
    let one = |key, given: &Option<Secret>| match given {
        Some(given) => Ok(given.clone()),
        None => password(secret, key).ok_or_else(|| {
            Failure::new(Exit::Refused, format!("{id} has no key {key}, which opens the data"))
                .hint("put it back, or delete the set and its data: pgset down --delete-data")
        }),
    };
    let credentials = &settings.credentials;
    Ok(Passwords {
        superuser: one(SUPERUSER_PASSWORD, &credentials.superuser_password)?,
        primary: one(PRIMARY_PASSWORD, &credentials.primary_password)?,
        user: one(USER_PASSWORD, &credentials.password)?,
    })
}

/// A value of a live Secret.
pub(crate) fn password(secret: &Value, key: &str) -> Option<Secret> {
    text(secret, key).map(Secret::new)
}

/// A value of a live Secret that is no secret: a role's name.
pub(crate) fn text(secret: &Value, key: &str) -> Option<String> {
    use base64::Engine as _;
    let encoded = secret["data"][key].as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    String::from_utf8(bytes).ok()
}
