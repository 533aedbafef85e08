//! The replication slots of replicas that are removed and added.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::AttachParams;

use crate::support::seconds;
use crate::support::space::{Image, Space};

const SLOTS: &str =
    "select coalesce(string_agg(slot_name, ',' order by slot_name), '') from pg_replication_slots";

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_slot_goes_with_its_replica_and_comes_back_with_it() {
    let space = Space::of(Image::Official, "slots").await;
    space.pgset("up --replicas 3").run().await.ok();
    let slots = async || space.sql("pgset-0", "postgres", SLOTS).await.unwrap();
    assert_eq!(slots().await, "pgset_1,pgset_2");
    let down = space.pgset("scale -v --replicas 2").run().await.ok();
    down.says("its data is kept").says("replication slot pgset_2 dropped");
    assert_eq!(slots().await, "pgset_1");
    let claims = space.api::<PersistentVolumeClaim>();
    assert!(claims.get_opt("pgdata-pgset-2").await.unwrap().is_some(), "the claim is kept");
    space.sql("pgset-0", "userdb", "create table meanwhile as select 7 as x").await.unwrap();
    // The new pod uses the kept claim, and gets what was written in between.
    space.pgset("scale --replicas 3").run().await.ok();
    assert_eq!(slots().await, "pgset_1,pgset_2");
    space.sql_yields("pgset-2", "userdb", "select x from meanwhile", "7").await;
    // `up` drops slots like `scale` if it lowers the number of pods, otherwise it leaves all slots.
    space.pgset("up -v --replicas 2").run().await.ok().says("replication slot pgset_2 dropped");
    space
        .sql("pgset-0", "postgres", "select pg_create_physical_replication_slot('pgset_9')")
        .await
        .unwrap();
    space.pgset("up").run().await.ok();
    assert_eq!(slots().await, "pgset_1,pgset_9");
    // The set never had a pod pgset-9, so the slot is another client's.
    space.pgset("scale --replicas 1").run().await.ok();
    assert_eq!(slots().await, "pgset_9");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_slot_that_is_still_in_use_is_waited_for() {
    let space = Space::of(Image::Official, "inuse").await;
    space.pgset("up --replicas 3").run().await.ok();
    space.pgset("scale --replicas 2 --no-wait").run().await.ok();
    let active = "select active from pg_replication_slots where slot_name = 'pgset_2'";
    space.sql_yields("pgset-0", "postgres", active, "f").await;
    let made = "select pg_create_physical_replication_slot('backup')";
    space.sql("pgset-0", "postgres", made).await.unwrap();
    // A client streams from the slot of a deleted pod.
    let command = "mkdir -p /tmp/wal && echo $$ >/tmp/wal/pid && PGPASSFILE=/run/pgset/passfile exec pg_receivewal -w -D /tmp/wal -S pgset_2 -d 'host=pgset-master user=primaryuser application_name=straggler'";
    let pods = space.api::<Pod>();
    let params = AttachParams::default().stdout(true).stderr(true).container("postgres");
    let straggler = pods.exec("pgset-1", ["bash", "-c", command], &params).await.unwrap();
    space.sql_yields("pgset-0", "postgres", active, "t").await;

    let given_up = space.pgset("scale --replicas 2 --timeout 12s").run().await.exits(70);
    given_up.says("pgset_2 is still used by straggler").within(seconds(30));
    let scale = space.pgset("scale -v --replicas 2").spawn();
    scale.says("waiting until it is inactive").await;
    let end = "select pg_terminate_backend(pid) from pg_stat_replication where application_name = 'straggler'";
    drop(straggler);
    // pg_receivewal reconnects by itself, so it must be killed, too.
    let kill = ["bash", "-c", "kill $(</tmp/wal/pid)"];
    space.exec("pgset-1", &kill).await.unwrap();
    space.sql("pgset-0", "postgres", end).await.unwrap();
    scale.finish().await.ok().says("replication slot pgset_2 dropped");
    // Slots that do not belong to a pod are ignored.
    assert_eq!(space.sql("pgset-0", "postgres", SLOTS).await.unwrap(), "backup,pgset_1");
}
