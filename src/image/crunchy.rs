//! Crunchy's PostgreSQL images, tags 1.2.6 to 2.4.2: what each range of tags expects.
//!
//! Source: the public repository CrunchyData/crunchy-containers (`bin/postgres/start.sh`,
//! `examples/kube/statefulset`), read tag by tag.

/// The facts of one tag. All pure functions of the version; templates ask them, nothing else does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crunchy {
    /// The container suite's version: `centos7-9.5-1.2.6` is `[1, 2, 6]`.
    pub version: [u32; 3],
    /// PostgreSQL's version by the tag: `9.5`, `10.3`; empty when the tag does not say.
    pub postgres: String,
}
