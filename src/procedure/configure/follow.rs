//! Makes one pod use a new configuration: the kubelet updates the files, the server reloads them.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::change::POSTGRESQL_CONF;
use crate::error::{Exit, Failure};
use crate::postgres::configuration::{self, State};
use crate::procedure::kubelet::Nudges;
use crate::procedure::{Next, Procedure, Work, pods, run, sql};

/// The key of the ConfigMap that holds the rules for client authentication.
const PG_HBA_CONF: &str = "pg_hba.conf";

/// The files in the ConfigMap.
pub(super) struct Wanted {
    version: String,
    config: String,
    hba: String,
}

impl Wanted {
    pub(super) fn of(config: &Value) -> Self {
        let text = |key: &str| config["data"][key].as_str().unwrap_or_default().to_owned();
        let version = config["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        Self { version: version.to_owned(), config: text(POSTGRESQL_CONF), hba: text(PG_HBA_CONF) }
    }

    fn is(&self, state: &State) -> bool {
        state.config == self.config && state.hba == self.hba
    }
}

/// Waits until a pod has the wanted files and its server has reloaded them. Returns the server's state.
///
/// # Errors
/// When a file does not arrive in time, or the server can't read it.
pub(super) async fn follow(work: Work<'_>, pod: &Pod, wanted: &Wanted) -> anyhow::Result<State> {
    let follow = Follow { work, pod, wanted, nudges: Nudges::default(), reloaded: None };
    let facts = run(work, follow).await?;
    facts.answer.map_err(|words| work.too_late(words).into())
}

/// The state of a pod.
struct Facts {
    /// The server's answer, or a message why there is none.
    answer: Result<State, String>,
    /// Whether the pod has the wanted files.
    has_files: bool,
    /// Whether the pod should be annotated for its kubelet.
    nudge: bool,
    /// The server's load time of the configuration before this run requested a reload.
    reloaded: Option<String>,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// Make the kubelet update the files.
    Nudge,
    /// Reload the files. The text is the server's last load time.
    Reload(String),
    /// Give up: the server can't read the files, with its messages.
    Fail(Vec<String>),
}

struct Follow<'a> {
    work: Work<'a>,
    pod: &'a Pod,
    wanted: &'a Wanted,
    nudges: Nudges,
    reloaded: Option<String>,
}

impl Procedure for Follow<'_> {
    type Facts = Facts;
    type Step = Step;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        let script = configuration::state(pods::name(self.pod));
        let answer = match sql::run(self.work.cluster, self.work.namespace(), &script).await {
            Ok(output) => State::parse(&output),
            Err(error) => Err(error.to_string()),
        };
        Ok(Facts {
            has_files: answer.as_ref().is_ok_and(|state| self.wanted.is(state)),
            answer,
            nudge: self.nudges.are_due(),
            reloaded: self.reloaded.clone(),
        })
    }

    fn next(facts: &Facts) -> Next<Step> {
        let state = match &facts.answer {
            Ok(state) => state,
            Err(words) => return Next::Wait(words.clone()),
        };
        if !facts.has_files {
            return if facts.nudge {
                Next::Act(Step::Nudge)
            } else {
                Next::Wait("the pod has not received the new configuration".to_owned())
            };
        }
        match &facts.reloaded {
            None if state.stale => Next::Act(Step::Reload(state.loaded.clone())),
            Some(before) if *before == state.loaded => {
                Next::Wait("PostgreSQL has not loaded the new configuration".to_owned())
            }
            _ if !state.errors.is_empty() => Next::Act(Step::Fail(state.errors.clone())),
            _ => Next::Done,
        }
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        let (work, pod) = (self.work, pods::name(self.pod));
        match step {
            Step::Nudge => self.nudges.nudge(work, self.pod, &self.wanted.version).await,
            Step::Reload(loaded) => {
                // Without the Lease: it is repeated whenever the files may be newer than the last reload, also when
                // nothing has changed, and then it changes nothing.
                sql::run(work.cluster, work.namespace(), &configuration::reload(pod)).await?;
                self.reloaded = Some(loaded);
                Ok(())
            }
            Step::Fail(errors) => Err(Failure::new(
                Exit::Failed,
                format!("PostgreSQL in pod {pod} can't read its configuration and keeps the old one; it would not start again"),
            )
            .details(errors)
            .hint(format!("{}  # with settings that PostgreSQL accepts", work.context.again))
            .into()),
        }
    }

    fn done(&self) -> String {
        "the new settings are applied, but not every server has loaded them".to_owned()
    }

    fn too_late(&self, work: Work<'_>, why: String) -> Failure {
        work.too_late(format!("pod {}: {why}", pods::name(self.pod)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(answer: Result<State, String>) -> Facts {
        Facts { answer, has_files: true, nudge: false, reloaded: None }
    }

    fn state() -> State {
        State { loaded: "10:00".to_owned(), ..State::default() }
    }

    #[test]
    fn files_come_are_read_and_are_judged() {
        let wait = |why: &str| Next::Wait(why.to_owned());
        assert_eq!(Follow::next(&facts(Err("no answer".to_owned()))), wait("no answer"));
        let absent = |nudge| Facts { has_files: false, nudge, ..facts(Ok(state())) };
        assert_eq!(Follow::next(&absent(true)), Next::Act(Step::Nudge));
        assert_eq!(
            Follow::next(&absent(false)),
            wait("the pod has not received the new configuration")
        );
        let stale = || State { stale: true, ..state() };
        let reload = Next::Act(Step::Reload("10:00".to_owned()));
        assert_eq!(Follow::next(&facts(Ok(stale()))), reload);
        let reloaded = |at: &str| Facts { reloaded: Some(at.to_owned()), ..facts(Ok(stale())) };
        assert_eq!(
            Follow::next(&reloaded("10:00")),
            wait("PostgreSQL has not loaded the new configuration")
        );
        assert_eq!(Follow::next(&reloaded("09:59")), Next::Done);
        let errors = vec!["line 3".to_owned()];
        let wrong = State { errors: errors.clone(), ..state() };
        assert_eq!(Follow::next(&facts(Ok(wrong))), Next::Act(Step::Fail(errors)));
        assert_eq!(Follow::next(&facts(Ok(state()))), Next::Done);
    }
}
