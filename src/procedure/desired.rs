//! The desired objects: rendered, parsed and checked.

use crate::set::passwords;

use crate::error::{Exit, Failure};
use crate::manifest::Object;
use crate::manifest::parse;
use crate::procedure::live::Live;
use crate::procedure::tls;
use crate::render::{self, Inputs, Passwords, Scripts, TemplateSet};
use crate::set::{SetIdentity, Topology, account, objects};
use crate::settings::tls::CertificateSource;
use crate::settings::{Settings, Tls};
use crate::values::{Replicas, Secret};

/// Copies the passwords that an interrupted rotation left in the live Secret: the Secret may hold the only
/// copy.
pub(crate) fn keep_pending(objects: &mut [Object], live: &Live, set: &SetIdentity) {
    let id = objects::passwords(set);
    let Some(there) = live.objects.get(&id) else { return };
    for object in objects.iter_mut().filter(|object| object.id == id) {
        for key in passwords::KEYS.map(passwords::pending) {
            if let Some(password) = there["data"].get(&key) {
                object.value["data"][&key] = password.clone();
            }
        }
    }
}

/// Renders the objects with generated passwords and the requested or default number of pods, to find out
/// which objects there are and whether they are valid.
pub(crate) fn draft(
    settings: &Settings,
    templates: &TemplateSet,
    server_minor: u32,
    scripts: Scripts,
) -> anyhow::Result<Vec<Object>> {
    let replicas = settings.replicas.as_ref().map_or(Replicas::DEFAULT, |r| r.value);
    let passwords = given_or_generated(settings);
    let setting = settings.tls.as_ref().map(|given| &given.value);
    let tls = Tls::wanted(setting, None, &settings.set);
    let certificates = match &tls {
        Some(tls) if tls.origin == CertificateSource::Pgset => tls::made_new(&settings.set)?,
        _ => None,
    };
    let inputs = Inputs {
        settings,
        replicas: Some(replicas),
        topology: &Topology::default(),
        origin: crate::set::Origin::Initdb,
        pods: replicas.get(),
        server_minor,
        passwords: &passwords,
        tls: tls.as_ref(),
        certificates: certificates.as_ref(),
        mounted_certificates: None,
        scripts,
    };
    objects(templates, &inputs)
}

/// Renders and parses the desired objects. An existing ServiceAccount and its rights are not pgset's to write.
pub(crate) fn objects(templates: &TemplateSet, inputs: &Inputs<'_>) -> anyhow::Result<Vec<Object>> {
    let rendered = render::render(templates, inputs)?;
    let mut objects = parse::objects(&rendered, inputs.settings.set.ownership())?;
    if let Some(account) = &inputs.settings.service_account {
        objects.retain(|object| !account::is_of(&object.id, account));
    }
    Ok(objects)
}

/// The passwords that the user gave; generated ones for the others.
#[must_use]
pub(crate) fn given_or_generated(settings: &Settings) -> Passwords {
    let credentials = &settings.credentials;
    let one = |given: &Option<Secret>| given.clone().unwrap_or_else(Secret::random);
    Passwords {
        superuser: one(&credentials.superuser_password),
        primary: one(&credentials.primary_password),
        user: one(&credentials.password),
    }
}

/// The keys of the Secret whose passwords are generated.
#[must_use]
pub(crate) fn generated(settings: &Settings) -> Vec<&'static str> {
    let credentials = &settings.credentials;
    [
        (passwords::SUPERUSER_PASSWORD, &credentials.superuser_password),
        (passwords::PRIMARY_PASSWORD, &credentials.primary_password),
        (passwords::USER_PASSWORD, &credentials.password),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.is_none().then_some(key))
    .collect()
}

/// The passwords to use: those that the user gave, otherwise those in the live Secret, otherwise new ones.
/// The plan decides whether given passwords may differ from the live ones.
///
/// # Errors
/// When the live Secret lacks a password that the user did not give: PostgreSQL would not accept a new one.
pub(crate) fn passwords(settings: &Settings, live: &Live) -> anyhow::Result<Passwords> {
    let id = objects::passwords(&settings.set);
    let Some(secret) = live.objects.get(&id) else { return Ok(given_or_generated(settings)) };
    let one = |key, given: &Option<Secret>| match given {
        Some(given) => Ok(given.clone()),
        None => passwords::password(secret, key).ok_or_else(|| {
            Failure::new(Exit::Refused, format!("{id} has no key {key}, a password of the data"))
                .hint("restore the key, or delete the set and its data: pgset down --delete-data")
        }),
    };
    let credentials = &settings.credentials;
    Ok(Passwords {
        superuser: one(passwords::SUPERUSER_PASSWORD, &credentials.superuser_password)?,
        primary: one(passwords::PRIMARY_PASSWORD, &credentials.primary_password)?,
        user: one(passwords::USER_PASSWORD, &credentials.password)?,
    })
}
