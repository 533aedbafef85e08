use super::*;
use crate::cli::{GlobalArgs, SettingsArgs};
use crate::environment::Environment;
use crate::settings::resolve::{Host, resolve};
use crate::settings::{Parameters, Recipe, parameters};

fn settings(args: &SettingsArgs, recipe: &Recipe) -> Result<Settings, SettingsError> {
    let (global, environment) = (GlobalArgs::default(), Environment::default());
    resolve(args, &global, &environment, recipe, &Host::BARE).map(|resolved| resolved.settings)
}

fn sized(memory: &str, size: &str, storage: &str) -> Settings {
    let args = SettingsArgs {
        requests: vec!["memory=none".to_owned()],
        limits: vec![format!("memory={memory}")],
        size: Some(size.to_owned()),
        storage: Some(storage.to_owned()),
        ..SettingsArgs::default()
    };
    settings(&args, &Recipe::default()).unwrap()
}

fn recorded(value: Option<&str>) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.record("size", Some("1Gi".to_owned()));
    recipe.record(NAME, value.map(str::to_owned));
    recipe
}

#[test]
fn values_follow_the_limit_and_the_size_within_bounds() {
    for (memory, size, storage, expected) in [
        ("1Gi", "1Gi", "class", "256MB 768MB 1GB off"),
        ("4Gi", "100Gi", "class", "1GB 3GB 50GB off"),
        ("1G", "3Gi", "hostpath:/srv", "238MB 715MB 1536MB off"),
        // The smallest values.
        ("64Mi", "1Gi", "class", "16MB 48MB 1GB off"),
        ("60Mi", "100Mi", "class", "16MB 45MB 1GB off"),
        ("1Mi", "1Ki", "class", "16MB 16MB 1GB off"),
        // PostgreSQL would refuse larger ones.
        ("7Ei", "7Ei", "class", "4096GB 4096GB 2047GB off"),
        // What is not known has PostgreSQL's default.
        ("none", "4Gi", "class", "2GB off"),
        ("none", "4Gi", "claim:mine", "off"),
        ("256Mi", "4Gi", "claim:mine", "64MB 192MB off"),
    ] {
        let values = values(&sized(memory, size, storage));
        let shown: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(shown.join(" "), expected, "{memory} {size} {storage}");
        assert!(values.iter().all(|(name, _)| NAMES.contains(name)));
    }
    let text = text(&sized("1Gi", "1Gi", "claim:mine"));
    assert_eq!(text, "shared_buffers = 256MB\neffective_cache_size = 768MB\nhuge_pages = off");
}

#[test]
fn only_new_sets_and_those_that_have_them_get_them() {
    let of = |recipe: &Recipe| settings(&SettingsArgs::default(), recipe).map(|s| s.computed);
    assert_eq!(of(&Recipe::default()).unwrap(), Computed::Yes, "a new set");
    for (value, computed, then) in [
        (None, Computed::Unrecorded, "none"),
        (Some("none"), Computed::No, "none"),
        (Some("1"), Computed::Yes, "1"),
    ] {
        let found = of(&recorded(value)).unwrap();
        assert_eq!((found, found.recorded()), (computed, then));
    }
    let refused = of(&recorded(Some("2"))).unwrap_err().to_string();
    assert!(refused.ends_with("is not known to this version of pgset"), "{refused}");

    for name in [NAME, "all"] {
        let mut recipe = recorded(Some("none"));
        recipe.reset(&[name.to_owned()]).unwrap();
        assert_eq!(of(&recipe).unwrap(), Computed::Yes, "--reset {name}");
    }
    let crunchy = SettingsArgs {
        image: Some("crunchydata/crunchy-postgres:centos7-9.5-1.2.6".to_owned()),
        storage: Some("class".to_owned()),
        ..SettingsArgs::default()
    };
    assert_eq!(settings(&crunchy, &Recipe::default()).unwrap().computed, Computed::No);
}

#[test]
fn what_a_set_could_have_is_suggested_until_it_is_recorded() {
    let of = |set: &[&str], value| {
        let set = set.iter().map(|&one| one.to_owned()).collect();
        let args = SettingsArgs { set, ..SettingsArgs::default() };
        suggestion(&settings(&args, &recorded(value)).unwrap())
    };
    let command = "`pgset up --set shared_buffers=256MB --set effective_cache_size=768MB --set temp_file_limit=1GB --set huge_pages=off`";
    assert!(of(&[], None).unwrap().contains(command));
    let given = ["huge_pages=try", "shared_buffers=1GB", "temp_file_limit=-1"];
    let suggested = of(&given, None).unwrap();
    assert!(suggested.contains("`pgset up --set effective_cache_size=768MB`"), "{suggested}");
    let all = [&given[..], &["effective_cache_size=1GB"]].concat();
    assert_eq!(of(&all, None), None);
    assert_eq!(of(&[], Some("none")), None);
    assert_eq!(of(&[], Some("1")), None);
}

#[test]
fn changes_are_shown_with_the_value_that_applies() {
    let conf = |computed: &str, users: &str| {
        format!("port = 1\n{MARKER}\n{computed}\ninclude 'x'\n{}\n{users}\n", parameters::MARKER)
    };
    let changes = |before: &str, after: &str| {
        Parameters::shown(after).changes_since(&Parameters::shown(before))
    };
    let (small, large) = (conf("shared_buffers = 64MB", ""), conf("shared_buffers = 128MB", ""));
    assert_eq!(changes(&small, &large), ["shared_buffers '64MB' -> '128MB'"]);
    let given = conf("shared_buffers = 64MB", "shared_buffers = '1GB'");
    assert_eq!(changes(&given, &small), ["shared_buffers '1GB' -> '64MB'"]);
    assert_eq!(changes(&given, &conf("shared_buffers = 128MB", "shared_buffers = '1GB'")), [""; 0]);
    assert_eq!(Computed::of_set(&small), Some(RULE));
    assert_eq!(Computed::of_set(&small.replace(MARKER, "")), None);
}
