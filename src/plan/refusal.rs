//! Reasons why pgset refuses a plan: it would take over another owner's object, or lose data.

use super::owner::Owner;
use super::path::Path;
use crate::error::{Diagnose, Exit};
use crate::manifest::{Kind, ObjectId};

/// Why a plan was refused. Nothing has been written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The object exists and is not owned by the set.
    #[error("{object} is owned by {owner}")]
    Foreign {
        /// The object.
        object: ObjectId,
        /// The owner.
        owner: Owner,
    },
    /// Data was kept, but the Secret with its passwords does not exist.
    #[error("{kept} was kept, but {secret} with its passwords does not exist")]
    SecretGone {
        /// The volume or claim.
        kept: ObjectId,
        /// The missing Secret.
        secret: ObjectId,
    },
    /// The image sets passwords, users and the database only when it initializes the data.
    #[error("{secret} contains other values than those given ({}), and the data was created with the values in it", keys.join(", "))]
    FirstStartOnly {
        /// The Secret.
        secret: ObjectId,
        /// The keys that differ.
        keys: Vec<String>,
    },
    /// The field is immutable.
    #[error("{path} of {object} can't be changed{}", change.as_deref().map(|c| format!(" ({c})")).unwrap_or_default())]
    Immutable {
        /// The object.
        object: ObjectId,
        /// The field.
        path: Path,
        /// `from -> to`, if both are scalars and not secret.
        change: Option<String>,
    },
    /// The pods would start with other data.
    #[error("{object} has its data on {from}, not {to}")]
    DataMoves {
        /// The StatefulSet.
        object: ObjectId,
        /// The claim that is mounted.
        from: String,
        /// The requested claim.
        to: String,
    },
    /// Volumes can't shrink.
    #[error("{object} has {from} and can't shrink to {to}")]
    Shrinks {
        /// The claim.
        object: ObjectId,
        /// The current request.
        from: String,
        /// The new request.
        to: String,
    },
    /// Only claims with a dynamically provisioned volume can grow.
    #[error("{object} has {from} and can't grow to {to}: its volume is static")]
    GrowsStatic {
        /// The claim.
        object: ObjectId,
        /// The current request.
        from: String,
        /// The new request.
        to: String,
    },
    /// The claim of the volume was deleted. The user must decide what to do with the data.
    #[error("{volume} is Released: its claim {claim} was deleted")]
    Released {
        /// The volume.
        volume: ObjectId,
        /// The claim that it was bound to, with its namespace.
        claim: String,
    },
    /// The volume is bound to a claim of another owner.
    #[error("{volume} is bound to the claim {claim}")]
    Taken {
        /// The volume.
        volume: ObjectId,
        /// The claim, with its namespace.
        claim: String,
    },
    /// Two sets with the same name would store their data in the same directories.
    #[error(
        "{path} contains the data of the set of the same name in namespace {namespace} ({volume})"
    )]
    SharedDirectory {
        /// The other set's volume.
        volume: ObjectId,
        /// The other set's namespace.
        namespace: String,
        /// The directory, with the NFS server if there is one.
        path: String,
    },
    /// The object is being deleted.
    #[error("{object} is being deleted")]
    Terminating {
        /// The object.
        object: ObjectId,
    },
    /// Another manager owns fields that have to change.
    #[error("{object} has fields that another field manager owns: {fields}")]
    FieldConflict {
        /// The object.
        object: ObjectId,
        /// The managers and their fields.
        fields: String,
    },
    /// Another manager owns `spec.replicas`.
    #[error("{owner} owns spec.replicas and set it to {live}, not {asked}")]
    ReplicasConflict {
        /// The requested number of pods.
        asked: u32,
        /// The live number of pods.
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
                "set PG_ROOT_PASSWORD, PG_PRIMARY_PASSWORD and PG_PASSWORD to the passwords of the data",
                "pgset down --delete-data  # deletes the data",
            ],
            Self::FirstStartOnly { keys, .. } => {
                let variables: Vec<_> = keys.iter().map(|key| variable(key)).collect();
                return vec![
                    format!(
                        "to keep the values in the Secret: unset {}, and omit --password-file",
                        variables.join(" ")
                    ),
                    "to change the password of an existing role: pgset password rotate, with --password-file FILE to choose it".to_owned(),
                ];
            }
            Self::Immutable { object, .. } if object.kind == Kind::StatefulSet => &[
                "without --storage and --access-mode the set keeps what it has; for other storage, create another set: --name NAME",
            ],
            Self::DataMoves { .. } => &[
                "without --storage the set keeps its data where it is; for other storage, create another set: --name NAME",
            ],
            Self::Immutable { object, .. } if object.kind == Kind::PersistentVolume => {
                &["--volume-prefix PREFIX (PGSET_VOLUME_PREFIX) creates volumes with other names"]
            }
            Self::Immutable { .. } => &["--name NAME (PGSET_NAME) creates another set"],
            Self::Shrinks { from, .. } | Self::GrowsStatic { from, .. } => {
                return vec![format!("without --size (PGSET_SIZE) the claims keep {from}")];
            }
            Self::Released { volume, .. } => {
                return vec![format!(
                    "kubectl patch pv {} --type=merge -p '{{\"spec\":{{\"claimRef\":null}}}}' (makes it available again, with its data)",
                    volume.name
                )];
            }
            Self::Taken { .. } => {
                &["--volume-prefix PREFIX (PGSET_VOLUME_PREFIX) creates volumes with other names"]
            }
            Self::SharedDirectory { .. } => &["--name NAME, or another directory with --storage"],
            Self::Terminating { object } => {
                let namespace =
                    object.namespace.as_ref().map(|n| format!(" -n {n}")).unwrap_or_default();
                return vec![format!(
                    "kubectl wait --for=delete {}/{}{namespace}, then run the same command again",
                    object.kind.name().to_lowercase(),
                    object.name
                )];
            }
            Self::FieldConflict { .. } => &["--force-conflicts takes these fields over"],
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

/// The environment variable that sets a key of the Secret.
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
