//! The templates of each profile that are in the binary.

macro_rules! built_in {
    ($($profile:literal: [$($name:literal),+ $(,)?]),+ $(,)?) => {
        &[$($(($profile, $name,
            include_str!(concat!("../../templates/", $profile, "/", $name)))),+),+]
    };
}

/// Profile, name and text of each template in the binary.
pub(crate) const BUILT_IN: &[(&str, &str, &str)] = built_in! {
    "crunchy": [
        "serviceaccount.yaml.j2", "role.yaml.j2", "rolebinding.yaml.j2", "secret.yaml.j2",
        "persistentvolumes.yaml.j2", "persistentvolumeclaim.yaml.j2", "services.yaml.j2",
        "statefulset.yaml.j2",
    ],
    "postgres": [
        "serviceaccount.yaml.j2", "role.yaml.j2", "rolebinding.yaml.j2", "secret.yaml.j2",
        "configmap.yaml.j2", "persistentvolumes.yaml.j2", "persistentvolumeclaim.yaml.j2",
        "services.yaml.j2", "networkpolicy.yaml.j2", "poddisruptionbudget.yaml.j2",
        "statefulset.yaml.j2", "tls.yaml.j2", "scripts.yaml.j2", "postgresql.conf.j2", "pg_hba.conf.j2",
        "bootstrap.sh", "topology.sh", "volume.sh", "configuration.sh", "history.sh", "master.sh", "replica.sh",
        "tablespaces.sh", "server.sh", "switch.sh", "bootstrap-previous.sh",
    ],
};
