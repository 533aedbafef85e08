//! Discovery: the server's version, API groups and resources.

use serde_json::{Value, json};

use super::super::kinds::{RESOURCES, Resource};

/// The minor version of Kubernetes that the sandbox imitates.
const MINOR: u32 = 33;

/// The discovery document at a path; none if the path is not one of discovery.
pub fn document(path: &str) -> Option<Value> {
    match path.trim_end_matches('/') {
        "/version" => Some(version()),
        "/api" => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/apis" => Some(json!({
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": groups().into_iter().map(group).collect::<Vec<_>>(),
        })),
        "/api/v1" => Some(resources("")),
        "/openapi/v3" => Some(json!({"paths": open_api_paths()})),
        path if path.starts_with("/openapi/v3/") => open_api(path.strip_prefix("/openapi/v3/")?),
        path => {
            let (name, version) = path.strip_prefix("/apis/")?.split_once('/')?;
            (version == "v1" && groups().contains(&name)).then(|| resources(name))
        }
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": MINOR.to_string(), "gitVersion": format!("v1.{MINOR}.0-pgset-sandbox"),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none", "compiler": "rustc", "platform": "linux/amd64",
    })
}

fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = RESOURCES.iter().map(|r| r.group).collect();
    groups.push("authorization.k8s.io");
    groups.sort_unstable();
    groups.dedup();
    groups.retain(|group| !group.is_empty());
    groups
}

fn group(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources(group: &str) -> Value {
    let mut resources = Vec::new();
    let mut own: Vec<_> = RESOURCES.iter().filter(|resource| resource.group == group).collect();
    // `kubectl get all` shows the kinds in this order.
    own.sort_by_key(|resource| resource.plural);
    for resource in own {
        resources.push(entry(
            resource,
            resource.plural,
            resource.kind,
            &["create", "delete", "get", "list", "patch", "update", "watch"],
        ));
        for sub in resource.subresources {
            let name = format!("{}/{sub}", resource.plural);
            let (kind, verbs): (&str, &[&str]) = match *sub {
                "exec" => ("PodExecOptions", &["create", "get"]),
                "token" => ("TokenRequest", &["create"]),
                "power" => (resource.kind, &["update"]),
                "log" => ("Pod", &["get"]),
                "scale" => ("Scale", &["get", "patch", "update"]),
                _ => (resource.kind, &["get", "patch", "update"]),
            };
            let mut entry = entry(resource, &name, kind, verbs);
            let group = match *sub {
                "scale" => Some("autoscaling"),
                "token" => Some("authentication.k8s.io"),
                _ => None,
            };
            if let Some(group) = group {
                entry["group"] = json!(group);
                entry["version"] = json!("v1");
            }
            resources.push(entry);
        }
    }
    if group == "authorization.k8s.io" {
        resources.push(json!({
            "name": "selfsubjectaccessreviews", "singularName": "selfsubjectaccessreview",
            "namespaced": false, "kind": "SelfSubjectAccessReview", "verbs": ["create"],
        }));
        resources.push(json!({
            "name": "localsubjectaccessreviews", "singularName": "localsubjectaccessreview",
            "namespaced": true, "kind": "LocalSubjectAccessReview", "verbs": ["create"],
        }));
    }
    let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}

/// The paths of the groups' `OpenAPI` documents.
fn open_api_paths() -> Value {
    let mut paths = json!({"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}});
    for group in groups() {
        let path = format!("apis/{group}/v1");
        paths[&path] = json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
    }
    paths
}

/// A group's `OpenAPI` document, reduced to what `kubectl apply` looks for: whether the server
/// validates fields.
fn open_api(path: &str) -> Option<Value> {
    let group = match path {
        "api/v1" => "",
        path => path.strip_prefix("apis/")?.strip_suffix("/v1")?,
    };
    let mut paths = json!({});
    for resource in RESOURCES.iter().filter(|resource| resource.group == group) {
        let place = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let described = json!({
            "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
            "responses": {},
            "x-kubernetes-group-version-kind":
                {"group": group, "version": resource.version, "kind": resource.kind},
        });
        paths[format!("/{path}{place}/{}/{{name}}", resource.plural)] = json!({"patch": described});
    }
    let info = json!({"title": "pgset sandbox", "version": ""});
    Some(json!({"openapi": "3.0.0", "info": info, "paths": paths, "components": {}}))
}

fn entry(resource: &Resource, name: &str, kind: &str, verbs: &[&str]) -> Value {
    let whole = name == resource.plural;
    let mut entry = json!({
        "name": name, "singularName": if whole { kind.to_lowercase() } else { String::new() },
        "namespaced": resource.namespaced, "kind": kind, "verbs": verbs,
    });
    if whole && !resource.short.is_empty() {
        entry["shortNames"] = json!(resource.short);
    }
    if whole && matches!(resource.kind, "Pod" | "Service" | "StatefulSet") {
        entry["categories"] = json!(["all"]);
    }
    entry
}
