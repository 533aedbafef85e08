//! Rules that find problems in the facts.

use super::{Facts, PodFacts, Role, ServiceFacts, ServiceRole, VolumeFacts, names};

pub(super) fn why_down(pods: &[PodFacts], services: &[ServiceFacts]) -> Option<String> {
    let writable: Vec<&PodFacts> =
        pods.iter().filter(|pod| pod.is_writable() && pod.ready).collect();
    if writable.is_empty() {
        return Some(match pods.iter().find(|pod| pod.is_writable()) {
            Some(pod) => format!("the master {} is not ready", pod.name),
            None if pods.is_empty() => "no pod runs".to_owned(),
            None => "no pod is a writable master".to_owned(),
        });
    }
    let service = services.iter().find(|service| service.role == ServiceRole::Master);
    let Some(service) = service else {
        return Some("there is no Service of the master".to_owned());
    };
    let reaches = |pod: &&PodFacts| service.endpoints.iter().any(|e| e.is_of(pod));
    (!writable.iter().any(reaches))
        .then(|| format!("Service {} does not reach the master", service.name))
}

/// The contradictions between labels, PostgreSQL's answers and endpoints. Empty if there are none.
#[must_use]
pub fn disagreements(pods: &[PodFacts], services: &[ServiceFacts]) -> Vec<String> {
    let mut found = Vec::new();
    let writable: Vec<&str> =
        pods.iter().filter(|pod| pod.is_writable()).map(|pod| pod.name.as_str()).collect();
    match writable.as_slice() {
        [] => found.push("no pod is a writable master".to_owned()),
        [_] => {}
        many => found.push(format!(
            "Pods {} are all writable: the set must have only one master",
            many.join(" and ")
        )),
    }
    for pod in pods {
        found.extend(unanswered(pod));
        let name = &pod.name;
        match (pod.role_label, pod.in_recovery) {
            (None, Some(_)) => found.push(format!("Pod {name} has no role label")),
            (Some(Role::Master), Some(true)) => {
                found.push(format!("Pod {name} is labelled master and is in recovery"));
            }
            (Some(Role::Replica), Some(false)) => {
                found.push(format!("Pod {name} is labelled replica and is writable"));
            }
            (Some(_), Some(_)) | (_, None) => {}
        }
    }
    for service in services {
        endpoint_disagreements(&mut found, service, pods);
    }
    found
}

/// That a pod's server does not answer.
fn unanswered(pod: &PodFacts) -> Option<String> {
    if pod.in_recovery.is_some() {
        return None;
    }
    let problem = format!("Pod {} cannot be queried (pg_is_in_recovery() failed)", pod.name);
    Some(match &pod.no_answer {
        Some(why) => format!("{problem}: {why}"),
        None => problem,
    })
}

fn endpoint_disagreements(found: &mut Vec<String>, service: &ServiceFacts, pods: &[PodFacts]) {
    let name = &service.name;
    let (wanted, what) = match service.role {
        ServiceRole::Master => (false, "in recovery"),
        ServiceRole::Replica => (true, "writable"),
        ServiceRole::Headless => return,
    };
    for endpoint in &service.endpoints {
        match pods.iter().find(|pod| endpoint.is_of(pod)) {
            Some(pod) if pod.in_recovery == Some(!wanted) => {
                found.push(format!("Service {name} reaches {}, which is {what}", pod.name));
            }
            Some(_) => {}
            None => found.push(format!(
                "Service {name} reaches {}, which is no pod of the set",
                endpoint.address
            )),
        }
    }
    for pod in pods.iter().filter(|pod| pod.ready && pod.in_recovery == Some(wanted)) {
        if !service.endpoints.iter().any(|endpoint| endpoint.is_of(pod)) {
            found.push(format!("Service {name} does not reach {}", pod.name));
        }
    }
}

pub(super) fn pod_problems(facts: &Facts) -> Vec<String> {
    let desired = facts.desired_replicas as usize;
    let mut found = Vec::new();
    if facts.pods.len() != desired {
        found.push(format!("{} pods, expected {desired}", facts.pods.len()));
    }
    // Pods in the same state are told once.
    let mut states: Vec<(&str, Vec<&str>)> = Vec::new();
    for pod in facts.pods.iter().filter(|pod| !pod.ready && !facts.explained.contains(&pod.name)) {
        match states.iter_mut().find(|(state, _)| *state == pod.state) {
            Some((_, pods)) => pods.push(&pod.name),
            None => states.push((&pod.state, vec![&pod.name])),
        }
    }
    for (state, pods) in states {
        found.push(match pods.as_slice() {
            [pod] => format!("Pod {pod} is not ready: {state}"),
            pods => format!("Pods {} are not ready: {state}", pods.join(", ")),
        });
    }
    found
}

impl Facts {
    /// Whether a problem that is told anyway is the reason why a pod does not work: it is not ready.
    fn is_explained(&self, name: &str) -> bool {
        self.pods.iter().any(|pod| pod.name == name && !pod.ready)
    }

    /// The contradictions that are news: not that a pod does not answer whose problem is told anyway.
    pub(super) fn disagreements(&self) -> Vec<String> {
        let explained = self.pods.iter().filter(|pod| self.is_explained(&pod.name));
        let known: Vec<String> = explained.filter_map(unanswered).collect();
        let mut found = disagreements(&self.pods, &self.services);
        found.retain(|problem| !known.contains(problem));
        found
    }
}

pub(super) fn replication_problems(facts: &Facts) -> Vec<String> {
    let Some(observation) = &facts.observation else {
        return match facts.desired_replicas {
            0 | 1 => Vec::new(),
            // Then there is no master to query.
            _ if facts.pods.iter().any(|pod| !pod.ready) => Vec::new(),
            _ => vec!["replication cannot be checked: the master cannot be queried".to_owned()],
        };
    };
    let mut found = Vec::new();
    let replicas: Vec<(String, String)> = names(&facts.pods, |pod| !pod.is_writable());
    let by_pod = observation.by_pod(&replicas);
    let streaming: Vec<&str> = by_pod.streaming().collect();
    let desired = facts.desired_replicas.saturating_sub(1) as usize;
    if streaming.len() < desired {
        found.push(format!("{} of {desired} replicas stream", streaming.len()));
    }
    for (pod, rows) in &by_pod.rows {
        match rows.as_slice() {
            [row] if row.streams() => {}
            [row] => found.push(format!("Pod {pod} is in state {}", row.state)),
            [] if facts.is_explained(pod) => {}
            [] => found.push(format!("Pod {pod} does not stream")),
            many => {
                found.push(format!("Pod {pod} has {} rows in pg_stat_replication", many.len()));
            }
        }
    }
    if let Some(confirm) = observation.too_few_confirm() {
        let replicas = match observation.synchronous {
            1 => "1 replica".to_owned(),
            number => format!("{number} replicas"),
        };
        found.push(format!(
            "{replicas} must confirm each commit, but only {confirm} can: every commit waits"
        ));
    }
    if let Some(settings) = &observation.pending_restart {
        found.push(format!("the master needs a restart to apply {settings}: pgset up restarts it"));
    }
    found
}

/// `told` are the problems that name a cause: a claim among them is not told again.
pub(super) fn volume_problems(volumes: &[VolumeFacts], told: &[String]) -> Vec<String> {
    let is_told = |claim: &str| told.iter().any(|problem| problem.contains(claim));
    let bad = volumes.iter().filter(|volume| volume.phase != "Bound" && !is_told(&volume.claim));
    bad.map(|volume| format!("claim {} is {}", volume.claim, volume.phase)).collect()
}
