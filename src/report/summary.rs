//! Condenses events: one line for what happened to objects, one line for each pod. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use console::Style;

use crate::event::Outcome;
use crate::manifest::ObjectId;
use crate::readiness::Milestone;
use crate::text;

use super::lines::{self, name, one_line, outcome_word, paint};

/// Up to this number, objects are named instead of counted.
const NAMED: usize = 3;

/// In which order outcomes are told.
const ORDER: [Outcome; 5] =
    [Outcome::Created, Outcome::Configured, Outcome::Deleted, Outcome::Kept, Outcome::Unchanged];

/// What was told so far.
#[derive(Default)]
pub(super) struct Summary {
    objects: Vec<(ObjectId, Outcome, Option<String>)>,
    pods: BTreeMap<ObjectId, Vec<String>>,
}

impl Summary {
    /// Notes what happened to an object. A dry run is told at once: its list is what the user asked for.
    pub(super) fn object(
        &mut self,
        object: &ObjectId,
        outcome: Outcome,
        detail: Option<&str>,
        color: bool,
    ) -> Option<String> {
        let detail = detail.map(one_line);
        if ORDER.contains(&outcome) {
            self.objects.push((object.clone(), outcome, detail));
            return None;
        }
        let (style, word) = outcome_word(outcome);
        let detail = detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
        Some(format!("{} {}{detail}", name(object), paint(&style, word, color)))
    }

    /// The lines about the objects since the last call. Nothing is said about unchanged objects, unless there
    /// is a reason to tell.
    pub(super) fn objects(&mut self, color: bool) -> Vec<String> {
        let objects = std::mem::take(&mut self.objects);
        ORDER.iter().flat_map(|outcome| condensed(&objects, *outcome, color)).collect()
    }

    /// Notes a step of a pod. Returns the pod's line when it was the last step.
    pub(super) fn milestone(
        &mut self,
        pod: &ObjectId,
        milestone: Milestone,
        elapsed: Duration,
    ) -> Option<String> {
        let steps = self.pods.entry(pod.clone()).or_default();
        if let Some(words) = words(milestone) {
            steps.push(format!("{words} {}", lines::tenths(elapsed)));
        }
        milestone.is_last().then(|| self.pods.remove(pod).unwrap_or_default().join(", "))
    }
}

/// What a summary says about a step; nothing about one that a later step implies.
pub(super) fn words(milestone: Milestone) -> Option<String> {
    Some(match milestone {
        Milestone::VolumeBound => "volume bound".to_owned(),
        Milestone::Initialized => "initialized".to_owned(),
        Milestone::Cloned { bytes } => format!("cloned {}", text::size(bytes)),
        Milestone::Ready => return None,
        Milestone::MasterReady => "master ready".to_owned(),
        Milestone::Streaming => "streaming".to_owned(),
        Milestone::Deleted => "deleted".to_owned(),
    })
}

fn condensed(
    objects: &[(ObjectId, Outcome, Option<String>)],
    outcome: Outcome,
    color: bool,
) -> Vec<String> {
    let (style, word) = outcome_word(outcome);
    let word = paint(&style, word, color);
    let of_outcome = objects.iter().filter(|(_, is, _)| *is == outcome);
    let explained = |(object, _, detail): &(ObjectId, Outcome, Option<String>)| {
        detail.as_ref().map(|detail| format!("{} {word} ({detail})", name(object)))
    };
    let count = of_outcome.clone().count();
    if outcome == Outcome::Unchanged || count > NAMED {
        let counted = (outcome != Outcome::Unchanged).then(|| format!("{count} objects {word}"));
        return counted.into_iter().chain(of_outcome.filter_map(explained)).collect();
    }
    let (told, plain): (Vec<_>, Vec<_>) = of_outcome.partition(|(_, _, detail)| detail.is_some());
    let names: Vec<String> = plain.iter().map(|(object, ..)| name(object)).collect();
    let plain = (!names.is_empty()).then(|| format!("{} {word}", names.join(", ")));
    plain.into_iter().chain(told.into_iter().filter_map(explained)).collect()
}

/// The line of a pod: its name, then its steps or its state.
pub(super) fn pod_line(pod: &ObjectId, steps: &str, color: bool, width: Option<usize>) -> String {
    let label = paint(&Style::new().green(), lines::subject(pod), color).to_string();
    super::failure::labelled("", &format!("{label} "), steps, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Kind;

    fn object(kind: Kind, name: &str) -> ObjectId {
        ObjectId::new(kind, "demo", name)
    }

    fn told(objects: &[(Kind, &str, Outcome, Option<&str>)]) -> Vec<String> {
        let mut summary = Summary::default();
        for (kind, name, outcome, detail) in objects {
            assert_eq!(summary.object(&object(*kind, name), *outcome, *detail, false), None);
        }
        let lines = summary.objects(false);
        assert!(summary.objects(false).is_empty(), "told twice");
        lines
    }

    #[test]
    fn few_objects_are_named_and_many_are_counted() {
        use Outcome::{Configured, Created, Unchanged};
        let created = |count| vec![(Kind::Service, "a", Created, None); count];
        assert_eq!(told(&created(4)), ["4 objects created"]);
        assert_eq!(told(&created(2)), ["service/a, service/a created"]);
        assert_eq!(
            told(&[
                (Kind::Role, "pgset-sa", Configured, None),
                (Kind::StatefulSet, "pgset", Configured, Some("replicas 2 -> 3")),
                (Kind::Service, "pgset", Unchanged, None),
            ]),
            ["role/pgset-sa configured", "statefulset/pgset configured (replicas 2 -> 3)"]
        );
        let kept = Some("keeps 4 replicas");
        assert_eq!(
            told(&[(Kind::StatefulSet, "pgset", Unchanged, kept)]),
            ["statefulset/pgset unchanged (keeps 4 replicas)"]
        );
        let mut many = created(3);
        many.push((Kind::StatefulSet, "pgset", Created, Some("again")));
        assert_eq!(told(&many), ["4 objects created", "statefulset/pgset created (again)"]);
    }

    #[test]
    fn a_dry_run_lists_its_objects() {
        let mut summary = Summary::default();
        let line = summary.object(
            &object(Kind::Service, "pgset"),
            Outcome::WouldConfigure,
            Some("port"),
            false,
        );
        assert_eq!(line.unwrap(), "service/pgset would be configured (dry run) (port)");
    }

    #[test]
    fn a_pod_is_told_with_its_last_step() {
        let mut summary = Summary::default();
        let pod = object(Kind::Pod, "pgset-1");
        let mut step =
            |milestone, millis| summary.milestone(&pod, milestone, Duration::from_millis(millis));
        assert_eq!(step(Milestone::VolumeBound, 480), None);
        assert_eq!(step(Milestone::Cloned { bytes: 24_000_000 }, 2_900), None);
        assert_eq!(step(Milestone::Ready, 4_000), None);
        let line = step(Milestone::Streaming, 4_100).unwrap();
        assert_eq!(line, "volume bound 0.4 s, cloned 22.8 MiB 2.9 s, streaming 4.1 s");
        assert_eq!(step(Milestone::Deleted, 75_000).unwrap(), "deleted 1 min 15 s");
        let narrow = pod_line(&pod, &line, false, Some(40));
        assert_eq!(
            narrow,
            "pgset-1  volume bound 0.4 s, cloned 22.8\n         MiB 2.9 s, streaming 4.1 s"
        );
    }
}
