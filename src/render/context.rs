//! The context of templates.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Inputs, NEWEST_SERVER, Scripts};
use crate::manifest::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, MANAGER};
use crate::settings::pods::{Resources, Toleration};
use crate::settings::tls::Stage;
use crate::settings::{Parameters, Settings, Storage, computed, parameters};

/// The number of static volumes: the same as in the article.
const STATIC_VOLUMES: u32 = 3;

/// Builds the context of a rendering. It contains passwords, so it must never be printed.
pub(super) fn context(inputs: &Inputs<'_>) -> Value {
    let settings = inputs.settings;
    let set = &settings.set;
    let mut context = json!({
        "set": {
            "name": set.name.as_str(),
            "namespace": set.namespace.as_str(),
            "master": set.master(),
            "replica": set.replica(),
            "claim": set.claim(),
            "secret": set.secret(),
            "config": set.config(),
            "topology": set.topology(),
            "origin": inputs.origin.as_str(),
            "service_account": settings.account(),
            "static_storage_class": set.static_storage_class(),
        },
        "labels": labels(settings),
        "annotations": settings.pods.annotations,
        "previous_script": inputs.scripts == Scripts::WithPrevious,
        "network_policy": settings.pods.network_policy,
        "pods": pods(inputs),
        "server": { "minor": if inputs.server_minor == 0 { NEWEST_SERVER } else { inputs.server_minor } },
        "parameters": settings.parameters.as_ref().map(Parameters::text).unwrap_or_default(),
        "parameters_marker": parameters::MARKER,
        "computed": computed::text(settings),
        "computed_marker": computed::MARKER,
        "synchronous": synchronous(settings),
        "max_lag": format!("{}\n", settings.max_lag.bytes()),
        "image": settings.image.to_string(),
        "replicas": inputs.replicas.map(crate::values::Replicas::get),
        "storage": storage(settings),
        "credentials": {
            "primary_user": settings.credentials.primary_user.as_str(),
            "user": settings.credentials.user.as_str(),
            "database": settings.credentials.database.as_str(),
        },
        "passwords": {
            "superuser": inputs.passwords.superuser.expose(),
            "primary": inputs.passwords.primary.expose(),
            "user": inputs.passwords.user.expose(),
        },
    });
    context["tls"] = tls(inputs);
    context[settings.profile.name().as_str()] =
        settings.profile.template_values(settings.size.bytes());
    context
}

/// The labels of all objects, and the labels of the pods. Each map is complete.
fn labels(settings: &Settings) -> Value {
    let set = &settings.set;
    let mut objects = settings.pods.labels.clone();
    objects.insert("app".to_owned(), set.name.to_string());
    let mut pods = objects.clone();
    // The master sets its own label when it starts. A pod that has not started yet is not the master.
    pods.insert("name".to_owned(), set.replica());
    pods.insert(LABEL_INSTANCE.to_owned(), set.name.to_string());
    pods.insert(LABEL_MANAGED_BY.to_owned(), MANAGER.to_owned());
    json!({ "managed_by": MANAGER, "objects": objects, "pods": pods })
}

/// The stage of TLS, the certificates that pgset issued, and the connection type in `pg_hba.conf`.
fn tls(inputs: &Inputs<'_>) -> Value {
    let required = inputs.tls.is_some_and(|tls| tls.stage == Stage::Required);
    let mounted = inputs.mounted_certificates.map(str::to_owned);
    let secret = inputs.tls.map(|tls| tls.secret.clone()).or(mounted);
    json!({
        "line": inputs.tls.map(|tls| format!("{tls}\n")),
        "host": if required { "hostssl" } else { "host" },
        "secret": secret.unwrap_or_else(|| inputs.settings.set.tls_secret()),
        "certificates": inputs.certificates.map(|certificates| json!({
            "authorities": certificates.authorities,
            "authority_keys": certificates.authority_keys.expose(),
            "certificate": certificates.certificate,
            "key": certificates.key.expose(),
        })),
    })
}

/// The value of `synchronous_standby_names`, quoted. Empty without synchronous replication.
fn synchronous(settings: &Settings) -> String {
    let number = settings.synchronous.as_ref().map_or(0, |given| given.value);
    if number == 0 {
        return String::new();
    }
    let pods = settings.profile.limit().pods;
    let names = crate::settings::synchronous::standby_names(&settings.set, number, pods);
    parameters::conf::quote(&names)
}

fn pods(inputs: &Inputs<'_>) -> Value {
    let Settings { set, pods, .. } = inputs.settings;
    let resources =
        |resources: &Resources| resources.pairs().into_iter().collect::<BTreeMap<_, _>>();
    json!({
        "names": inputs.topology.pods(set, inputs.pods),
        "requests": resources(&pods.requests),
        "limits": resources(&pods.limits),
        "node_selector": pods.node_selector,
        "tolerations": pods.tolerations.iter().map(toleration).collect::<Vec<_>>(),
        "image_pull_secrets": pods.image_pull_secrets,
        "termination_grace_period": pods.termination_grace_period.as_secs(),
    })
}

fn toleration(toleration: &Toleration) -> Value {
    let mut value = match &toleration.value {
        Some(value) => json!({ "key": toleration.key, "operator": "Equal", "value": value }),
        None => json!({ "key": toleration.key, "operator": "Exists" }),
    };
    if let Some(effect) = toleration.effect {
        value["effect"] = json!(effect.name());
    }
    value
}

fn storage(settings: &Settings) -> Value {
    let mut storage = match &settings.storage {
        Storage::Nfs { server, path } => json!({ "kind": "nfs", "server": server, "path": path }),
        Storage::HostPath { path } => json!({ "kind": "hostpath", "path": path }),
        Storage::Class { name } => json!({ "kind": "class", "class": name }),
        Storage::Claim { name } => json!({ "kind": "claim", "claim": name }),
    };
    if settings.storage.is_static() {
        storage["claim"] = json!(settings.set.claim());
        storage["volumes"] = (1..=STATIC_VOLUMES)
            .map(|number| json!(format!("{}{number}", settings.volume_prefix)))
            .collect();
    }
    storage["static"] = json!(settings.storage.is_static());
    storage["size"] = json!(settings.size.as_str());
    storage["access_mode"] = json!(settings.access_mode.name());
    storage
}
