//! What pgset does not do, because it would take what is another's, or lose data.

use super::owner::Owner;
use super::path::Path;
use crate::error::{Diagnose, Exit};
use crate::manifest::{Kind, ObjectId};

/// Why a plan was refused. Nothing has been written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The object is there, and is not the set's.
    #[error("{object} belongs to {owner}")]
    Foreign {
        /// The object.
        object: ObjectId,
        /// Whose it is.
        owner: Owner,
    },
    /// Data was kept, and the passwords that it was made with are gone.
    #[error("{kept} was kept, but its passwords are gone: there is no {secret}")]
    SecretGone {
        /// The volume or claim.
        kept: ObjectId,
        /// The Secret that is missing.
        secret: ObjectId,
    },
    /// The image sets passwords, users and the database at the first start only.
    #[error("{secret} holds other values than those given ({}), and the data was made with them", keys.join(", "))]
    FirstStartOnly {
        /// The Secret.
        secret: ObjectId,
        /// The keys that differ.
        keys: Vec<String>,
    },
    /// The server never changes the field.
    #[error("{path} of {object} can't be changed{}", change.as_deref().map(|c| format!(" ({c})")).unwrap_or_default())]
    Immutable {
        /// The object.
        object: ObjectId,
        /// The field.
        path: Path,
        /// `from -> to`, where both are scalars and not secret.
        change: Option<String>,
    },
    /// The pods would start on other data.
    #[error("{object} has its data on {from}, not {to}")]
    DataMoves {
        /// The StatefulSet.
        object: ObjectId,
        /// The claim that is mounted.
        from: String,
        /// The claim that was asked for.
        to: String,
    },
    /// Volumes don't shrink.
    #[error("{object} has {from} and can't shrink to {to}")]
    Shrinks {
        /// The claim.
        object: ObjectId,
        /// What it asks for now.
        from: String,
        /// What was asked for.
        to: String,
    },
    /// Only claims that a class made a volume for can grow.
    #[error("{object} has {from} and can't grow to {to}: its volume is static")]
    GrowsStatic {
        /// The claim.
        object: ObjectId,
        /// What it asks for now.
        from: String,
        /// What was asked for.
        to: String,
    },
    /// The volume's claim was deleted, and it waits for somebody to decide about the data.
    #[error("{volume} is Released: its claim {claim} was deleted")]
    Released {
        /// The volume.
        volume: ObjectId,
        /// The claim that it was bound to, with its namespace.
        claim: String,
    },
    /// The volume is bound to another's claim.
    #[error("{volume} is taken by the claim {claim}")]
    Taken {
        /// The volume.
        volume: ObjectId,
        /// The claim, with its namespace.
        claim: String,
    },
    /// Two sets of one name keep their data in directories of the same names.
    #[error(
        "{path} holds the data of the set of the same name in namespace {namespace} ({volume})"
    )]
    SharedDirectory {
        /// The other set's volume.
        volume: ObjectId,
        /// The other set's namespace.
        namespace: String,
        /// The directory, with the server.
        path: String,
    },
    /// The object is on its way out.
    #[error("{object} is being deleted")]
    Terminating {
        /// The object.
        object: ObjectId,
    },
    /// Another manager owns the number of pods.
    #[error("{owner} owns spec.replicas and set it to {live}, not {asked}")]
    ReplicasConflict {
        /// What was asked for.
        asked: u32,
        /// What is there.
        live: u32,
        /// The other manager.
        owner: String,
    },
}

impl Diagnose for Refusal {
    fn exit(&self) -> Exit {
        Exit::Refused
    }

    fn hints(&self) -> Vec<String> {
        let hints: &[&str] = match self {
            Self::Foreign { object, .. } if object.kind == Kind::PersistentVolume => {
                &["--volume-prefix PREFIX (PGSET_VOLUME_PREFIX) gives the volumes other names"]
            }
            Self::Foreign { .. } => &["--name NAME (PGSET_NAME) gives the set another name"],
            Self::SecretGone { .. } => &[
                "set PG_ROOT_PASSWORD, PG_PRIMARY_PASSWORD and PG_PASSWORD to the passwords that the data was made with",
                "pgset down --delete-data (deletes the data)",
            ],
            Self::FirstStartOnly { keys, .. } => {
                let variables: Vec<_> = keys.iter().map(|key| variable(key)).collect();
                return vec![
                    format!("unset {} to go on with those that are there", variables.join(" ")),
                    "a new password for roles that are there: pgset password rotate, with --password-file FILE to choose it".to_owned(),
                ];
            }
            Self::Immutable { object, .. } if object.kind == Kind::StatefulSet => {
                &["pgset down (keeps the data), then pgset up with the new settings"]
            }
            Self::DataMoves { .. } => &[
                "pgset down (keeps the data), then pgset up with the new storage, which starts without data",
            ],
            Self::Immutable { object, .. } if object.kind == Kind::PersistentVolume => {
                &["--volume-prefix PREFIX (PGSET_VOLUME_PREFIX) makes volumes with other names"]
            }
            Self::Immutable { .. } => &["--name NAME (PGSET_NAME) makes another set"],
            Self::Shrinks { from, .. } | Self::GrowsStatic { from, .. } => {
                return vec![format!("--size {from} (PGSET_SIZE) leaves it as it is")];
            }
            Self::Released { volume, .. } => {
                return vec![format!(
                    "kubectl patch pv {} --type=merge -p '{{\"spec\":{{\"claimRef\":null}}}}' (makes it available again, with its data)",
                    volume.name
                )];
            }
            Self::Taken { .. } => {
                &["--volume-prefix PREFIX (PGSET_VOLUME_PREFIX) makes volumes with other names"]
            }
            Self::SharedDirectory { .. } => &["--name NAME, or another directory with --storage"],
            Self::Terminating { object } => {
                let namespace =
                    object.namespace.as_ref().map(|n| format!(" -n {n}")).unwrap_or_default();
                return vec![format!(
                    "kubectl wait --for=delete {}/{}{namespace}, then the same command again",
                    object.kind.name().to_lowercase(),
                    object.name
                )];
            }
            Self::ReplicasConflict { asked, .. } => {
                return vec![
                    "--force-conflicts takes the field over".to_owned(),
                    format!("pgset scale --replicas {asked}"),
                ];
            }
        };
        hints.iter().map(|hint| (*hint).to_owned()).collect()
    }
}

/// The variable that a key of the Secret comes from.
fn variable(key: &str) -> &str {
    match key {
        "superuser-password" => "PG_ROOT_PASSWORD",
        "primary-user" => "PG_PRIMARY_USER",
        "primary-password" => "PG_PRIMARY_PASSWORD",
        "user" => "PG_USER",
        "user-password" => "PG_PASSWORD",
        "database" => "PG_DATABASE",
        other => other,
    }
}
