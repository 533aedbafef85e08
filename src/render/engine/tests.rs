//! Tests of single templates, with a set like the article's.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::image::{Crunchy, ImageReference, Profile};
use crate::render::TemplateFile;
use crate::set::SetIdentity;
use crate::settings::{AccessMode, Credentials, Settings, Storage};
use crate::values::Secret;

fn settings() -> Settings {
    Settings {
        set: SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() },
        image: ImageReference {
            repository: "crunchydata/crunchy-postgres".to_owned(),
            tag: Some("centos7-9.5-1.2.6".to_owned()),
            digest: None,
        },
        profile: Profile::Crunchy(Crunchy { version: [1, 2, 6], postgres: "9.5".to_owned() }),
        replicas: None,
        storage: Storage::Class { name: None },
        size: "100M".parse().unwrap(),
        access_mode: AccessMode::ReadWriteMany,
        volume_prefix: "pv".to_owned(),
        credentials: Credentials {
            superuser_password: None,
            primary_user: "master".parse().unwrap(),
            primary_password: None,
            user: "testuser".parse().unwrap(),
            password: None,
            database: "userdb".parse().unwrap(),
        },
        parameters: None,
        computed: crate::settings::Computed::Yes,
        synchronous: None,
        max_lag: "1Gi".parse().unwrap(),
        tls: None,
        pods: crate::settings::Pods::default(),
        service_account: None,
        templates: None,
        asked: Vec::new(),
    }
}

fn passwords(user: &str) -> Passwords {
    Passwords {
        superuser: Secret::new("Sentinel1".to_owned()),
        primary: Secret::new("Sentinel2".to_owned()),
        user: Secret::new(user.to_owned()),
    }
}

/// A template set with only the given files.
fn set(files: &[(&str, &str)]) -> TemplateSet {
    TemplateSet { profile: "crunchy", templates: std::collections::BTreeMap::new() }.overridden_by(
        files.iter().map(|(name, text)| TemplateFile {
            path: PathBuf::from("/t/crunchy").join(name),
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        }),
    )
}

fn render_files(files: &[(&str, &str)], user: &str) -> Result<String, RenderError> {
    let settings = settings();
    let passwords = passwords(user);
    let inputs = Inputs {
        settings: &settings,
        replicas: None,
        topology: &crate::set::Topology::default(),
        origin: crate::set::Origin::Initdb,
        pods: 2,
        server_minor: 37,
        passwords: &passwords,
        tls: None,
        certificates: None,
        mounted_certificates: None,
        scripts: Scripts::Current,
    };
    render(&set(files), &inputs).map(|mut rendered| rendered.remove(0).text)
}

fn fails(text: &str) -> String {
    render_files(&[("a.yaml.j2", text)], "Sentinel3").unwrap_err().to_string()
}

#[test]
fn values_are_scalars_of_their_own_type() {
    let text =
        "{{ set.name ~ \"-x\" }} {{ 1 + 1 }} {{ true }} {{ none }} {{ storage.size | tojson }}";
    assert_eq!(
        render_files(&[("a.yaml.j2", text)], "x").unwrap(),
        "\"pgset-x\" 2 true null \"100M\""
    );
}

#[test]
fn pieces_can_be_included_and_are_not_rendered_themselves() {
    let files = [
        ("_labels.j2", "{% macro label(x) %}app: {{ x }}{% endmacro %}"),
        ("_piece.j2", "piece: {{ set.name }}"),
        (
            "a.yaml.j2",
            "{% import \"_labels.j2\" as l %}{{ l.label(set.name) }}\n{% include \"_piece.j2\" %}\n",
        ),
    ];
    assert_eq!(render_files(&files, "x").unwrap(), "app: \"pgset\"\npiece: \"pgset\"");
}

#[test]
fn texts_are_one_scalar_each_and_values_in_them_are_plain() {
    let files = [
        ("a.yaml.j2", "conf: {{ files[\"a.conf\"] }}\nscript: {{ files[\"run.sh\"] }}\n"),
        ("a.conf.j2", "name = '{{ set.name }}'\nsize = {{ storage.size }}\n# \"quoted\"\n"),
        ("run.sh", "echo \"${x:-{{ not a value }}}\" {% neither %}\n\ttab\n"),
    ];
    let text = render_files(&files, "x").unwrap();
    let read: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(read["conf"], "name = 'pgset'\nsize = 100M\n# \"quoted\"\n");
    assert_eq!(read["script"], files[2].1);
    // An error in a text names the file of that text.
    let error = render_files(&[("a.yaml.j2", "a: 1\n"), ("b.conf.j2", "\n{{ nope }}\n")], "x");
    assert_eq!(
        error.unwrap_err().to_string().split(": ").next(),
        Some("template /t/crunchy/b.conf.j2, line 2")
    );
}

#[test]
fn errors_name_variable_file_and_line() {
    for text in [
        "a: 1\nb: {{ set.nmae }}\n",
        "a: 1\nb: {{ set.nmae ~ 'x' }}\n",
        "a: 1\n{% if set.nmae %}{% endif %}",
    ] {
        let message = fails(text);
        assert!(message.starts_with("template /t/crunchy/a.yaml.j2, line 2: "), "{message}");
        assert!(message.contains("nmae"), "{message}");
    }
    let message = fails("a: {{ nowhere }}");
    assert!(message.contains("line 1") && message.contains("nowhere"), "{message}");
    assert!(fails("\n\n{{ set.name | nofilter }}").contains("line 3"));
    assert!(fails("{% if %}").contains("line 1"));
    // An error in an included file names that file.
    let files = [("_piece.j2", "\n{{ oops }}"), ("a.yaml.j2", "{% include \"_piece.j2\" %}")];
    let message = render_files(&files, "x").unwrap_err().to_string();
    assert!(message.starts_with("template /t/crunchy/_piece.j2, line 2: "), "{message}");
}

#[test]
fn includes_do_not_leave_the_directory() {
    for name in ["/etc/passwd", "../postgres/a.yaml.j2", "crunchy/../../x", "nowhere.j2"] {
        let message = fails(&format!("{{% include \"{name}\" %}}"));
        assert!(message.contains("only files *.j2 in the same directory"), "{message}");
    }
}

#[test]
fn time_depth_and_size_are_bounded() {
    assert!(fails("{% for i in range(1000000000) %}{% endfor %}").contains("a.yaml.j2"));
    let nested = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
    assert!(fails(nested).contains("does not end"), "{}", fails(nested));
    assert!(fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").contains("recursion limit"));
    assert!(fails("{% include \"a.yaml.j2\" %}").contains("recursion limit"));
    let large = "{% for i in range(2000) %}".to_owned() + &"x".repeat(1000) + "{% endfor %}";
    assert!(fails(&large).contains("produces more than 1024 KiB"), "{}", fails(&large));
    assert!(!fails("{{ 'x' * 1000000000 }}").is_empty());
}

#[test]
fn errors_never_show_a_password() {
    for text in [
        "{{ passwords.user | int }}",
        "{{ passwords.user + 1 }}",
        "{{ passwords.user() }}",
        "{{ passwords.user.x.y }}",
        "{{ passwords[passwords.user].x }}",
        "{{ set.name | attr(passwords.user) }}",
        "{{ debug() }}",
        "{% include passwords.user %}",
        "{% include passwords.user | b64encode %}",
        "{{ oops }}{{ passwords }}",
    ] {
        let error = render_files(&[("a.yaml.j2", text)], "Sentinel3").unwrap_err();
        let shown = format!("{error} {error:?} {error:#?}");
        assert!(!shown.contains("Sentinel"), "{text}: {shown}");
        assert!(!shown.contains(&BASE64.encode("Sentinel3")), "{text}: {shown}");
    }
}

#[test]
fn an_empty_file_is_an_error_unless_a_statement_leaves_everything_out() {
    let render = |name, text| render_files(&[("a.yaml.j2", "a: 1\n"), (name, text)], "x");
    for text in ["", "\n", "# only\n  # comments", "{# one #}\n---\n", "{% set a = 1 %}"] {
        let error = render("services.yaml.j2", text).unwrap_err();
        assert_eq!(
            error,
            RenderError::Empty {
                path: "/t/crunchy/services.yaml.j2".into(),
                replaces: true,
                rendered: true
            },
            "{text:?}"
        );
        assert_eq!(
            error.to_string(),
            "template /t/crunchy/services.yaml.j2 is empty, or contains only comments"
        );
    }
    for (name, replaces, rendered) in
        [("mine.yaml.j2", false, true), ("x.conf.j2", false, true), ("run.sh", false, false)]
    {
        let path = PathBuf::from("/t/crunchy").join(name);
        let expected = RenderError::Empty { path, replaces, rendered };
        assert_eq!(render(name, "#!/bin/sh\n").unwrap_err(), expected);
    }
    let left_out = ["{% if false %}{% endif %}", "{%- for x in [] %}a: {{ x }}{% endfor %}"];
    for text in left_out {
        assert!(render("services.yaml.j2", text).is_ok(), "{text}");
    }
    assert!(render("_piece.j2", "").is_ok());
}

#[test]
fn a_profile_without_templates_is_an_error() {
    assert!(render_files(&[("_a.yaml.j2", "")], "x").is_err());
}

proptest! {
    #[test]
    fn any_string_survives_rendering_and_parsing(text in any::<String>()) {
        let file = [("a.yaml.j2", "block: {{ passwords.user }}\nflow: [{{ passwords.user }}, {a: {{ passwords.user }}}]\n")];
        let yaml = render_files(&file, &text).unwrap();
        let document = &crate::manifest::parse::documents("a", &yaml).unwrap()[0];
        prop_assert_eq!(document["block"].as_str(), Some(text.as_str()));
        prop_assert_eq!(document["flow"][0].as_str(), Some(text.as_str()));
        prop_assert_eq!(document["flow"][1]["a"].as_str(), Some(text.as_str()));
    }
}

#[test]
fn strings_that_look_like_something_else_survive() {
    for text in [
        "yes",
        "1e3",
        "null",
        "0400",
        "~",
        "",
        " ",
        "a: b\n---\nkind: Pod",
        "\u{feff}x",
        "\u{85}\u{2028}\r\n\t\0\u{7f}\u{9f}",
        "🦀\u{ffff}\u{1ffff}",
        "{{ x }}",
        "#",
        "<<",
    ] {
        let yaml = render_files(&[("a.yaml.j2", "v: {{ passwords.user }}")], text).unwrap();
        let documents = crate::manifest::parse::documents("a", &yaml).unwrap();
        assert_eq!(documents.len(), 1);
        assert_eq!(documents[0]["v"].as_str(), Some(text));
    }
}

/// `render` repeats the script of an older pgset as it was: the probes of running pods use it.
#[test]
fn the_previous_script_never_changes() {
    let script = include_str!("../../../templates/postgres/bootstrap-previous.sh");
    assert_eq!(hash([("previous.sh", script)].into_iter()).unwrap(), "cf972b2247");
}
