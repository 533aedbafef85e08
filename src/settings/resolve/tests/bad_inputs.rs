//! Refused inputs. The message names field, value and source; the hint says how to correct the input.

use super::case;
use crate::error::Diagnose;

/// Command line and variables; the beginning of the message; the first hint.
const BAD_INPUTS: &[(&str, &str, &str)] = &[
    (
        "--replicas 0",
        "number of pods \"0\" (from --replicas) must be a whole number from 1",
        "to stop the set: pgset stop",
    ),
    ("--replicas -1", "number of pods \"-1\" (from --replicas) must be a whole", ""),
    (
        "PGSET_REPLICAS=1000000000",
        "number of pods \"1000000000\" (from PGSET_REPLICAS) must be a whole",
        "",
    ),
    ("--tls yes", "TLS \"yes\" (from --tls) must be true or false", ""),
    ("PGSET_TLS=1", "TLS \"1\" (from PGSET_TLS) must be true or false", ""),
    (
        "--tls false --tls-secret mine",
        "TLS \"false\" (from --tls) must not be false together with a Secret for TLS (from --tls-secret)",
        "leave one of them out",
    ),
    (
        "--tls-secret My_Secret",
        "TLS secret \"My_Secret\" (from --tls-secret) must be the name of a Secret",
        "",
    ),
    ("--replicas 2.5", "number of pods \"2.5\" (from --replicas) must be a whole", ""),
    ("--replicas three", "number of pods \"three\" (from --replicas) must be a whole", ""),
    (
        "CCP_IMAGE_TAG=centos7-9.5-1.2.6 --replicas 7",
        "number of pods \"7\" (from --replicas) must be at most 6: max_wal_senders = 6 allows 5 replicas",
        "",
    ),
    (
        "--replicas 32",
        "number of pods \"32\" (from --replicas) must be at most 31: max_wal_senders = 64 allows 30 replicas",
        "",
    ),
    (
        "--postgres-version 12",
        "PostgreSQL version \"12\" (from --postgres-version) must be PostgreSQL 13 to 18: 12 has no pg_verifybackup",
        "an image that works: postgres:17",
    ),
    (
        "PGSET_POSTGRES_VERSION=19",
        "PostgreSQL version \"19\" (from PGSET_POSTGRES_VERSION) must be PostgreSQL 13 to 18: 19 is not supported",
        "an image that works: postgres:17",
    ),
    (
        "--postgres-version 17.2",
        "PostgreSQL version \"17.2\" (from --postgres-version) must be a major version",
        "for a minor version or a variant: --image postgres:17.2-bookworm",
    ),
    (
        "PGSET_IMAGE=postgres:16 PGSET_POSTGRES_VERSION=15",
        "PostgreSQL version \"15\" (from PGSET_POSTGRES_VERSION) must not be given together with PGSET_IMAGE",
        "leave one of them out",
    ),
    (
        "--image postgres:9.6",
        "image \"postgres:9.6\" (from --image) must be PostgreSQL 13 to 18: 9 has no pg_verifybackup",
        "an image that works: postgres:17",
    ),
    ("--name PgSet", "set name \"PgSet\" (from --name) must be at most 52", "did you mean pgset?"),
    (
        "PGSET_NAME=pg.set",
        "set name \"pg.set\" (from PGSET_NAME) must be at most 52",
        "did you mean pg-set?",
    ),
    (
        "--name aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefff",
        "set name \"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefff\" (from --name) must be at most 52",
        "did you mean aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeff?",
    ),
    (
        "--name pgset-master",
        "set name \"pgset-master\" (from --name) must not end in -master",
        "did you mean pgsetmaster?",
    ),
    (
        "CCP_IMAGE_TAG=centos7-9.6-1.4.1-1 --name my-set",
        "set name \"my-set\" (from --name) must not have a dash with crunchydata/crunchy-postgres:centos7-9.6-1.4.1-1",
        "did you mean myset?",
    ),
    (
        "PGSET_NAMESPACE=kube-system",
        "namespace \"kube-system\" (from PGSET_NAMESPACE) must be given by flag",
        "to use it anyway: --namespace kube-system",
    ),
    (
        "CCP_NAMESPACE=kube-public",
        "namespace \"kube-public\" (from CCP_NAMESPACE) must be given by flag",
        "to use it anyway: --namespace kube-public",
    ),
    (
        "--namespace Shop",
        "namespace \"Shop\" (from --namespace) must be at most 63",
        "did you mean shop?",
    ),
    ("CCP_IMAGE_TAG=4.4!", "image tag \"4.4!\" (from CCP_IMAGE_TAG) must not contain '!'", ""),
    (
        "CCP_IMAGE_TAG=centos8-13.3-4.7.0",
        "image \"crunchydata/crunchy-postgres:centos8-13.3-4.7.0\" (from CCP_IMAGE_TAG) must be of Crunchy's containers 1.2.6 to 2.4.2: 4.7.0 no longer supports PG_MODE=set",
        "an image that works: crunchydata/crunchy-postgres:centos7-9.5-1.2.6; newer PostgreSQL: --image postgres:17",
    ),
    (
        "CCP_IMAGE_TAG=centos7-9.5-1.2.5",
        "image \"crunchydata/crunchy-postgres:centos7-9.5-1.2.5\" (from CCP_IMAGE_TAG) must be of Crunchy's containers",
        "an image that works: crunchydata/crunchy-postgres:centos7-9.5-1.2.6; newer PostgreSQL: --image postgres:17",
    ),
    (
        "CCP_IMAGE_TAG=x CCP_IMAGE_PREFIX=Crunchy",
        "image prefix \"Crunchy\" (from CCP_IMAGE_PREFIX) must have a repository without upper-case letters",
        "did you mean crunchy?",
    ),
    (
        "--image crunchydata/crunchy-postgres",
        "image \"crunchydata/crunchy-postgres\" (from --image) must have a tag",
        "an image that works: crunchydata/crunchy-postgres:centos7-9.5-1.2.6",
    ),
    (
        "--crunchy",
        "image \"postgres:17\" (from default) must have a tag that ends in the version",
        "an image that works: crunchydata/crunchy-postgres:centos7-9.5-1.2.6",
    ),
    ("PGSET_IMAGE=a//b", "image \"a//b\" (from PGSET_IMAGE) must not have an empty component", ""),
    (
        "PGSET_PROFILE=mysql",
        "profile \"mysql\" (from PGSET_PROFILE) must be crunchy or postgres",
        "",
    ),
    (
        "--size 10GB?",
        "size \"10GB?\" (from --size) must be a whole number of bytes",
        "did you mean 10G?",
    ),
    ("PGSET_SIZE=0", "size \"0\" (from PGSET_SIZE) must be more than 0 bytes", ""),
    (
        "CCP_STORAGE_CAPACITY=100MB",
        "size \"100MB\" (from CCP_STORAGE_CAPACITY) must be a whole",
        "did you mean 100M?",
    ),
    (
        "--storage nfs://10.0.0.5",
        "storage \"nfs://10.0.0.5\" (from --storage) must be nfs://SERVER/PATH",
        "did you mean nfs://10.0.0.5/nfsfileshare?",
    ),
    (
        "PGSET_STORAGE=hostpath:x",
        "storage \"hostpath:x\" (from PGSET_STORAGE) must be hostpath:/PATH",
        "did you mean hostpath:/x?",
    ),
    (
        "CCP_NFS_IP=10.0.0.5/x",
        "NFS server \"10.0.0.5/x\" (from CCP_NFS_IP) must name the NFS server",
        "set CCP_NFS_IP or LOCAL_IP to 10.0.0.5, and CCP_STORAGE_PATH to /x",
    ),
    (
        "CCP_NFS_IP=a CCP_STORAGE_PATH=nfs",
        "NFS path \"nfs\" (from CCP_STORAGE_PATH) must have an absolute path",
        "did you mean /nfs?",
    ),
    (
        "CCP_NFS_IP=a CCP_STORAGE_PATH=/x/../y",
        "NFS path \"/x/../y\" (from CCP_STORAGE_PATH) must have a path without ..",
        "",
    ),
    (
        "CCP_NFS_IP=a CCP_STORAGE_CLASS=fast",
        "storage class \"fast\" (from CCP_STORAGE_CLASS) must not be set together with CCP_NFS_IP",
        "unset one of them, or use --storage class:fast",
    ),
    (
        "CCP_STORAGE_PATH=/x CCP_STORAGE_CLASS=fast",
        "storage class \"fast\" (from CCP_STORAGE_CLASS) must not be set together with CCP_STORAGE_PATH",
        "unset one of them, or use --storage class:fast",
    ),
    (
        "CCP_STORAGE_CLASS=Fast",
        "storage class \"Fast\" (from CCP_STORAGE_CLASS) must be class:NAME",
        "did you mean class:fast?",
    ),
    ("--access-mode ROX", "access mode \"ROX\" (from --access-mode) must let PostgreSQL write", ""),
    ("CCP_STORAGE_MODE=x", "access mode \"x\" (from CCP_STORAGE_MODE) must be ReadWriteOnce, ", ""),
    (
        "--storage hostpath:/x --access-mode RWOP",
        "access mode \"ReadWriteOncePod\" (from --access-mode) must allow more than one pod",
        "--access-mode ReadWriteMany, or a claim per pod: --storage class",
    ),
    (
        "--volume-prefix PV",
        "volume prefix \"PV\" (from --volume-prefix) must be at most 240",
        "did you mean pv?",
    ),
    (
        "--templates nowhere",
        "templates \"nowhere\" (from --templates) must be a directory",
        "to start from the built-in templates: pgset templates export nowhere",
    ),
    (
        "PGSET_TEMPLATES=nowhere",
        "templates \"nowhere\" (from PGSET_TEMPLATES) must be a directory",
        "to start from the built-in templates: pgset templates export nowhere",
    ),
    ("PG_USER=pg_x", "application's role \"pg_x\" (from PG_USER) must not begin with pg_", ""),
    ("PG_USER=postgres", "application's role \"postgres\" (from PG_USER) must not be postgres", ""),
    (
        "PG_USER=o'neil",
        "application's role \"o'neil\" (from PG_USER) must be at most 63",
        "did you mean oneil?",
    ),
    (
        "PG_DATABASE=my-db",
        "database \"my-db\" (from PG_DATABASE) must be at most 63",
        "did you mean my_db?",
    ),
    ("PG_DATABASE=pg_x", "database \"pg_x\" (from PG_DATABASE) must not begin with pg_", ""),
    (
        "PG_USER=a PG_PRIMARY_USER=a",
        "application's role \"a\" (from PG_USER) must differ from the replication role",
        "set PG_USER and PG_PRIMARY_USER to different names",
    ),
    (
        "PG_PRIMARY_USER=a PG_MASTER_USER=b",
        "replication role \"a\" (from PG_PRIMARY_USER) must be the same as PG_MASTER_USER (\"b\"), the older name",
        "unset PG_MASTER_USER",
    ),
    (
        "CCP_IMAGE_TAG=centos7-9.5-1.2.6 CCP_NFS_IP=a PG_USER=user",
        "application's role \"user\" (from PG_USER) must not be a word that SQL reserves",
        "did you mean user_1?",
    ),
    (
        "CCP_IMAGE_TAG=centos7-9.5-1.2.6 CCP_NFS_IP=a PG_DATABASE=order",
        "database \"order\" (from PG_DATABASE) must not be a word that SQL reserves",
        "did you mean order_1?",
    ),
    (
        "CCP_IMAGE_TAG=centos7-9.5-1.2.6 CCP_NFS_IP=a PG_MASTER_USER=primary",
        "replication role \"primary\" (from PG_MASTER_USER) must not be a word that SQL reserves",
        "did you mean primary_1?",
    ),
];

#[test]
fn bad_inputs_name_field_source_and_fix() {
    for (line, start, hint) in BAD_INPUTS {
        let error = case(line).refused();
        let text = error.to_string();
        assert!(text.starts_with(start), "{line}:\n  {text}\n  {start}");
        assert_eq!(error.hints().first().map_or("", String::as_str), *hint, "{line}");
    }
}
