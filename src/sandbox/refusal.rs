//! Refused requests: `Status` objects with the messages of the real API server.

use serde_json::{Value, json};

use super::kinds::Resource;

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason: `NotFound`.
    pub reason: &'static str,
    /// The message for people.
    pub message: String,
    /// The object and the causes.
    details: Box<Details>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Details {
    /// Group, kind or plural, name.
    about: Option<(&'static str, String, String)>,
    /// Reason, message, field.
    causes: Vec<(&'static str, String, String)>,
}

/// The result of a request.
pub type Answer<T> = Result<T, Refusal>;

impl Refusal {
    /// A refusal with this message.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Box::default() }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.details.about = Some((resource.group, resource.plural.to_owned(), name.to_owned()));
        self
    }

    /// The object does not exist.
    #[must_use]
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::new(404, "NotFound", message).about(resource, name)
    }

    /// The object already exists.
    #[must_use]
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    /// Another client changed the object first.
    #[must_use]
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// The request body can't be parsed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The user is not allowed to do this, or a rule forbids it.
    #[must_use]
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let object = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        let message = format!("{}{object} is forbidden: {why}", resource.qualified());
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// A field has an invalid value.
    #[must_use]
    pub fn invalid(resource: &Resource, name: &str, field: &str, what: &str) -> Self {
        let group =
            if resource.group.is_empty() { String::new() } else { format!(".{}", resource.group) };
        let message = format!("{}{group} {name:?} is invalid: {field}: {what}", resource.kind);
        let mut refusal = Self::new(422, "Invalid", message).about(resource, name);
        let reason = match what.split(':').next() {
            Some("Forbidden") => "FieldValueForbidden",
            Some("Required value") => "FieldValueRequired",
            _ => "FieldValueInvalid",
        };
        refusal.details.causes.push((reason, what.to_owned(), field.to_owned()));
        refusal
    }

    /// The version is too old to watch from.
    #[must_use]
    pub fn expired() -> Self {
        Self::new(410, "Expired", "too old resource version")
    }

    /// The sandbox does not implement this.
    #[must_use]
    pub fn left_out(what: &str) -> Self {
        let message = format!(
            "{what} is not supported by the sandbox: it has only what pgset and a few kubectl commands use"
        );
        Self::new(501, "NotImplemented", message)
    }

    /// Adds a cause.
    #[must_use]
    pub fn cause(mut self, reason: &'static str, message: String, field: String) -> Self {
        self.details.causes.push((reason, message, field));
        self
    }

    /// The `Status` object.
    #[must_use]
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if let Some((group, kind, name)) = &self.details.about {
            status["details"] = json!({"name": name, "group": group, "kind": kind});
        }
        if !self.details.causes.is_empty() {
            status["details"]["causes"] = (self.details.causes.iter())
                .map(|(reason, message, field)| {
                    json!({"reason": reason, "message": message, "field": field})
                })
                .collect();
        }
        status
    }
}
