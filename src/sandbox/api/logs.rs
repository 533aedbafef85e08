//! The log of a container: what its processes wrote.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use super::super::kinds::PODS;
use super::super::node::Node;
use super::super::refusal::{Answer, Refusal};
use super::super::registry::Registry;
use super::super::store::Key;
use super::request::Request;
use super::respond::{self, Reply};

/// How often it is looked whether a log has grown.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Answers a request for a log.
pub fn read(node: &Arc<Node>, registry: &Arc<Registry>, asked: &Request) -> Answer<Reply> {
    for option in ["sinceSeconds", "sinceTime", "timestamps"] {
        if asked.query.get(option).is_some_and(|value| value != "false") {
            return Err(Refusal::left_out(&format!("the time of each line ({option})")));
        }
    }
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
    let number = |option: &str| asked.query.get(option).and_then(|n| n.parse::<u64>().ok());
    let Ok(mut text) = std::fs::read(&path) else {
        let reason = status.and_then(|status| status["state"]["waiting"]["reason"].as_str());
        let reason = reason.unwrap_or("PodInitializing");
        return Err(Refusal::bad_request(format!(
            "container {container:?} in pod {name:?} is waiting to start: {reason}"
        )));
    };
    let end = text.len() as u64;
    if let Some(lines) = number("tailLines") {
        text = tail(&text, lines).to_vec();
    }
    if let Some(limit) = number("limitBytes") {
        text.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
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
        path,
        sender,
    };
    tokio::spawn(follow.run(text, end));
    Ok(reply)
}

/// The container that is meant.
pub(super) fn container(pod: &Value, asked: Option<&str>) -> Answer<String> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let lists = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
    let all: Vec<&str> =
        lists.into_iter().flatten().flatten().filter_map(|c| c["name"].as_str()).collect();
    match asked {
        Some(asked) if all.contains(&asked) => Ok(asked.to_owned()),
        Some(asked) => {
            Err(Refusal::bad_request(format!("container {asked} is not valid for pod {name}")))
        }
        None if all.len() == 1 => Ok(all[0].to_owned()),
        None => Err(Refusal::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            all.join(" ")
        ))),
    }
}

/// The status of a container.
fn status<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    let lists = ["containerStatuses", "initContainerStatuses"];
    let mut all =
        lists.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    all.find(|status| status["name"] == container)
}

/// The last lines of a text.
fn tail(text: &[u8], lines: u64) -> &[u8] {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let mut breaks = (0..body.len()).rev().filter(|at| body[*at] == b'\n');
    match usize::try_from(lines).ok().and_then(|n| n.checked_sub(1)) {
        None if lines == 0 => &[],
        None => text,
        Some(n) => breaks.nth(n).map_or(text, |at| &text[at + 1..]),
    }
}

struct Follow {
    registry: Arc<Registry>,
    key: Key,
    uid: String,
    container: String,
    run: u64,
    path: PathBuf,
    sender: mpsc::Sender<Bytes>,
}

impl Follow {
    /// Sends what is there, then what is added, until the container has ended.
    async fn run(self, text: Vec<u8>, mut at: u64) {
        let mut next = text;
        loop {
            if !next.is_empty() && self.sender.send(next.into()).await.is_err() {
                return;
            }
            let runs = self.runs();
            next = grown(&self.path, at).unwrap_or_default();
            at += next.len() as u64;
            if next.is_empty() {
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

fn grown(path: &Path, at: u64) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    let mut more = Vec::new();
    file.take(1 << 20).read_to_end(&mut more)?;
    Ok(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc\n", 9, "a\nb\nc\n"),
            ("a\nb", 1, "b"),
            ("a\n", 0, ""),
            ("", 3, ""),
        ] {
            assert_eq!(tail(text.as_bytes(), lines), expected.as_bytes(), "{text:?} {lines}");
        }
    }
}
