use super::*;
use crate::environment::Environment;
use crate::image::Official;
use crate::settings::Recipe;

fn settle(
    args: &SettingsArgs,
    pairs: &[(&str, &str)],
    profile: &Profile,
) -> Result<Pods, SettingsError> {
    let environment = Environment::from_pairs(pairs.iter().copied());
    pods(&mut Sources::new(&environment, &Recipe::default()), args, profile)
}

fn official() -> Profile {
    Profile::Postgres(Official { major: Some(17), alpine: false, user: None })
}

fn from_env(variable: &str, value: &str) -> Result<Pods, SettingsError> {
    settle(&SettingsArgs::default(), &[(variable, value)], &official())
}

fn flags(edit: impl FnOnce(&mut SettingsArgs)) -> Result<Pods, SettingsError> {
    let mut args = SettingsArgs::default();
    edit(&mut args);
    settle(&args, &[], &official())
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn nothing_said_is_the_default() {
    let pods = settle(&SettingsArgs::default(), &[], &official()).unwrap();
    assert_eq!(pods, Pods::default());
    assert_eq!(pods.requests.to_string(), "cpu=100m,memory=256Mi,ephemeral-storage=64Mi");
    assert_eq!(pods.limits.to_string(), "cpu=2,memory=1Gi,ephemeral-storage=1Gi");
    assert_eq!(pods.termination_grace_period, Duration::from_secs(600));
}

#[test]
fn flags_are_repeated_or_cut_at_commas_and_win_over_variables() {
    let args = SettingsArgs {
        label: texts(&["team=a", "tier=db,cost=x"]),
        annotation: texts(&["note=a, b=c"]),
        node_selector: texts(&["disk=ssd"]),
        toleration: texts(&["dedicated=db:NoSchedule", "spot"]),
        image_pull_secret: texts(&["registry"]),
        network_policy: Some("true".to_owned()),
        termination_grace_period: Some("90s".to_owned()),
        ..SettingsArgs::default()
    };
    let pods = settle(&args, &[("PGSET_LABEL", "team=b")], &official()).unwrap();
    assert_eq!(joined(&pods.labels, ","), "cost=x,team=a,tier=db");
    assert_eq!(pods.annotations["note"], "a, b=c");
    assert_eq!(pods.node_selector["disk"], "ssd");
    assert_eq!(words(&pods.tolerations), "dedicated=db:NoSchedule,spot");
    assert_eq!(pods.image_pull_secrets, ["registry"]);
    assert!(pods.network_policy);
    assert_eq!(pods.termination_grace_period, Duration::from_secs(90));
    let pods = from_env("PGSET_ANNOTATION", "a=1,2\nb=3").unwrap();
    assert_eq!((pods.annotations["a"].as_str(), pods.annotations["b"].as_str()), ("1,2", "3"));
    assert_eq!(from_env("PGSET_LABEL", "team=b").unwrap().labels["team"], "b");
}

#[test]
fn one_of_requests_and_limits_draws_the_default_of_the_other_with_it() {
    let memory = |pods: &Pods| {
        let text = |resources: &Resources| resources.memory.as_ref().map(ToString::to_string);
        (text(&pods.requests), text(&pods.limits))
    };
    let some = |text: &str| Some(text.to_owned());
    let more = flags(|args| args.requests = texts(&["memory=4Gi"])).unwrap();
    assert_eq!(memory(&more), (some("4Gi"), some("4Gi")));
    let less = flags(|args| args.limits = texts(&["memory=128Mi"])).unwrap();
    assert_eq!(memory(&less), (some("128Mi"), some("128Mi")));
    let none = flags(|args| args.limits = texts(&["memory=none,cpu=none"])).unwrap();
    assert_eq!(memory(&none), (some("256Mi"), None));
    assert_eq!(none.limits.to_string(), "ephemeral-storage=1Gi");
}

#[test]
fn cpus_are_written_as_kubernetes_writes_them() {
    for (text, written) in
        [("2", "2"), ("0.5", "500m"), ("1500m", "1500m"), ("1000m", "1"), ("1.25", "1250m")]
    {
        assert_eq!(text.parse::<Cpu>().unwrap().to_string(), written);
    }
    for text in ["", "0", "m", "-1", "1.0001", ".5x", "2 ", "9999999999"] {
        text.parse::<Cpu>().unwrap_err();
    }
}

#[test]
fn bad_values_are_refused_by_field_and_source() {
    for (variable, value, message) in [
        (
            "PGSET_REQUESTS",
            "cpu=lots",
            "requests \"cpu=lots\" (from PGSET_REQUESTS) must be a number of CPUs",
        ),
        (
            "PGSET_REQUESTS",
            "gpu=1",
            "requests \"gpu=1\" (from PGSET_REQUESTS) must be cpu=, memory=",
        ),
        ("PGSET_LIMITS", "memory", "limits \"memory\" (from PGSET_LIMITS) must be cpu=, memory="),
        (
            "PGSET_LIMITS",
            "memory=1GB",
            "limits \"memory=1GB\" (from PGSET_LIMITS) must be a whole number of bytes",
        ),
        ("PGSET_LABEL", "team", "label \"team\" (from PGSET_LABEL) must be key=value"),
        (
            "PGSET_LABEL",
            "team=a b",
            "label \"team=a b\" (from PGSET_LABEL) must have a value of at most 63",
        ),
        (
            "PGSET_LABEL",
            "a=1,a=2",
            "label \"a=2\" (from PGSET_LABEL) must have one value: \"1\" was also given",
        ),
        (
            "PGSET_LABEL",
            "name=x",
            "label \"name=x\" (from PGSET_LABEL) must have another key: name is reserved",
        ),
        (
            "PGSET_ANNOTATION",
            "pgset/image=x",
            "annotation \"pgset/image=x\" (from PGSET_ANNOTATION) must have another key",
        ),
        (
            "PGSET_NODE_SELECTOR",
            "-=x",
            "node selector \"-=x\" (from PGSET_NODE_SELECTOR) must have a key",
        ),
        (
            "PGSET_TOLERATION",
            "a=b:Never",
            "toleration \"a=b:Never\" (from PGSET_TOLERATION) must end in :NoSchedule",
        ),
        (
            "PGSET_TOLERATION",
            ":NoExecute",
            "toleration \":NoExecute\" (from PGSET_TOLERATION) must be a taint",
        ),
        (
            "PGSET_IMAGE_PULL_SECRET",
            "A B",
            "image pull secret \"A B\" (from PGSET_IMAGE_PULL_SECRET) must be the name of a Secret",
        ),
        (
            "PGSET_NETWORK_POLICY",
            "perhaps",
            "network policy \"perhaps\" (from PGSET_NETWORK_POLICY) must be true or false",
        ),
        (
            "PGSET_TERMINATION_GRACE_PERIOD",
            "soon",
            "termination grace period \"soon\" (from PGSET_TERMINATION_GRACE_PERIOD) must be a duration",
        ),
    ] {
        let error = from_env(variable, value).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    let both = flags(|args| {
        args.requests = texts(&["cpu=3"]);
        args.limits = texts(&["cpu=2"]);
    });
    assert_eq!(
        both.unwrap_err().to_string(),
        "requests \"cpu=3\" (from --requests) must not be more than the limit \"cpu=2\" (from --limits)"
    );
}

#[test]
fn another_profile_has_none_of_them_and_says_so() {
    let crunchy = Profile::of(
        &"x/crunchy-postgres:centos7-9.5-1.2.6".parse().unwrap(),
        crate::image::ProfileName::Crunchy,
    );
    let crunchy = crunchy.unwrap();
    let args = SettingsArgs { label: texts(&["a=b"]), ..SettingsArgs::default() };
    let error = settle(&args, &[], &crunchy).unwrap_err();
    assert!(error.to_string().contains("only the profile postgres supports it"), "{error}");
    assert_eq!(settle(&SettingsArgs::default(), &[], &crunchy), Ok(Pods::default()));
}
