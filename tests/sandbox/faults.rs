//! Injected faults. The list of faults numbers them:
//!
//! | number | fault | tests |
//! | --- | --- | --- |
//! | 1, 2, 3 | 429, temporary 5xx, permanent 503 | [`answers`] |
//! | 4, 5, 6 | broken connections, invalid answers, a server that hangs | [`answers`] |
//! | 7 | watches that expire, end, or deliver nothing | [`watches`] |
//! | 8 | another field manager | [`cluster`] |
//! | 9, 10 | a missing right, expired credentials | [`answers`] |
//! | 11 | killed before and after every request that may change something | `killed`, `transitions` |
//! | 12, 13, 14 | signals, two runs at once, a wrong clock | [`watches`] |
//! | 15 | no connection to a cluster | [`answers`] |
//! | 16, 17, 18 | claims, failing pods, a dead node | [`cluster`] |
//! | 19 to 29, 33, 34 | faults of PostgreSQL: the bootstrap script's tests and the end-to-end suite | |
//! | 30, 31 | a finalizer that is never removed, objects that are replaced or terminating | [`cluster`] |
//! | 32 | passwords | `passwords` |
//! | 43 | two writing commands at once | `lease` |
//! | 44, 47, 48 | a change during a wait, rewritten labels, a wrong label of the master | `strangers` |
//!
//! Invalid inputs are in `inputs`. Most of these tests run in a sandbox of stand-ins (`quick`),
//! because they are about objects in the cluster. [`TESTS`] lists the tests of each number, so that
//! a missing one is noticed.

mod answers;
mod cluster;
mod watches;

use std::time::Duration;

use http::Method;
use pgset::sandbox::faults::Fault;
use pgset::sandbox::refusal::Refusal;

use super::{World, inputs, killed, lease, passwords, strangers, transitions};
use crate::support::seconds;

/// Tests by name.
type Tests = &'static [fn()];

/// The tests of each number. Number 0 is the list of invalid inputs.
const TESTS: &[(u32, Tests)] = &[
    (
        0,
        &[
            inputs::bad_inputs_are_refused_before_any_request,
            inputs::a_size_that_shrinks_is_refused_before_any_write,
            inputs::values_stay_the_texts_that_they_are,
            inputs::a_question_that_nobody_can_answer_changes_nothing,
            inputs::files::files_with_passwords,
            inputs::files::kubeconfigs,
            inputs::files::templates,
        ],
    ),
    (1, &[answers::too_many_requests_are_waited_for_as_told]),
    (2, &[answers::failures_that_pass_are_tried_again]),
    (3, &[answers::an_unavailable_server_is_given_up_at_the_deadline]),
    (4, &[answers::a_connection_that_is_reset_makes_nothing_twice]),
    (
        5,
        &[
            answers::an_answer_that_is_no_json_is_an_error_and_no_panic,
            answers::an_answer_that_is_cut_is_asked_for_again,
        ],
    ),
    (6, &[answers::a_server_that_hangs_is_given_up_at_the_deadline]),
    (
        7,
        &[
            watches::watches_that_end_or_expire_are_begun_again,
            watches::watches_that_are_ended_while_they_wait_are_begun_again,
            watches::bookmarks_alone_are_no_success,
        ],
    ),
    (
        8,
        &[
            cluster::a_conflict_names_field_and_manager_and_is_taken_over_by_force,
            cluster::a_foreign_object_is_left_alone,
        ],
    ),
    (9, &[answers::a_missing_right_is_found_before_the_first_write]),
    (10, &[answers::credentials_that_run_out_while_waiting_are_read_once_more]),
    (
        11,
        &[
            killed::up_of_the_article_s_image,
            killed::growing_of_the_article_s_image,
            killed::shrinking_of_the_article_s_image,
            killed::down_of_the_article_s_image,
            killed::up_of_the_official_s_image,
            killed::growing_of_the_official_s_image,
            killed::shrinking_of_the_official_s_image,
            killed::down_of_the_official_s_image,
            killed::the_article_s_image_with_postgres,
            killed::the_official_image_with_postgres,
            transitions::a_switchover_that_is_killed_is_completed_or_backed_out,
            transitions::a_failover_that_is_killed_is_completed_or_backed_out,
            transitions::a_failover_of_a_lost_volume_that_is_killed_is_completed_or_backed_out,
            transitions::a_switchover_whose_new_master_is_lost_is_taken_over,
            transitions::a_rejoin_that_is_killed_is_resumed,
        ],
    ),
    (
        12,
        &[
            watches::a_signal_says_what_was_done_and_how_to_go_on,
            watches::a_second_ctrl_c_ends_at_once,
            watches::a_reader_that_goes_away_is_no_panic,
        ],
    ),
    (13, &[watches::two_at_once_have_one_result]),
    (14, &[watches::the_server_s_clock_does_not_matter, cluster::no_such_image_whatever_the_clock]),
    (15, &[answers::no_way_to_a_cluster_is_named_within_the_connect_timeout]),
    (
        16,
        &[
            cluster::a_class_that_is_not_there_is_found_before_the_first_write,
            cluster::a_claim_that_stays_pending_says_why,
        ],
    ),
    (
        17,
        &[
            cluster::no_such_image,
            cluster::a_crash_loop,
            cluster::out_of_memory,
            cluster::a_quota,
            cluster::pod_security,
            cluster::unschedulable,
            cluster::a_mount_that_fails,
        ],
    ),
    (18, &[cluster::a_pod_of_a_dead_node_is_never_forced]),
    (30, &[cluster::a_finalizer_that_never_goes_is_named_and_the_data_stays]),
    (
        31,
        &[
            cluster::a_namespace_that_is_going_gets_nothing,
            cluster::an_object_that_was_replaced_meanwhile_is_not_deleted,
            cluster::a_set_that_was_replaced_while_it_is_waited_for_is_not_taken_for_ours,
        ],
    ),
    (
        32,
        &[
            passwords::the_article_s_passwords_show_nowhere,
            passwords::the_official_image_s_passwords_show_nowhere,
            passwords::the_article_s_passwords_show_nowhere_with_postgres,
            passwords::the_official_image_s_passwords_show_nowhere_with_postgres,
        ],
    ),
    (
        43,
        &[
            lease::a_second_command_waits_says_for_whom_and_makes_a_new_plan,
            lease::the_lease_of_a_killed_command_is_taken_over,
        ],
    ),
    (44, &[strangers::a_change_in_the_middle_of_a_wait_ends_it]),
    (47, &[strangers::a_set_whose_labels_were_rewritten_is_refused_by_every_command]),
    (48, &[strangers::a_wrong_label_is_corrected_at_once]),
];

#[test]
fn every_fault_has_its_tests() {
    let numbers: Vec<u32> = TESTS.iter().map(|(number, _)| *number).collect();
    let expected: Vec<u32> = (0..=18).chain(30..=32).chain([43, 44, 47, 48]).collect();
    assert_eq!(numbers, expected);
    assert!(TESTS.iter().all(|(_, tests)| !tests.is_empty()));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_server_that_is_busy_or_breaks_off_is_asked_again() {
    let world = World::start().await;
    let busy = Refusal::new(503, "ServiceUnavailable", "the server is busy");
    let later = Fault::Status(busy, Some(Duration::from_secs(1)));
    world.faults().request(Method::PATCH, "/services/pgset?", 0..2, later);
    world.faults().request(Method::PATCH, "/roles/", 0..1, Fault::ResetAfter);
    world.faults().request(Method::POST, "/secrets?", 0..1, Fault::ResetAfter);
    world.faults().request(Method::PATCH, "/statefulsets/pgset?", 0..1, Fault::Reset);
    world.pgset("up").run().await.ok().says("1 replica streaming");
    world.pgset("test").run().await.ok();
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn watches_that_end_and_expire_are_begun_again() {
    let world = World::start().await;
    let running = world.pgset("up -v").spawn();
    running.says("pod/pgset-0").await;
    world.faults().close_watches();
    world.sandbox.registry.store.forget();
    running.finish().await.ok().says("1 replica streaming");
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn what_the_node_can_t_do_is_told_in_its_words() {
    let world = World::start().await;
    world.faults().fail("mount pgdata", "mount.nfs: Connection refused");
    let up = world.pgset("up --timeout 100s").run().await;
    up.exits(1).mentions(&["mount.nfs: Connection refused"]).within(seconds(100));
    world.faults().mend("mount pgdata");
    world.pgset("up").run().await.ok();
    world.pgset("down --yes --delete-data").run().await.ok();

    world.faults().fail(
        "create pods",
        "exceeded quota: pods, requested: pods=1, used: pods=0, limited: pods=0",
    );
    world.pgset("up --timeout 60s").run().await.exits(1).mentions(&["exceeded quota"]);
    world.faults().mend("create pods");
    // The old condition stays until the controller tries again.
    crate::support::eventually("the quota is raised", seconds(30), async || {
        let up = world.pgset("up").run().await;
        if up.code == Some(0) { Ok(()) } else { Err(up.to_string()) }
    })
    .await;
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn an_image_that_the_sandbox_has_not_names_those_it_has() {
    let world = World::start().await;
    let up = world.pgset("up --timeout 60s --image example.com/mine:1 --profile postgres");
    let up = up.env("CCP_IMAGE_TAG", "").run().await;
    up.exits(1).mentions(&["the sandbox does not pull images, it has only"]);
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_server_that_is_killed_comes_back() {
    let world = World::start().await;
    world.pgset("up").run().await.ok();
    let kill = "head -1 /pgdata/pgset-0/postmaster.pid | xargs kill -KILL";
    let client = kube::Client::try_from(
        kube::Config::from_custom_kubeconfig(
            kube::config::Kubeconfig::read_from(world.kubeconfig()).unwrap(),
            &kube::config::KubeConfigOptions::default(),
        )
        .await
        .unwrap(),
    );
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::default_namespaced(client.unwrap());
    let parameters = kube::api::AttachParams::default().stdout(true).stderr(true);
    let mut process = pods.exec("pgset-0", ["sh", "-c", kill], &parameters).await.unwrap();
    let status = process.take_status().unwrap().await;
    assert_eq!(status.unwrap().status.as_deref(), Some("Success"));
    let restarted = async || {
        let pod = pods.get("pgset-0").await.map_err(|e| e.to_string())?;
        let statuses = pod.status.unwrap_or_default().container_statuses.unwrap_or_default();
        match statuses.first() {
            Some(status) if status.restart_count == 1 && status.ready => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    crate::support::eventually("the container is started again", seconds(60), restarted).await;
    world.pgset("up").run().await.ok();
    world.stop().await;
}
