//! Text to objects: the only user of `serde_yaml`.
