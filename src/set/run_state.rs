//! Whether a set has pods, and if not, why.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::manifest::object::MANAGER;
use crate::text::counted;
use crate::values::Replicas;

/// The key of the recipe's ConfigMap that says who stopped the set: `joe@laptop`.
pub const STOPPED_BY: &str = "stopped-by";
/// The key of the recipe's ConfigMap that says since when the set is stopped.
pub const STOPPED_SINCE: &str = "stopped-since";
/// The key of the recipe's ConfigMap with the number of pods.
const REPLICAS: &str = "replicas";

/// What `pgset stop` records. Without it, a set without pods was not stopped on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StopRecord {
    /// Who stopped the set: `joe@laptop`.
    pub by: String,
    /// Since when it is stopped.
    pub since: Timestamp,
}

impl StopRecord {
    /// Reads the record from the recipe's ConfigMap. `None` if it has none.
    #[must_use]
    pub fn of(recipe: &Value) -> Option<Self> {
        let text = |key: &str| recipe["data"][key].as_str();
        let since = text(STOPPED_SINCE)?.parse().ok()?;
        Some(Self { by: text(STOPPED_BY).unwrap_or("unknown").to_owned(), since })
    }

    /// The record as data of the ConfigMap. The time has no fraction of a second.
    pub fn data(&self) -> impl Iterator<Item = (&'static str, String)> {
        let since = self.since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        [(STOPPED_BY, self.by.clone()), (STOPPED_SINCE, since)].into_iter()
    }
}

/// Whether a set has pods, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum RunState {
    /// It has pods, or should have.
    Running,
    /// `pgset stop` stopped it.
    Stopped {
        /// Who stopped it, and since when.
        #[serde(flatten)]
        record: StopRecord,
        /// The number of pods to start.
        recorded_replicas: u32,
    },
    /// Its number of pods was set to 0, but not by `pgset stop`.
    ScaledToZero {
        /// The field manager that did it: `kubectl`; `pgset` for an interrupted `pgset down`. `None` if the
        /// server does not record it.
        by: Option<String>,
        /// The number of pods to start.
        recorded_replicas: u32,
    },
    /// `pgset down` deleted its objects and kept its data.
    Down {
        /// Where its data is: `2 volumes (2 GiB)`. `None` if that is not known.
        #[serde(skip_serializing_if = "Option::is_none")]
        data_on: Option<String>,
    },
    /// It does not exist, and no data of it is kept.
    Absent,
}

impl RunState {
    /// Decides it for a StatefulSet. `recipe` is the ConfigMap with the recipe; `owners` are the field managers
    /// that own the number of pods, `None` if the server records no owners.
    ///
    /// The record of `pgset stop` counts only as long as pgset owns the number: another client may have started
    /// the set since. The server does not record who scales to 0 with `kubectl scale`, only that it was another
    /// client.
    #[must_use]
    pub fn of(statefulset: &Value, recipe: Option<&Value>, owners: Option<&[String]>) -> Self {
        if super::objects::replicas(statefulset) > 0 {
            return Self::Running;
        }
        let number = recipe.and_then(|recipe| recipe["data"][REPLICAS].as_str()?.parse().ok());
        let recorded_replicas = number.unwrap_or(Replicas::DEFAULT).get();
        let is_ours = owners.is_none_or(|owners| owners.iter().any(|owner| owner == MANAGER));
        let owners = owners.unwrap_or_default();
        if let Some(record) = recipe.and_then(StopRecord::of).filter(|_| is_ours) {
            return Self::Stopped { record, recorded_replicas };
        }
        let other = owners.iter().find(|owner| *owner != MANAGER);
        Self::ScaledToZero { by: other.or(owners.first()).cloned(), recorded_replicas }
    }

    /// The number of pods to start; 0 for a set that runs or does not exist.
    #[must_use]
    pub fn to_start(&self) -> u32 {
        match self {
            Self::Stopped { recorded_replicas, .. }
            | Self::ScaledToZero { recorded_replicas, .. } => *recorded_replicas,
            Self::Running | Self::Down { .. } | Self::Absent => 0,
        }
    }

    /// Whether the set exists and has no pods.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        matches!(self, Self::Stopped { .. } | Self::ScaledToZero { .. })
    }

    /// Whether someone set the number of pods to 0 and may have a reason. An interrupted `pgset down` has none:
    /// `pgset up` starts what it stopped without a question, as after a whole `pgset down`.
    #[must_use]
    pub fn is_intended(&self) -> bool {
        match self {
            Self::Stopped { .. } => true,
            Self::ScaledToZero { by, .. } => by.as_deref() != Some(MANAGER),
            Self::Running | Self::Down { .. } | Self::Absent => false,
        }
    }

    /// The command that starts the set, and what it does: `pgset start`, `starts 3 pods`.
    #[must_use]
    pub fn next(&self) -> Option<(&'static str, String)> {
        let pods = counted(self.to_start() as usize, "pod");
        match self {
            Self::Stopped { .. } | Self::ScaledToZero { .. } => {
                Some(("pgset start", format!("starts {pods}")))
            }
            Self::Down { .. } => Some(("pgset up", "starts it again".to_owned())),
            Self::Running | Self::Absent => None,
        }
    }

    /// The same as a hint.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.next().map(|(command, what)| format!("{command}  # {what}"))
    }
}

/// `stopped (by joe@laptop, 2026-11-24 02:00 UTC)`, `scaled to 0 by kubectl`.
impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Stopped { record: StopRecord { by, since }, .. } => {
                write!(f, "stopped (by {by}, {})", since.strftime("%Y-%m-%d %H:%M UTC"))
            }
            Self::ScaledToZero { by: None, .. } => f.write_str("scaled to 0 by another client"),
            Self::ScaledToZero { by: Some(by), .. } if by == MANAGER => {
                f.write_str("scaled to 0 by an interrupted `pgset down`")
            }
            Self::ScaledToZero { by: Some(by), .. } => write!(f, "scaled to 0 by {by}"),
            Self::Down { data_on: None } => f.write_str("down"),
            Self::Down { data_on: Some(place) } => write!(f, "down; data kept on {place}"),
            Self::Absent => f.write_str("absent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SINCE: &str = "2026-11-24T02:00:00Z";

    fn recipe(data: &Value) -> Value {
        json!({ "data": data })
    }

    fn stopped() -> Value {
        recipe(&json!({"replicas": "3", "stopped-by": "joe@laptop", "stopped-since": SINCE}))
    }

    #[test]
    fn the_number_of_pods_the_record_and_the_owner_decide() {
        let running = recipe(&json!({"replicas": "3"}));
        let none = recipe(&json!({}));
        let (set, recipes) =
            (|n: u32| json!({"spec": {"replicas": n}}), (stopped(), running, none));
        let (stopped, running, none) = (Some(&recipes.0), Some(&recipes.1), Some(&recipes.2));
        let by_joe = "stopped (by joe@laptop, 2026-11-24 02:00 UTC)";
        let by_down = "scaled to 0 by an interrupted `pgset down`";
        for (replicas, recipe, owners, words, to_start) in [
            (2, running, &["pgset"][..], "running", 0),
            // `stop` was killed before it scaled, or another client has started the set.
            (2, stopped, &["pgset"], "running", 0),
            (2, stopped, &["kubectl"], "running", 0),
            (0, stopped, &["pgset"], by_joe, 3),
            // `stop` took over from kubectl, with the same value.
            (0, stopped, &["kubectl", "pgset"], by_joe, 3),
            // Started and stopped again by another client since.
            (0, stopped, &["kubectl"], "scaled to 0 by kubectl", 3),
            (0, stopped, &[], "scaled to 0 by another client", 3),
            (0, running, &["kubectl"], "scaled to 0 by kubectl", 3),
            (0, running, &["pgset", "keda"], "scaled to 0 by keda", 3),
            (0, running, &["pgset"], by_down, 3),
            (0, running, &[], "scaled to 0 by another client", 3),
            (0, none, &["kubectl"], "scaled to 0 by kubectl", 2),
            (0, None, &["kubectl"], "scaled to 0 by kubectl", 2),
        ] {
            let owners: Vec<String> = owners.iter().map(|owner| (*owner).to_owned()).collect();
            let state = RunState::of(&set(replicas), recipe, Some(&owners));
            let case = format!("{replicas} pods, {recipe:?}, {owners:?}");
            assert_eq!((state.to_string().as_str(), state.to_start()), (words, to_start), "{case}");
            assert_eq!(state.is_at_rest(), replicas == 0, "{case}");
            assert_eq!(state.is_intended(), replicas == 0 && words != by_down, "{case}");
        }
        // The server records no owners.
        let state = |recipe| RunState::of(&set(0), recipe, None).to_string();
        assert_eq!(state(stopped), by_joe);
        assert_eq!(state(running), "scaled to 0 by another client");
        // The server's default is 1.
        assert_eq!(RunState::of(&json!({"spec": {}}), None, None), RunState::Running);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = StopRecord::of(&stopped()).unwrap();
        assert_eq!(record, StopRecord { by: "joe@laptop".into(), since: SINCE.parse().unwrap() });
        let data: serde_json::Map<String, Value> =
            record.data().map(|(key, value)| (key.to_owned(), json!(value))).collect();
        assert_eq!(StopRecord::of(&json!({ "data": data })), Some(record));
        for broken in [json!({}), json!({"stopped-by": "x"}), json!({"stopped-since": "soon"})] {
            assert_eq!(StopRecord::of(&recipe(&broken)), None, "{broken}");
        }
    }

    #[test]
    fn the_shape_for_programs_is_stable() {
        let stopped = stopped();
        let at_rest = |owner: &str| {
            let set = json!({"spec": {"replicas": 0}});
            serde_json::to_value(RunState::of(&set, Some(&stopped), Some(&[owner.to_owned()])))
                .unwrap()
        };
        assert_eq!(
            at_rest("pgset"),
            json!({"state": "stopped", "by": "joe@laptop", "since": SINCE, "recorded_replicas": 3})
        );
        assert_eq!(
            at_rest("kubectl"),
            json!({"state": "scaled-to-zero", "by": "kubectl", "recorded_replicas": 3})
        );
        let data_on = Some("2 volumes (2 GiB)".to_owned());
        assert_eq!(
            serde_json::to_value(RunState::Down { data_on }).unwrap(),
            json!({"state": "down", "data_on": "2 volumes (2 GiB)"})
        );
        assert_eq!(serde_json::to_value(RunState::Running).unwrap(), json!({"state": "running"}));
    }
}
