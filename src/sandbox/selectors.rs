//! Label selectors and field selectors.

use serde_json::Value;

use super::refusal::{Answer, Refusal};

/// A selector. An object has to match all terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Vec<Term>,
    fields: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    key: String,
    values: Vec<String>,
    wanted: bool,
    /// Whether any value matches.
    exists: bool,
}

impl Selector {
    /// Parses a label selector and a field selector for objects of this kind.
    pub(super) fn parse(kind: &str, labels: &str, fields: &str) -> Answer<Self> {
        let terms = |text: &str| -> Answer<Vec<Term>> {
            let parts = split(text).into_iter().map(str::trim).filter(|part| !part.is_empty());
            parts
                .map(|part| {
                    term(part).ok_or_else(|| {
                        Refusal::bad_request(format!("unable to parse requirement: {part}"))
                    })
                })
                .collect()
        };
        let (labels, fields) = (terms(labels)?, terms(fields)?);
        if let Some(term) = fields.iter().find(|term| !is_selectable(kind, &term.key)) {
            return Err(Refusal::bad_request(format!("field label not supported: {}", term.key)));
        }
        Ok(Self { labels, fields })
    }

    /// A selector from a map of labels, as in `matchLabels` or in a Service.
    pub(super) fn labels(map: &Value) -> Self {
        let term = |(key, value): (&String, &Value)| Term {
            key: key.clone(),
            values: vec![value.as_str().unwrap_or_default().to_owned()],
            wanted: true,
            exists: false,
        };
        let labels = map.as_object().into_iter().flatten().map(term).collect();
        Self { labels, fields: Vec::new() }
    }

    /// Whether the object matches.
    pub(super) fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str().map(str::to_owned);
        let field = |key: &str| {
            let key = if key == "source" { "source.component" } else { key };
            let mut at = object;
            for segment in key.split('.') {
                at = &at[segment];
            }
            // A missing field counts as empty.
            Some(at.as_str().map_or_else(
                || if at.is_null() { String::new() } else { at.to_string() },
                str::to_owned,
            ))
        };
        self.labels.iter().all(|term| term.holds(label(&term.key).as_deref()))
            && self.fields.iter().all(|term| term.holds(field(&term.key).as_deref()))
    }
}

/// Whether this kind supports a field in selectors.
fn is_selectable(kind: &str, field: &str) -> bool {
    let own: &[&str] = match kind {
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "Namespace" => &["status.phase"],
        "Node" => &["spec.unschedulable"],
        "Secret" => &["type"],
        _ => &[],
    };
    matches!(field, "metadata.name" | "metadata.namespace") || own.contains(&field)
}

impl Term {
    fn holds(&self, value: Option<&str>) -> bool {
        let found = value.is_some_and(|v| self.exists || self.values.iter().any(|w| w == v));
        found == self.wanted
    }
}

/// Splits at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn term(text: &str) -> Option<Term> {
    let make = |key: &str, values: Vec<&str>, wanted| Term {
        key: key.trim().to_owned(),
        values: values.into_iter().map(|v| v.trim().to_owned()).collect(),
        wanted,
        exists: false,
    };
    if let Some(list) = text.strip_suffix(')') {
        let (head, list) = list.split_once('(')?;
        let (key, operator) = head.trim().rsplit_once(' ')?;
        let wanted = match operator {
            "in" => true,
            "notin" => false,
            _ => return None,
        };
        return Some(make(key, list.split(',').collect(), wanted));
    }
    for (operator, wanted) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((key, value)) = text.split_once(operator) {
            return Some(make(key, vec![value], wanted));
        }
    }
    let (key, wanted) = text.strip_prefix('!').map_or((text, true), |key| (key, false));
    (!key.contains(char::is_whitespace))
        .then(|| Term { exists: true, ..make(key, Vec::new(), wanted) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_mean_what_they_say() {
        let object =
            json!({"metadata": {"name": "x", "labels": {"app": "a", "k/b": "c"}}, "spec": {}});
        for (labels, fields, expected) in [
            ("", "", true),
            ("app=a", "", true),
            ("app==a,k/b!=c", "", false),
            ("app in (b, a)", "metadata.name=x", true),
            ("app notin (a,b)", "", false),
            ("app,!other", "", true),
            ("other", "", false),
            ("", "spec.nodeName=", true),
            ("", "metadata.name!=x", false),
        ] {
            let selector = Selector::parse("Pod", labels, fields).unwrap();
            assert_eq!(selector.matches(&object), expected, "{labels} {fields}");
        }
        assert_eq!(Selector::parse("Pod", "a like b", "").unwrap_err().code, 400);
        assert_eq!(Selector::parse("Pod", "", "spec.colour=red").unwrap_err().code, 400);
        assert!(Selector::parse("Secret", "", "spec.nodeName=").is_err());
    }
}
