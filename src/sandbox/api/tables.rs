//! Tables: the server generates the columns that `kubectl get` prints.

mod cells;
mod columns;

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::kinds::Resource;
use super::request::Query;

/// A column.
#[derive(Clone, Copy)]
struct Column {
    /// The heading.
    name: &'static str,
    /// Whether the column is shown only with `-o wide`.
    wide: bool,
    /// Returns the cell's text for an object.
    cell: fn(&Value) -> String,
}

/// What a table row contains beside its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Include {
    /// The object's metadata.
    Metadata,
    /// The whole object: kubectl sorts by it.
    Object,
    /// Nothing.
    Nothing,
}

impl Include {
    /// What the query asks for.
    #[must_use]
    pub fn asked(query: &Query) -> Self {
        match query.get("includeObject") {
            Some("Object") => Self::Object,
            Some("None") => Self::Nothing,
            _ => Self::Metadata,
        }
    }
}

/// A table of these objects.
#[must_use]
pub fn of(
    resource: &Resource,
    objects: &[Arc<Value>],
    metadata: &Value,
    include: Include,
) -> Value {
    let columns = columns::of(resource.kind);
    let definitions: Vec<Value> = columns
        .iter()
        .map(|column| {
            let format = if column.name == "Name" { "name" } else { "" };
            json!({
                "name": column.name, "type": "string", "format": format, "description": "",
                "priority": u8::from(column.wide),
            })
        })
        .collect();
    let row = |object: &Arc<Value>| {
        let cells: Vec<String> = columns.iter().map(|column| (column.cell)(object)).collect();
        let object = match include {
            Include::Object => Value::clone(object),
            Include::Nothing => Value::Null,
            Include::Metadata => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"],
            }),
        };
        json!({"cells": cells, "object": object})
    };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": metadata["resourceVersion"]},
        "columnDefinitions": definitions, "rows": objects.iter().map(row).collect::<Vec<_>>(),
    })
}
