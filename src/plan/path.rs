//! The path of a field in an object.

use std::fmt;

use serde_json::{Map, Value};

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Segment {
    /// A field of a mapping.
    Field(String),
    /// The list item with these values in its key fields.
    Key(Map<String, Value>),
    /// A value of a set.
    Value(Value),
    /// A list item by its position.
    Index(usize),
}

/// The path of a field: `spec.template.spec.containers[name=postgres].image`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Path(Vec<Segment>);

impl Path {
    /// A path of nested fields.
    #[must_use]
    pub fn of(fields: &[&str]) -> Self {
        Self(fields.iter().map(|field| Segment::Field((*field).to_owned())).collect())
    }

    /// The steps, outermost first.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The path extended by one step.
    #[must_use]
    pub(super) fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// The path extended by one field.
    #[must_use]
    pub(super) fn field(&self, name: &str) -> Self {
        self.with(Segment::Field(name.to_owned()))
    }

    /// Its first `steps` steps.
    pub(super) fn up_to(&self, steps: usize) -> Self {
        Self(self.0.iter().take(steps).cloned().collect())
    }

    /// Whether it equals `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The field name `steps` steps before the last one.
    pub(super) fn name_from_end(&self, steps: usize) -> Option<&str> {
        match self.0.iter().rev().nth(steps) {
            Some(Segment::Field(name)) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Field(name) if name.contains('.') => write!(f, "[{name}]")?,
                Segment::Field(name) if position == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Value(value) => write!(f, "[{}]", plain(value))?,
                Segment::Key(keys) => {
                    let keys: Vec<_> =
                        keys.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect();
                    write!(f, "[{}]", keys.join(","))?;
                }
            }
        }
        Ok(())
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
