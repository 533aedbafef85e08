//! Write requests: create, replace, patch, apply, delete.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::super::ownership::Writer;
use super::super::refusal::{Answer, Refusal};
use super::super::registry::{Delete, Registry};
use super::super::store::Key;
use super::super::types;
use super::request::Request;
use super::respond::{self, Reply};
use super::{parse, strategic};

/// Answers a write request.
pub fn write(
    registry: &Registry,
    method: &Method,
    asked: &Request,
    manager: &str,
    content: &str,
    body: &[u8],
) -> Answer<Reply> {
    let subresource = asked.subresource.as_deref().unwrap_or_default();
    let writer = Writer { manager, subresource };
    let dry = asked.query.get("dryRun") == Some("All");
    match (method, &asked.name) {
        (&Method::POST, None) => create(registry, asked, manager, dry, &parse(content, body)?),
        (&Method::DELETE, Some(name)) => {
            let options = if body.is_empty() { json!({}) } else { parse(content, body)? };
            delete(registry, &asked.key(name), asked, &options)
        }
        (&Method::PUT, Some(name)) => {
            let sent = parse(content, body)?;
            check(asked, &sent, 400)?;
            change(registry, &asked.key(name), writer, dry, |object| {
                *object = sent;
                Ok(())
            })
        }
        (&Method::PATCH, Some(name)) => {
            let (key, patch) = (asked.key(name), parse(content, body)?);
            match content {
                "application/apply-patch+yaml" => apply(registry, &key, asked, writer, dry, &patch),
                "application/merge-patch+json" => change(registry, &key, writer, dry, |object| {
                    json_patch::merge(object, &patch);
                    check(asked, object, 422)
                }),
                "application/json-patch+json" => change(registry, &key, writer, dry, |object| {
                    let patch: json_patch::Patch = serde_json::from_value(patch)
                        .map_err(|e| Refusal::bad_request(format!("not a JSON patch: {e}")))?;
                    json_patch::patch(object, &patch).map_err(|e| {
                        Refusal::new(422, "Invalid", format!("the patch can't be applied: {e}"))
                    })?;
                    check(asked, object, 422)
                }),
                "application/strategic-merge-patch+json" => {
                    change(registry, &key, writer, dry, |object| {
                        strategic::merge(key.resource.kind, object, &patch);
                        check(asked, object, 422)
                    })
                }
                other => Err(Refusal::new(
                    415,
                    "UnsupportedMediaType",
                    format!(
                        "the sandbox does not support {other}, only server-side apply, and merge, strategic merge and JSON patches"
                    ),
                )),
            }
        }
        _ => Err(Refusal::left_out(&format!("{method} of {}", asked.ruled()))),
    }
}

/// Refuses unknown fields and wrong types with the server's messages.
fn check(asked: &Request, object: &Value, code: u16) -> Answer<()> {
    if asked.subresource.as_deref() == Some("scale") {
        return Ok(());
    }
    let kind = asked.resource.kind;
    let cannot = |why: String| {
        let message = format!("{kind} in version \"v1\" cannot be handled as a {kind}: {why}");
        let reason = if code == 422 { "Invalid" } else { "BadRequest" };
        Refusal::new(code, reason, message)
    };
    let unknown = types::unknown(kind, object).map_err(&cannot)?;
    if unknown.is_empty() || asked.query.get("fieldValidation") != Some("Strict") {
        return Ok(());
    }
    let fields: Vec<String> =
        unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    Err(cannot(format!("strict decoding error: {}", fields.join(", "))))
}

fn create(
    registry: &Registry,
    asked: &Request,
    manager: &str,
    dry: bool,
    sent: &Value,
) -> Answer<Reply> {
    check(asked, sent, 400)?;
    let mut object = sent.clone();
    let name = match (sent["metadata"]["name"].as_str(), sent["metadata"]["generateName"].as_str())
    {
        (Some(name), _) if !name.is_empty() => name.to_owned(),
        (_, Some(prefix)) => format!("{prefix}{}", super::super::random(5)),
        _ => {
            let what = "Required value: name or generateName is required";
            return Err(Refusal::invalid(asked.resource, "", "metadata.name", what));
        }
    };
    same_namespace(asked, sent)?;
    object["metadata"]["name"] = json!(name);
    let stored = registry.create(&asked.key(&name), object, manager, dry)?;
    Ok(respond::json(201, &stored))
}

fn same_namespace(asked: &Request, sent: &Value) -> Answer<()> {
    let (sent, asked) = (sent["metadata"]["namespace"].as_str(), asked.namespace.as_deref());
    match (sent, asked) {
        (Some(sent), Some(asked)) if sent != asked => Err(Refusal::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request (the request is for {asked:?}, the object for {sent:?})"
        ))),
        _ => Ok(()),
    }
}

fn apply(
    registry: &Registry,
    key: &Key,
    asked: &Request,
    writer: Writer<'_>,
    dry: bool,
    configuration: &Value,
) -> Answer<Reply> {
    if asked.query.get("fieldManager").is_none() {
        return Err(Refusal::bad_request(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    same_namespace(asked, configuration)?;
    let kind = asked.resource.kind;
    let typed = |why: String| {
        let message = format!(
            "failed to create typed patch object ({}/{}; {}/{}, Kind={kind}): {why}",
            key.namespace, key.name, asked.resource.group, asked.resource.version
        );
        Refusal::new(500, "", message)
    };
    let unknown = types::unknown(kind, configuration).map_err(&typed)?;
    if let Some(field) = unknown.first() {
        return Err(typed(format!(".{field}: field not declared in schema")));
    }
    let new = registry.store.get(key).is_none();
    let stored = registry.apply(key, configuration, writer, asked.query.is("force"), dry)?;
    Ok(respond::json(if new { 201 } else { 200 }, &stored))
}

/// Changes an object, or the `scale` subresource of it.
fn change(
    registry: &Registry,
    key: &Key,
    writer: Writer<'_>,
    dry: bool,
    change: impl FnOnce(&mut Value) -> Answer<()>,
) -> Answer<Reply> {
    if writer.subresource != "scale" {
        return Ok(respond::json(200, &*registry.update(key, writer, dry, change)?));
    }
    let stored = registry.update(key, writer, dry, |object| {
        let mut scale = scale_of(&Arc::new(object.clone()));
        change(&mut scale)?;
        object["spec"]["replicas"] = json!(scale["spec"]["replicas"].as_i64().unwrap_or(0));
        object["metadata"]["resourceVersion"] = scale["metadata"]["resourceVersion"].clone();
        Ok(())
    })?;
    Ok(respond::json(200, &scale_of(&stored)))
}

/// The `scale` subresource of a StatefulSet.
#[must_use]
pub fn scale_of(object: &Arc<Value>) -> Value {
    let metadata = &object["metadata"];
    let labels = object["spec"]["selector"]["matchLabels"].as_object();
    let pairs = labels.into_iter().flatten();
    let selector: Vec<String> =
        pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"], "selector": selector.join(",")},
    })
}

fn delete(registry: &Registry, key: &Key, asked: &Request, options: &Value) -> Answer<Reply> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let policy = asked.query.get("propagationPolicy").or(options["propagationPolicy"].as_str());
    let grace = asked.query.get("gracePeriodSeconds").and_then(|s| s.parse().ok());
    let how = Delete {
        uid: text(&options["preconditions"]["uid"]),
        version: text(&options["preconditions"]["resourceVersion"]),
        grace: grace.or(options["gracePeriodSeconds"].as_u64()),
        orphan: policy == Some("Orphan"),
        dry: asked.query.get("dryRun") == Some("All")
            || options["dryRun"].as_array().is_some_and(|all| all.contains(&json!("All"))),
    };
    let last = registry.delete(key, &how)?;
    if registry.store.get(key).is_some() {
        return Ok(respond::json(200, &last));
    }
    let details = json!({
        "name": key.name, "group": key.resource.group, "kind": key.resource.plural,
        "uid": last["metadata"]["uid"],
    });
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    });
    Ok(respond::json(200, &status))
}
