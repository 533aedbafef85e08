//! Logs of containers.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;

use super::super::kinds::PODS;
use super::super::node::Node;
use super::super::node::log::{self, Record};
use super::super::refusal::{Answer, Refusal};
use super::super::registry::Registry;
use super::super::store::Key;
use super::request::{Query, Request};
use super::respond::{self, Reply};

/// How often a followed log is checked for new lines.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Answers a request for a log.
pub fn read(node: &Arc<Node>, registry: &Arc<Registry>, asked: &Request) -> Answer<Reply> {
    let options = LogOptions::asked(&asked.query)?;
    let name = asked.name.as_deref().unwrap_or_default();
    let pod = registry.get(&asked.key(name))?;
    let container = container(&pod, asked.query.get("container"))?;
    let status = status(&pod, &container);
    let run = status.map_or(0, |status| status["restartCount"].as_u64().unwrap_or(0));
    let waits = status.is_none_or(|status| status["state"]["waiting"].is_object());
    let ended = status.is_some_and(|status| status["lastState"]["terminated"].is_object());
    let previous = asked.query.is("previous");
    let run = match (previous, waits && ended) {
        (true, false) => run.checked_sub(1).ok_or_else(|| {
            Refusal::bad_request(format!(
                "previous terminated container {container:?} in pod {name:?} not found"
            ))
        })?,
        _ => run,
    };
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let path = node.log(uid, &container, run);
    // The open file stays readable after the pod's directory is deleted.
    let opened = std::fs::File::open(&path).and_then(|mut file| {
        let mut kept = Vec::new();
        file.read_to_end(&mut kept)?;
        Ok((file, kept))
    });
    let Ok((file, kept)) = opened else {
        let reason = status.and_then(|status| status["state"]["waiting"]["reason"].as_str());
        let reason = reason.unwrap_or("PodInitializing");
        return Err(Refusal::bad_request(format!(
            "container {container:?} in pod {name:?} is waiting to start: {reason}"
        )));
    };
    let end = whole(&kept);
    let text = options.first(&kept[..end]);
    if !asked.query.is("follow") {
        return Ok(respond::text(text));
    }
    let (sender, reply) = respond::streaming("text/plain");
    let follow = Follow {
        registry: Arc::clone(registry),
        key: Key::new(&PODS, asked.namespace.as_deref().unwrap_or_default(), name),
        uid: uid.to_owned(),
        container,
        run,
        file,
        sender,
        options,
    };
    tokio::spawn(follow.run(text, end as u64));
    Ok(reply)
}

/// The container that a request is about.
pub(super) fn container(pod: &Value, asked: Option<&str>) -> Answer<String> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let names = |list: &str| -> Vec<&str> {
        let list = pod["spec"][list].as_array();
        list.into_iter().flatten().filter_map(|c| c["name"].as_str()).collect()
    };
    let (all, init) = (names("containers"), names("initContainers"));
    match asked {
        Some(asked) if all.contains(&asked) || init.contains(&asked) => Ok(asked.to_owned()),
        Some(asked) => {
            Err(Refusal::bad_request(format!("container {asked} is not valid for pod {name}")))
        }
        None if all.len() == 1 => Ok(all[0].to_owned()),
        None => {
            let list = |names: &[&str]| names.join(" ");
            let also = match init.as_slice() {
                [] => String::new(),
                init => format!(" or one of the init containers: [{}]", list(init)),
            };
            Err(Refusal::bad_request(format!(
                "a container name must be specified for pod {name}, choose one of: [{}]{also}",
                list(&all)
            )))
        }
    }
}

/// The status of a container.
fn status<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    let lists = ["containerStatuses", "initContainerStatuses"];
    let mut all =
        lists.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    all.find(|status| status["name"] == container)
}

/// The length of the complete records.
fn whole(kept: &[u8]) -> usize {
    kept.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// The options of a log request.
#[derive(Clone, Debug, Default)]
struct LogOptions {
    /// Show the time of each line.
    timestamps: bool,
    /// Show lines from this time on.
    since: Option<Timestamp>,
    /// Show this number of lines at the end.
    tail: Option<usize>,
    /// Show at most this number of bytes.
    limit: Option<usize>,
}

impl LogOptions {
    fn asked(query: &Query) -> Answer<Self> {
        let number = |option: &str| -> Answer<Option<u64>> {
            let read = |text: &str| {
                let what = format!("Invalid value: {text:?}: {option}: must be a number");
                text.parse().map_err(|_| Refusal::bad_request(what))
            };
            query.get(option).map(read).transpose()
        };
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let ago = number("sinceSeconds")?.and_then(|n| i64::try_from(n).ok());
        let ago = ago.map(|n| Timestamp::now().saturating_sub(jiff::SignedDuration::from_secs(n)));
        let since = match (ago, query.get("sinceTime")) {
            (Some(Ok(time)), _) => Some(time),
            (_, Some(text)) => Some(text.parse().map_err(|e| {
                Refusal::bad_request(format!("Invalid value: {text:?}: sinceTime: {e}"))
            })?),
            _ => None,
        };
        Ok(Self {
            timestamps: query.is("timestamps"),
            since,
            tail: number("tailLines")?.map(size),
            limit: number("limitBytes")?.map(size),
        })
    }

    /// The output for what the log contains at the time of the request.
    fn first(&self, kept: &[u8]) -> Vec<u8> {
        let mut records: Vec<Record<'_>> = log::read(kept).collect();
        if let Some(lines) = self.tail {
            // A last line without a line end counts as a line.
            let open = records.last().is_some_and(|last| !last.ends);
            let ends = (0..records.len()).rev().filter(|at| records[*at].ends);
            let mut before = ends.skip(usize::from(!open)).map(|at| at + 1);
            let from = match lines {
                0 => records.len(),
                lines => before.nth(lines - 1).unwrap_or(0),
            };
            records.drain(..from);
        }
        let mut text = self.text(&records);
        text.truncate(self.limit.unwrap_or(usize::MAX));
        text
    }

    fn text(&self, records: &[Record<'_>]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut begins = true;
        for record in records {
            let time = || record.time.parse::<Timestamp>().unwrap_or_default();
            if self.since.is_some_and(|since| time() < since) {
                continue;
            }
            if self.timestamps && begins {
                text.extend_from_slice(record.time.as_bytes());
                text.push(b' ');
            }
            text.extend_from_slice(record.text);
            if record.ends {
                text.push(b'\n');
            }
            begins = record.ends;
        }
        text
    }
}

struct Follow {
    registry: Arc<Registry>,
    key: Key,
    uid: String,
    container: String,
    run: u64,
    file: std::fs::File,
    sender: mpsc::Sender<Bytes>,
    options: LogOptions,
}

impl Follow {
    /// Sends the existing lines, then new ones, until the container has ended.
    async fn run(mut self, text: Vec<u8>, mut at: u64) {
        let mut next = text;
        loop {
            if !next.is_empty() && self.sender.send(next.into()).await.is_err() {
                return;
            }
            let runs = self.runs();
            let kept = grown(&mut self.file, at).unwrap_or_default();
            let end = whole(&kept);
            at += end as u64;
            next = self.options.text(&log::read(&kept[..end]).collect::<Vec<_>>());
            if end == 0 {
                if !runs {
                    return;
                }
                tokio::select! {
                    () = self.sender.closed() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        }
    }

    fn runs(&self) -> bool {
        self.registry.store.get(&self.key).is_some_and(|pod| {
            pod["metadata"]["uid"] == self.uid.as_str()
                && status(&pod, &self.container).is_some_and(|status| {
                    status["restartCount"] == self.run && status["state"]["running"].is_object()
                })
        })
    }
}

fn grown(file: &mut std::fs::File, at: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut more = Vec::new();
    file.take(1 << 20).read_to_end(&mut more)?;
    Ok(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &[u8] = b"2026-01-01T00:00:01Z F a\n2026-01-01T00:00:02Z P b\n\
        2026-01-01T00:00:02Z F b\n2026-01-01T00:00:03Z F c\n";

    fn shown(query: &str, kept: &[u8]) -> String {
        let options = LogOptions::asked(&Query::parse(query)).unwrap();
        String::from_utf8(options.first(kept)).unwrap()
    }

    #[test]
    fn parts_of_a_log() {
        for (query, expected) in [
            ("", "a\nbb\nc\n"),
            ("tailLines=0", ""),
            ("tailLines=1", "c\n"),
            ("tailLines=2", "bb\nc\n"),
            ("tailLines=9", "a\nbb\nc\n"),
            ("limitBytes=3", "a\nb"),
            ("sinceTime=2026-01-01T00:00:03Z", "c\n"),
            ("timestamps=true&tailLines=2", "2026-01-01T00:00:02Z bb\n2026-01-01T00:00:03Z c\n"),
        ] {
            assert_eq!(shown(query, KEPT), expected, "{query}");
        }
        let open = [KEPT, b"2026-01-01T00:00:04Z P d\n"].concat();
        assert_eq!(shown("tailLines=1", &open), "d");
        assert_eq!(shown("tailLines=2", &open), "c\nd");
        assert_eq!(LogOptions::asked(&Query::parse("tailLines=x")).unwrap_err().code, 400);
        assert_eq!(whole(b"a\nb"), 2);
    }
}
