use super::*;

fn report() -> SmokeReport {
    let check = |id: &str, title: &str, outcome| CheckResult {
        id: id.into(),
        title: title.into(),
        outcome,
        elapsed: Duration::from_millis(83),
    };
    let hostile = "\"<a> & 'b'\u{1b}[2J\nx";
    SmokeReport::new(
        "pgset",
        "ns",
        Duration::from_millis(350),
        vec![
            check(
                "login",
                "testuser can log in",
                CheckOutcome::Passed { detail: "database <userdb>".into() },
            ),
            check(
                "roles",
                hostile,
                CheckOutcome::Failed { reason: hostile.into(), hint: Some("pgset status".into()) },
            ),
            check(
                "marker",
                "replicas",
                CheckOutcome::Skipped { reason: "the set has one pod: there is no replica".into() },
            ),
        ],
    )
}

#[test]
fn people_see_a_mark_a_time_and_a_reason() {
    assert_eq!(
        report().human(80, false, true),
        "\
✓     83 ms  testuser can log in
             database <userdb>
✗     83 ms  \"<a> & 'b' [2J x
             \"<a> & 'b' [2J x
             hint: pgset status
-            replicas
             the set has one pod: there is no replica
1 passed, 1 failed, 1 skipped in 350 ms
"
    );
    assert!(report().human(80, true, true).contains("\u{1b}[31m✗"));
}

#[test]
fn a_check_that_passed_is_one_line() {
    let text = report().human(80, false, false);
    assert!(text.starts_with("✓     83 ms  testuser can log in\n✗     83 ms"), "{text}");
    assert!(text.contains("hint: pgset status"), "{text}");
}

#[test]
fn lines_fit_the_width() {
    let text = report().human(34, false, true);
    let counts = text.lines().count() - 1;
    assert!(text.lines().take(counts).all(|l| console::measure_text_width(l) <= 34), "{text}");
    assert!(text.contains("the set has one pod:\n             there is no replica\n"), "{text}");
}

#[test]
fn json_is_versioned() {
    let value = serde_json::to_value(report()).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["passed"], false);
    assert_eq!(value["checks"][1]["verdict"], "failed");
    assert_eq!(value["checks"][1]["hint"], "pgset status");
    assert_eq!(value["checks"][0]["elapsed_seconds"], 0.083);
}

#[test]
fn junit_is_escaped() {
    assert_eq!(
        report().junit().unwrap(),
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="pgset ns/pgset" tests="3" skipped="1" failures="1" errors="0" time="0.350">
    <testsuite name="pgset ns/pgset" tests="3" skipped="1" errors="0" failures="1" time="0.350">
        <testcase name="testuser can log in" classname="pgset.login" time="0.083">
            <system-out>database &lt;userdb&gt;</system-out>
        </testcase>
        <testcase name="&quot;&lt;a&gt; &amp; &apos;b&apos; [2J x" classname="pgset.roles" time="0.083">
            <failure message="&quot;&lt;a&gt; &amp; &apos;b&apos; [2J x">pgset status</failure>
        </testcase>
        <testcase name="replicas" classname="pgset.marker" time="0.083">
            <skipped message="the set has one pod: there is no replica"/>
        </testcase>
    </testsuite>
</testsuites>
"#
    );
    assert_eq!(for_xml("\u{fffe}\0"), "\u{fffd}");
}
