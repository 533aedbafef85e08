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
        report().human(80, false),
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
    assert!(report().human(80, true).contains("\u{1b}[31m✗"));
}

#[test]
fn lines_fit_the_width() {
    let text = report().human(34, false);
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
    let text = report().junit();
    assert!(
        text.contains("tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"0.350\""),
        "{text}"
    );
    assert!(text.contains("message=\"&quot;&lt;a&gt; &amp; &apos;b&apos;\u{fffd}[2J&#10;x\">pgset status</failure>"), "{text}");
    assert!(
        text.contains("<skipped message=\"the set has one pod: there is no replica\"/>"),
        "{text}"
    );
    assert!(text.contains("<system-out>database &lt;userdb&gt;</system-out>"), "{text}");
    assert_eq!(text.matches("<testcase ").count(), text.matches("</testcase>").count());
}
