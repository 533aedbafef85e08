//! The contents of the Secret with the passwords.

use base64::Engine as _;
use serde_json::Value;

use crate::values::Secret;

/// The key of the password of the superuser `postgres`.
pub const SUPERUSER_PASSWORD: &str = "superuser-password";
/// The key of the password of the replication role.
pub const PRIMARY_PASSWORD: &str = "primary-password";
/// The key of the password of the application's role.
pub const USER_PASSWORD: &str = "user-password";
/// All keys that hold a password.
pub const KEYS: [&str; 3] = [SUPERUSER_PASSWORD, PRIMARY_PASSWORD, USER_PASSWORD];

/// The key under which a rotation stores the new password, beside the current one, until PostgreSQL uses it.
#[must_use]
pub fn pending(key: &str) -> String {
    format!("next-{key}")
}

/// Reads a password from a live Secret.
#[must_use]
pub fn password(secret: &Value, key: &str) -> Option<Secret> {
    text(secret, key).map(Secret::new)
}

/// Reads a value that is not secret from a live Secret, such as the name of a role.
#[must_use]
pub fn text(secret: &Value, key: &str) -> Option<String> {
    let encoded = secret["data"][key].as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    String::from_utf8(bytes).ok()
}
