//! Options that decide which objects a set consists of: `up`, `diff`, `render` and `env` have them.
//!
//! The first line of each comment is the help of `-h`; the whole comment is the help of `--help`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::image::ProfileName;

const REPLICATION: &str = "Replication";
const IMAGE: &str = "Image";
const STORAGE: &str = "Storage";
const POSTGRESQL: &str = "PostgreSQL (official image only)";
const TLS: &str = "TLS (official image only)";
const PODS: &str = "Pods (official image only)";
const RIGHTS: &str = "Rights";
const TEMPLATES: &str = "Templates";

/// Options that decide which objects a set consists of.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Number of pods [default: current, else 2]
    ///
    /// The master is included: 3 is one master and two replicas. The default is the current number of pods;
    /// a new set gets 2. The maximum is 31, or 6 with the article's image, because of `max_wal_senders`.
    #[arg(long, help_heading = REPLICATION, value_name = "N", allow_negative_numbers = true)]
    pub replicas: Option<String>,
    /// Replicas that must confirm a commit [default: current]
    ///
    /// With N > 0 a commit waits until any N replicas have written it to disk; 0 is asynchronous
    /// replication. While fewer than N replicas are up, commits wait. N must be smaller than the number of
    /// pods. The default is the current value; a new set gets 0. Official image only.
    #[arg(long, help_heading = REPLICATION, value_name = "N", allow_negative_numbers = true)]
    pub synchronous: Option<String>,
    /// How far a replica may be behind [default: 1Gi]
    ///
    /// A replica that has this much of the log still to replay is not ready: the Service of the replicas leaves
    /// it out until it has caught up. The same after 5 minutes in which it did not replay what it has received.
    /// A replica that can't know how far it is behind, because the master is away, stays ready. A number of
    /// bytes with a suffix, at least 16Mi. No pod restarts. Official image only.
    ///
    /// Example: --max-lag 4Gi
    #[arg(long, help_heading = REPLICATION, value_name = "SIZE", allow_negative_numbers = true)]
    pub max_lag: Option<String>,
    /// Container image [default: postgres:17]
    ///
    /// The official image of PostgreSQL 13 to 18, an image that is based on it, or an image of
    /// crunchydata/crunchy-postgres with a tag from 1.2.6 to 2.4.2. The default is postgres:17, or the
    /// article's image if `CCP_IMAGE_TAG` is set.
    ///
    /// Example: --image registry.example.com/postgres:17.6
    #[arg(long, help_heading = IMAGE, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Major version, 13 to 18: the image postgres:N
    ///
    /// The major version of an existing set cannot be changed.
    ///
    /// Example: --postgres-version 16
    #[arg(long, help_heading = IMAGE, value_name = "N", conflicts_with = "image",
          allow_negative_numbers = true)]
    pub postgres_version: Option<String>,
    /// How to run the image: crunchy or postgres
    ///
    /// How pgset runs the image: crunchy for Crunchy's images of 2017 to 2019, postgres for the official
    /// image and images that are based on it. The default is crunchy if the image's name starts with
    /// crunchy-postgres, else postgres.
    #[arg(long, help_heading = IMAGE, value_name = "PROFILE", hide_possible_values = true)]
    pub profile: Option<ProfileName>,
    /// Where the data is stored.
    #[arg(
        long,
        help_heading = STORAGE,
        value_name = "STORAGE",
        help = "class[:NAME], claim:NAME, nfs://, hostpath:/",
        long_help = "\
Where the data is stored. The default is class; with the article's image nfs://LOCAL_IP/nfsfileshare.

  class              a claim per pod, from the default StorageClass
  class:NAME         a claim per pod, from this StorageClass
  claim:NAME         an existing claim for all pods
  nfs://SERVER/PATH  volumes on an NFS export, one claim for all pods
  hostpath:/PATH     volumes on the node, one claim for all pods

The storage of an existing set cannot be changed."
    )]
    pub storage: Option<String>,
    /// Size that each claim requests [default: 1Gi]
    ///
    /// A number of bytes with a suffix: Ki, Mi, Gi, Ti or k, M, G, T. Claims of a StorageClass can grow if
    /// the class allows it; no claim can shrink.
    ///
    /// Example: --size 20Gi
    #[arg(long, help_heading = STORAGE, value_name = "QUANTITY", allow_negative_numbers = true)]
    pub size: Option<String>,
    /// ReadWriteOnce, ReadWriteMany, ReadWriteOncePod
    ///
    /// Access mode of volumes and claims; rwo, rwx and rwop for short. The default is ReadWriteOnce for a
    /// claim per pod and ReadWriteMany for a shared claim.
    #[arg(long, help_heading = STORAGE, value_name = "MODE")]
    pub access_mode: Option<String>,
    /// Prefix of static volume names [default: pv]
    ///
    /// With nfs and hostpath storage, the names of the PersistentVolumes: pv gives pv1, pv2, pv3.
    /// PersistentVolumes are cluster-scoped, so a second set needs another prefix.
    #[arg(long, help_heading = STORAGE, value_name = "PREFIX")]
    pub volume_prefix: Option<String>,
    /// PostgreSQL setting, repeatable [default: current]
    ///
    /// The settings are checked by the running server, then reloaded. If a setting needs a restart, pgset
    /// asks first and restarts the pods one by one. The other settings of the set stay; --reset set.NAME
    /// removes one.
    ///
    /// Example: `--set work_mem=64MB --set max_connections=200`
    #[arg(long, help_heading = POSTGRESQL, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// File with PostgreSQL settings [default: current]
    ///
    /// In the syntax of postgresql.conf. It is the whole list: a setting that is not in it is removed. --set
    /// takes precedence over it. An empty file, such as /dev/null, removes all settings.
    #[arg(long, help_heading = POSTGRESQL, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Require TLS on every connection [default: current]
    ///
    /// pgset generates a CA and a certificate, and renews the certificate. --tls=false disables TLS. The
    /// default is the current state; a new set has no TLS. No connection is interrupted by the change.
    #[arg(long, help_heading = TLS, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub tls: Option<String>,
    /// Secret with your ca.crt, tls.crt and tls.key
    ///
    /// Requires TLS with your certificate, such as one from cert-manager, instead of one that pgset
    /// generates. pgset reads the Secret and never writes it.
    #[arg(long, help_heading = TLS, value_name = "SECRET")]
    pub tls_secret: Option<String>,
    /// Requests: cpu=500m,memory=1Gi
    ///
    /// Resource requests of each container: cpu, memory, ephemeral-storage. The default is
    /// cpu=100m,memory=256Mi,ephemeral-storage=64Mi, which suits a trial. Repeatable.
    ///
    /// Example: --requests cpu=1,memory=4Gi
    #[arg(long, help_heading = PODS, value_name = "RESOURCES")]
    pub requests: Vec<String>,
    /// Limits: cpu=2,memory=1Gi; cpu=none
    ///
    /// Resource limits of each container. The default is cpu=2,memory=1Gi,ephemeral-storage=1Gi; none
    /// removes a limit. Repeatable.
    ///
    /// Example: --limits memory=4Gi,cpu=none
    #[arg(long, help_heading = PODS, value_name = "RESOURCES")]
    pub limits: Vec<String>,
    /// Label that a node must have
    ///
    /// Repeatable.
    ///
    /// Example: --node-selector disk=ssd
    #[arg(long, help_heading = PODS, value_name = "KEY=VALUE")]
    pub node_selector: Vec<String>,
    /// Taint to tolerate
    ///
    /// In the syntax of kubectl taint: KEY=VALUE:EFFECT, KEY:EFFECT or KEY. Repeatable.
    ///
    /// Example: --toleration dedicated=db:NoSchedule
    #[arg(long, help_heading = PODS, value_name = "TAINT")]
    pub toleration: Vec<String>,
    /// Secret of the image's registry
    ///
    /// An existing Secret of the type kubernetes.io/dockerconfigjson. Repeatable.
    #[arg(long, help_heading = PODS, value_name = "SECRET")]
    pub image_pull_secret: Vec<String>,
    /// Label of every object and pod
    ///
    /// Repeatable.
    ///
    /// Example: --label team=shop
    #[arg(long, help_heading = PODS, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Annotation of objects and pods
    ///
    /// Repeatable.
    ///
    /// Example: --annotation example.com/owner=shop
    #[arg(long, help_heading = PODS, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Block clients in other namespaces
    ///
    /// Creates a NetworkPolicy: only pods of the set's namespace can connect. The default is false, which
    /// creates no NetworkPolicy. The network plugin of the cluster must support NetworkPolicy.
    #[arg(long, help_heading = PODS, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub network_policy: Option<String>,
    /// Time to stop a pod [default: 10m]
    ///
    /// When it is over, Kubernetes kills the pod, and PostgreSQL needs crash recovery at its next start.
    /// Units h, m and s, or a plain number of seconds.
    #[arg(long, help_heading = PODS, value_name = "DURATION", allow_negative_numbers = true)]
    pub termination_grace_period: Option<String>,
    /// User ID of PostgreSQL in the image
    ///
    /// For an image whose tag does not tell it, such as one that is named by its digest alone: 999 in images
    /// based on Debian, 70 in those based on Alpine. The default depends on the tag. The files of the data belong
    /// to this user, so it can't be changed once there is data.
    ///
    /// Example: --user-id 70
    #[arg(long, help_heading = PODS, value_name = "UID", allow_negative_numbers = true)]
    pub user_id: Option<String>,
    /// Existing ServiceAccount for the pods
    ///
    /// For a user who may not create Roles: pgset creates no ServiceAccount, Role and RoleBinding, and never
    /// changes or deletes this one. The rights that the pods need are checked before anything is written. By
    /// default pgset creates the ServiceAccount NAME-sa; --reset service-account goes back to it.
    ///
    /// Example: --service-account database
    #[arg(long, help_heading = RIGHTS, value_name = "NAME")]
    pub service_account: Option<String>,
    /// Directory with your templates
    ///
    /// A template in this directory replaces the built-in template with the same path. The default is
    /// $BUILDBASE/templates, if it exists. `pgset templates export DIR` writes the built-in templates.
    #[arg(long, help_heading = TEMPLATES, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub templates: Option<PathBuf>,
}
