//! Events as JSON lines.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::event::{EVENT_VERSION, Event};

use super::reporter::Sink;
use super::stream::Stream;

/// Writes one line per event to stdout.
pub(super) struct Json {
    stdout: Arc<Mutex<Stream>>,
}

impl Json {
    pub(super) fn new(stdout: Arc<Mutex<Stream>>) -> Self {
        Self { stdout }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    #[serde(flatten)]
    event: &'a Event,
}

impl Sink for Json {
    fn emit(&mut self, event: &Event) {
        let line = serde_json::to_string(&Line { version: EVENT_VERSION, event })
            .expect("an event has string keys and no value that JSON lacks");
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner).line(&line);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::error::{Exit, Report};
    use crate::event::Audience;
    use crate::manifest::{Kind, ObjectId};
    use crate::postgres::address::Connection;
    use crate::readiness::{Milestone, Phase};

    fn value(event: &Event) -> serde_json::Value {
        serde_json::to_value(Line { version: EVENT_VERSION, event }).unwrap()
    }

    #[test]
    fn the_shape_of_a_line_is_stable() {
        let object = ObjectId::new(Kind::Pod, "demo", "pgset-1");
        let state = "Cloning 40 %".to_owned();
        assert_eq!(
            value(&Event::State {
                object: object.clone(),
                phase: Phase::Pending,
                state,
                elapsed: Duration::from_millis(1500),
                audience: Audience::Verbose,
            }),
            json!({"version": 1, "event": "state", "phase": "pending", "state": "Cloning 40 %",
                   "elapsed_seconds": 1.5,
                   "object": {"kind": "Pod", "namespace": "demo", "name": "pgset-1"}})
        );
        assert_eq!(
            value(&Event::Heartbeat {
                elapsed: Duration::from_millis(30_001),
                waiting_for: vec![]
            }),
            json!({"version": 1, "event": "heartbeat", "elapsed_seconds": 30.001, "waiting_for": []})
        );
        let milestone = Milestone::Cloned { bytes: 24_000_000 };
        assert_eq!(
            value(&Event::Milestone { object, milestone, elapsed: Duration::from_secs(3) }),
            json!({"version": 1, "event": "milestone", "milestone": "cloned", "bytes": 24_000_000,
                   "object": {"kind": "Pod", "namespace": "demo", "name": "pgset-1"},
                   "elapsed_seconds": 3.0})
        );
        let connection = Connection {
            read_write: "postgresql://testuser@pgset-master.demo.svc:5432/userdb".into(),
            read_only: None,
            database: "userdb".into(),
            user: "testuser".into(),
            secret: "pgset-auth".into(),
        };
        assert_eq!(
            value(&Event::Finished {
                message: "pgset is up".into(),
                elapsed: Duration::from_secs(4),
                connection: Some(connection),
                next: vec![("psql", "pgset psql".into())],
            }),
            json!({"version": 1, "event": "finished", "message": "pgset is up",
                   "elapsed_seconds": 4.0, "database": "userdb", "user": "testuser",
                   "secret": "pgset-auth", "read_only": null,
                   "read_write": "postgresql://testuser@pgset-master.demo.svc:5432/userdb"})
        );
        let failure = Report {
            exit: Exit::TimedOut,
            error: "e".into(),
            caused_by: vec!["c".into()],
            details: vec!["d".into()],
            hints: vec!["h".into()],
        };
        assert_eq!(
            value(&Event::Failed { failure }),
            json!({"version": 1, "event": "failed", "exit": "timed-out", "error": "e",
                   "caused_by": ["c"], "details": ["d"], "hints": ["h"]})
        );
    }
}
