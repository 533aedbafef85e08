//! Users with few rights.

use std::path::{Path, PathBuf};

use pgset::sandbox::kinds::{CONFIG_MAPS, ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS, STATEFUL_SETS};
use serde_json::{Value, json};

use super::World;
use super::quick::{PROFILES, Profile};
use crate::rights::example;
use crate::support::pgset::Output;

/// The rules of the example without Roles and what a set's own Role grants.
fn without_roles() -> Vec<Value> {
    let mut rules = example();
    rules.retain(|rule| {
        let of = |resource: &str| rule["resources"] == json!([resource]);
        let on_roles = rule["apiGroups"] == json!(["rbac.authorization.k8s.io"]);
        !of("pods/status") && !of("localsubjectaccessreviews") && !on_roles
    });
    for rule in &mut rules {
        let resources = rule["resources"].as_array_mut().expect("resources");
        resources.retain(|resource| resource != "serviceaccounts");
    }
    rules
}

/// The rights to find out whether an account exists, and what it may do.
fn looking() -> [Value; 2] {
    [
        json!({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"]}),
        json!({"apiGroups": ["authorization.k8s.io"], "resources": ["localsubjectaccessreviews"],
               "verbs": ["create"]}),
    ]
}

impl World {
    /// Gives an account these rules, and returns a kubeconfig for it.
    fn user(&self, name: &str, rules: &[Value]) -> PathBuf {
        self.account(name);
        self.grant(name, name, rules);
        let token = self.sandbox.tokens.issue("default", name, None);
        let text = std::fs::read_to_string(self.kubeconfig()).unwrap();
        let mut config: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        config["users"][0]["user"] = serde_yaml::from_str(&format!("{{token: {token}}}")).unwrap();
        let path = self.directory.path().join(format!("{name}.kubeconfig"));
        std::fs::write(&path, serde_yaml::to_string(&config).unwrap()).unwrap();
        path
    }

    fn account(&self, name: &str) {
        self.create(&Self::key(&SERVICE_ACCOUNTS, name), json!({}));
    }

    /// Binds these rules to an account, in a Role of their own.
    fn grant(&self, account: &str, role: &str, rules: &[Value]) {
        self.create(&Self::key(&ROLES, role), json!({"rules": rules}));
        let binding = json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "default"}],
        });
        self.create(&Self::key(&ROLE_BINDINGS, role), binding);
    }

    async fn by(&self, profile: Profile, user: &Path, line: &str) -> Output {
        profile.of(super::pgset(line, user)).run().await
    }

    /// The names of the objects that give pods their rights.
    fn names(&self) -> Vec<String> {
        let all = [&SERVICE_ACCOUNTS, &ROLES, &ROLE_BINDINGS].map(|kind| {
            let objects = self.sandbox.registry.store.list(kind, Some("default")).0;
            let name = |object: &Value| {
                format!("{} {}", kind.kind, object["metadata"]["name"].as_str().unwrap())
            };
            objects.iter().map(|object| name(object)).collect::<Vec<_>>()
        });
        all.concat()
    }
}

/// The rules that a failure prints.
fn printed(output: &Output) -> Vec<Value> {
    let lines = output.stderr.lines().filter_map(|line| line.split_once("Role: "));
    lines.map(|(_, rule)| serde_yaml::from_str(rule).unwrap()).collect()
}

#[tokio::test]
async fn the_example_is_enough() {
    for profile in PROFILES {
        let world = World::quick().await;
        let user = world.user("pgset-user", &example());
        let run = async |line: &str| world.by(profile, &user, line).await.ok();
        run("up").await;
        run("up").await.says("nothing changed");
        run("diff").await;
        run("status").await;
        run("scale --replicas 3").await;
        run("down --yes").await;
        run("up").await;
        run("down --yes --delete-data").await;
        world.stop().await;
    }
}

#[tokio::test]
async fn without_rights_on_roles_an_existing_account_is_used() {
    for profile in PROFILES {
        let world = World::quick().await;
        let mut rules = without_roles();
        rules.extend(looking());
        let user = world.user("deployer", &rules);
        let run = async |line: &str| world.by(profile, &user, line).await;
        let set = World::key(&STATEFUL_SETS, "pgset");
        run("up").await.exits(3).says("--service-account NAME");
        let absent = run("up --service-account database").await.exits(1);
        absent.says("there is no ServiceAccount database in namespace default");

        world.account("database");
        let before = world.names();
        let lacking = run("up --service-account database").await.exits(3);
        assert_eq!(world.object(&set), None);
        assert_eq!(world.object(&World::key(&CONFIG_MAPS, "pgset-settings")), None);
        let lacking = lacking.says("ServiceAccount database lacks rights");
        world.grant("database", "labels", &printed(&lacking));
        run("up --service-account database").await.ok();
        let account = |set: &Value| set["spec"]["template"]["spec"]["serviceAccountName"].clone();
        assert_eq!(account(&world.object(&set).unwrap()), "database");
        run("up").await.ok().says("nothing changed");

        let more = run("scale --replicas 3").await;
        if profile == Profile::Official {
            let more = more.exits(3).says(r#"resourceNames: ["pgset-2"]"#);
            world.grant("database", "more", &printed(&more));
        }
        run("scale --replicas 3").await.ok();
        run("down --yes").await.ok();
        run("up").await.ok().says("3 pods ready");
        assert_eq!(account(&world.object(&set).unwrap()), "database", "it is recorded");
        run("down --yes --delete-data").await.ok();
        let left: Vec<String> = world
            .names()
            .into_iter()
            .filter(|n| !n.ends_with(" labels") && !n.ends_with(" more"))
            .collect();
        assert_eq!(left, before, "nothing of the administrator's is deleted");
        world.stop().await;
    }
}

#[tokio::test]
async fn an_account_of_the_same_name_as_the_sets_own_is_kept() {
    let world = World::quick().await;
    let admin = world.kubeconfig();
    let run = async |line: &str| world.by(Profile::Official, &admin, line).await;
    // An administrator has applied what `pgset render` printed.
    run("up").await.ok();
    let before = world.names();
    assert!(before.contains(&"Role pgset-sa".to_owned()), "{before:?}");
    run("up --service-account pgset-sa").await.ok();
    run("scale --replicas 3").await.exits(3).says("pgset-2");
    run("down --yes").await.ok();
    assert_eq!(world.names(), before);
    run("up --reset service-account").await.ok();
    run("down --yes").await.ok();
    assert!(!world.names().contains(&"Role pgset-sa".to_owned()), "pgset's own again");
    world.stop().await;
}

#[tokio::test]
async fn who_may_not_check_an_account_is_told_the_rule() {
    let world = World::quick().await;
    let user = world.user("deployer", &without_roles());
    world.account("database");
    let run = async |line: &str| world.by(Profile::Official, &user, line).await;
    let said = run("up --service-account database").await.ok();
    said.says("may not check the rights of ServiceAccount database").says("resourceNames");
    run("up").await.ok().never_says("may not check");
    world.stop().await;
}

#[tokio::test]
async fn pods_are_only_added_by_who_may_record_their_number() {
    let world = World::quick().await;
    world.account("database");
    let admin = world.kubeconfig();
    let lacking =
        world.by(Profile::Official, &admin, "up --service-account database").await.exits(3);
    let mut granted = printed(&lacking);
    for rule in &mut granted {
        rule.as_object_mut().unwrap().remove("resourceNames");
    }
    world.grant("database", "pods", &granted);
    world.by(Profile::Official, &admin, "up --service-account database").await.ok();

    let mut rules = without_roles();
    rules.extend(looking());
    for rule in rules.iter_mut().filter(|rule| rule["resources"].to_string().contains("configmaps"))
    {
        rule["verbs"] = json!(["get", "list"]);
    }
    let user = world.user("operator", &rules);
    let run = async |line: &str| world.by(Profile::Official, &user, line).await;
    let topology = World::key(&CONFIG_MAPS, "pgset-topology");
    let before = world.object(&topology);
    world.faults().record();
    let refused = run("scale --replicas 3").await.exits(3);
    assert_eq!(
        printed(&refused),
        [json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]})]
    );
    run("up --replicas 3").await.exits(3);
    assert_eq!(world.faults().writes(), []);
    // Fewer pods are no danger: the pods only know one too many.
    run("scale -v --replicas 1").await.ok().says("the number of pods is not recorded");
    assert_eq!(world.object(&topology), before);
    run("scale --replicas 2").await.ok();
    world.stop().await;
}

/// Kubernetes lets no account grant a right that it does not have, and the Role of the pods is written anew.
#[tokio::test]
async fn only_the_rights_that_a_change_needs_are_asked_for() {
    let world = World::quick().await;
    let admin = world.kubeconfig();
    world.by(Profile::Official, &admin, "up").await.ok();
    let mut rules = without_roles();
    for rule in &mut rules {
        let created = [json!(["pods/exec"]), json!(["leases"])];
        let may_create = created.contains(&rule["resources"]);
        let verbs = rule["verbs"].as_array_mut().unwrap();
        verbs.retain(|verb| may_create || verb != "create");
    }
    // Reading is needed in every case.
    rules.push(json!({"apiGroups": ["", "rbac.authorization.k8s.io"], "verbs": ["get"],
                      "resources": ["serviceaccounts", "roles", "rolebindings"]}));
    let user = world.user("operator", &rules);
    let run = async |line: &str| world.by(Profile::Official, &user, line).await;
    run("up").await.ok().says("nothing changed");
    run("up --set work_mem=8MB").await.ok();
    run("up --limits cpu=3 --yes").await.ok();
    let refused = run("up --network-policy").await.exits(3);
    assert_eq!(
        printed(&refused),
        [
            json!({"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["create"]})
        ]
    );
    let refused = run("up --replicas 3").await.exits(3);
    assert_eq!(
        printed(&refused),
        [
            json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}),
            json!({"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]}),
            json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["patch"]}),
        ]
    );
    world.stop().await;
}
