use crate::readiness::Endpoint;
use crate::readiness::Phase;
use crate::readiness::fixtures::{World, endpoints, healthy};

fn with(replicas: u32, service: &str, pods: &[&str]) -> World {
    let pods: Vec<String> = pods.iter().map(ToString::to_string).collect();
    healthy(replicas).with(|world| {
        world.snapshot.endpoints.insert(service.to_owned(), endpoints(&pods));
    })
}

#[test]
fn the_right_endpoints_are_ready() {
    let world = healthy(3);
    world.assert_state("Service pgset-master", Phase::Ready, "Ready, 1 endpoint: pgset-0");
    let replicas = "Ready, 2 endpoints: pgset-1, pgset-2";
    world.assert_state("Service pgset-replica", Phase::Ready, replicas);
}

#[test]
fn a_set_of_one_has_no_replica() {
    healthy(1).assert_ready();
    let state = "Ready, no endpoint: there is no replica";
    healthy(1).assert_state("Service pgset-replica", Phase::Ready, state);
}

#[test]
fn wrong_endpoints_are_waited_for() {
    for (service, pods, line) in [
        ("pgset", vec![], "no ready endpoint"),
        ("pgset-master", vec![], "no ready endpoint"),
        ("pgset-master", vec!["pgset-1"], "its endpoint is pgset-1, not pgset-0"),
        ("pgset-master", vec!["pgset-0", "pgset-1"], "2 endpoints, not one: pgset-0, pgset-1"),
        ("pgset-replica", vec!["pgset-1"], "1 of 2 endpoints ready"),
        (
            "pgset-replica",
            vec!["pgset-0", "pgset-1"],
            "pgset-0, the master, is among its endpoints: pgset-0, pgset-1",
        ),
        (
            "pgset-replica",
            vec!["pgset-1", "pgset-2", "pgset-3"],
            "3 endpoints, not 2: pgset-1, pgset-2, pgset-3",
        ),
    ] {
        with(3, service, &pods).assert_waits(&format!("Service {service}: {line}"));
    }
    with(1, "pgset-replica", &["pgset-0"]).assert_waits(
        "Service pgset-replica: pgset-0, the master, is among its endpoints: pgset-0",
    );
}

#[test]
fn a_service_without_slices_has_no_endpoints() {
    let world = healthy(2).with(|world| world.snapshot.endpoints.clear());
    world.assert_waits("Service pgset-master: no ready endpoint");
    world.assert_waits("Service pgset-replica: 0 of 1 endpoint ready");
}

#[test]
fn a_master_that_could_not_label_itself_is_explained() {
    with(2, "pgset-master", &[]).pod(0, "metadata: {labels: {name: pgset-replica}}").assert_waits(
        "Service pgset-master: no ready endpoint: pgset-0 has no label name=pgset-master",
    );
}

#[test]
fn endpoints_that_are_not_ready_do_not_count() {
    let world = healthy(2).with(|world| {
        world.snapshot.endpoints.get_mut("pgset-master").unwrap()[0].ready = false;
    });
    world.assert_waits("Service pgset-master: no ready endpoint");
}

#[test]
fn a_pod_with_two_addresses_is_one_and_one_without_a_name_is_found_by_its_address() {
    let endpoint = |pod: Option<&str>, address: &str| Endpoint {
        pod: pod.map(str::to_owned),
        address: address.to_owned(),
        ready: true,
    };
    let both = vec![endpoint(Some("pgset-0"), "fd00::1"), endpoint(None, "10.0.0.0")];
    healthy(2)
        .with(|world| {
            world.snapshot.endpoints.insert("pgset-master".to_owned(), both);
        })
        .assert_ready();
    let stranger = vec![endpoint(None, "192.0.2.1")];
    healthy(2)
        .with(|world| {
            world.snapshot.endpoints.insert("pgset-master".to_owned(), stranger);
        })
        .assert_waits("Service pgset-master: its endpoint is 192.0.2.1, not pgset-0");
}
