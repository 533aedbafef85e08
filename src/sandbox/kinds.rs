//! The supported kinds: those that pgset applies or reads, and those that `kubectl describe` needs.

/// A kind of object.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// `v1`.
    pub version: &'static str,
    /// The plural name, in paths and Roles: `statefulsets`.
    pub plural: &'static str,
    /// `StatefulSet`.
    pub kind: &'static str,
    /// Short names for kubectl: `sts`.
    pub short: &'static [&'static str],
    /// Whether the kind is namespaced.
    pub namespaced: bool,
    /// Whether `metadata.generation` counts the changes of `spec`.
    pub counted: bool,
    /// The subresources, as `status`.
    pub subresources: &'static [&'static str],
}

macro_rules! resources {
    ($($name:ident: $group:literal $plural:literal $kind:literal $short:expr, $namespaced:literal,
       $counted:literal, $subresources:expr;)+) => {
        $(
            #[doc = concat!("`", $plural, "`")]
            pub static $name: Resource = Resource {
                group: $group, version: "v1", plural: $plural, kind: $kind, short: &$short,
                namespaced: $namespaced, counted: $counted, subresources: &$subresources,
            };
        )+
        /// All kinds.
        pub static RESOURCES: &[&Resource] = &[$(&$name),+];
    };
}

resources! {
    NAMESPACES: "" "namespaces" "Namespace" ["ns"], false, false, ["status"];
    NODES: "" "nodes" "Node" ["no"], false, false, ["status", "power"];
    SERVICE_ACCOUNTS: "" "serviceaccounts" "ServiceAccount" ["sa"], true, false, ["token"];
    SECRETS: "" "secrets" "Secret" [], true, false, [];
    CONFIG_MAPS: "" "configmaps" "ConfigMap" ["cm"], true, false, [];
    VOLUMES: "" "persistentvolumes" "PersistentVolume" ["pv"], false, false, ["status"];
    CLAIMS: "" "persistentvolumeclaims" "PersistentVolumeClaim" ["pvc"], true, false, ["status"];
    SERVICES: "" "services" "Service" ["svc"], true, false, ["status"];
    PODS: "" "pods" "Pod" ["po"], true, true, ["status", "log", "exec"];
    EVENTS: "" "events" "Event" ["ev"], true, false, [];
    STATEFUL_SETS: "apps" "statefulsets" "StatefulSet" ["sts"], true, true, ["status", "scale"];
    REVISIONS: "apps" "controllerrevisions" "ControllerRevision" [], true, false, [];
    QUOTAS: "" "resourcequotas" "ResourceQuota" ["quota"], true, false, ["status"];
    LIMIT_RANGES: "" "limitranges" "LimitRange" ["limits"], true, false, [];
    ROLES: "rbac.authorization.k8s.io" "roles" "Role" [], true, false, [];
    ROLE_BINDINGS: "rbac.authorization.k8s.io" "rolebindings" "RoleBinding" [], true, false, [];
    STORAGE_CLASSES: "storage.k8s.io" "storageclasses" "StorageClass" ["sc"], false, false, [];
    SLICES: "discovery.k8s.io" "endpointslices" "EndpointSlice" [], true, false, [];
    NETWORK_POLICIES: "networking.k8s.io" "networkpolicies" "NetworkPolicy" ["netpol"], true, true, [];
    LEASES: "coordination.k8s.io" "leases" "Lease" [], true, false, [];
    BUDGETS: "policy" "poddisruptionbudgets" "PodDisruptionBudget" ["pdb"], true, true, ["status"];
}

impl Resource {
    /// `apps/v1`, or `v1` for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The name in messages: `statefulsets.apps`.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The kind with this group and plural name.
    #[must_use]
    pub fn of(group: &str, plural: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|r| r.group == group && r.plural == plural).copied()
    }

    /// The kind of a document with these fields.
    #[must_use]
    pub fn of_kind(api_version: &str, kind: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|r| r.kind == kind && r.api_version() == api_version).copied()
    }
}
