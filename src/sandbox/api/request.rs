//! Parses the path and query of a request.

use http::Method;

use super::super::kinds::Resource;
use super::super::refusal::{Answer, Refusal};
use super::super::store::Key;

/// A request for objects.
#[derive(Clone, Debug)]
pub struct Request {
    /// The kind of the objects.
    pub resource: &'static Resource,
    /// The namespace; none for cluster-scoped kinds and for lists of all namespaces.
    pub namespace: Option<String>,
    /// The object's name; none for a list.
    pub name: Option<String>,
    /// The subresource: `status`, `log`.
    pub subresource: Option<String>,
    /// The query.
    pub query: Query,
}

impl Request {
    /// Parses a path below `/api` or `/apis`.
    pub fn parse(path: &str, query: &str) -> Answer<Self> {
        let unknown =
            || Refusal::new(404, "NotFound", "the server could not find the requested resource");
        let segments: Vec<String> = path.split('/').skip(1).map(decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, rest) = match segments.as_slice() {
            ["api", "v1", rest @ ..] => ("", rest),
            ["apis", group, "v1", rest @ ..] => (*group, rest),
            _ => return Err(unknown()),
        };
        let (namespace, rest) = match rest {
            // `namespaces/NAME/status` belongs to the namespace object; `namespaces/NAME/pods`
            // lists pods in it.
            ["namespaces", name, plural, rest @ ..] if *plural != "status" => {
                (Some((*name).to_owned()), [&[*plural], rest].concat())
            }
            rest => (None, rest.to_vec()),
        };
        let (plural, name, subresource) = match rest.as_slice() {
            [plural] => (*plural, None, None),
            [plural, name] => (*plural, Some((*name).to_owned()), None),
            [plural, name, sub] => (*plural, Some((*name).to_owned()), Some((*sub).to_owned())),
            _ => return Err(unknown()),
        };
        let resource = Resource::of(group, plural).ok_or_else(unknown)?;
        if resource.namespaced != namespace.is_some() && (name.is_some() || !resource.namespaced) {
            return Err(unknown());
        }
        if let Some(sub) = &subresource
            && !resource.subresources.contains(&sub.as_str())
        {
            return Err(Refusal::left_out(&format!("{plural}/{sub}")));
        }
        Ok(Self { resource, namespace, name, subresource, query: Query::parse(query) })
    }

    /// The key of an object of the requested kind and namespace.
    #[must_use]
    pub fn key(&self, name: &str) -> Key {
        Key::new(self.resource, self.namespace.as_deref().unwrap_or_default(), name)
    }

    /// The verb, as Roles name it.
    #[must_use]
    pub fn verb(&self, method: &Method) -> &'static str {
        match *method {
            Method::GET if self.query.is("watch") => "watch",
            Method::GET if self.name.is_none() => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if self.name.is_none() => "deletecollection",
            _ => "delete",
        }
    }

    /// The resource, as Roles name it: `pods/log`.
    #[must_use]
    pub fn ruled(&self) -> String {
        match &self.subresource {
            Some(sub) => format!("{}/{sub}", self.resource.plural),
            None => self.resource.plural.to_owned(),
        }
    }
}

/// The query of a URL.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses `a=b&c=d`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        Self(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    /// The value of a parameter; none if it is missing or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let values = self.0.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        values.into_iter().find(|value| !value.is_empty())
    }

    /// All values of a parameter, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is `true`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }
}

/// Decodes `%xx`, and `+` as a space.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                decoded.push(code);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/api/v1/namespaces/pg/pods/x/log", "pods Some(pg) Some(x) Some(log)"),
            ("/api/v1/namespaces/pg", "namespaces None Some(pg) None"),
            ("/api/v1/namespaces/pg/status", "namespaces None Some(pg) Some(status)"),
            ("/apis/apps/v1/statefulsets", "statefulsets None None None"),
            ("/api/v1/persistentvolumes/a%2Fb", "persistentvolumes None Some(a/b) None"),
        ] {
            let request = Request::parse(path, "").unwrap();
            let show = |text: &Option<String>| match text {
                Some(text) => format!("Some({text})"),
                None => "None".to_owned(),
            };
            let read = [&request.namespace, &request.name, &request.subresource].map(show);
            assert_eq!(format!("{} {}", request.resource.plural, read.join(" ")), expected);
        }
        for (path, code) in [
            ("/apis/apps/v1/deployments", 404),
            ("/api/v1/pods/x", 404),
            ("/api/v1/namespaces/pg/pods/x/attach", 501),
        ] {
            assert_eq!(Request::parse(path, "").unwrap_err().code, code, "{path}");
        }
    }

    #[test]
    fn queries() {
        let query = Query::parse("command=a&command=b%20c&watch=1&name=");
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["a", "b c"]);
        assert!(query.is("watch"));
        assert_eq!(query.get("name"), None);
    }
}
