//! Asks a running sandbox for its nodes, and changes them, through its API server.

use std::time::Duration;

use http::Request;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::controllers::condition;
use super::nodes::{NodeAction, NodeError, NodeState};

/// How long the sandbox may take to answer. It kills the processes of a node within that time.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A node of the running sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteNode {
    /// Its name.
    pub name: String,
    /// What works of it.
    pub state: NodeState,
    /// Whether the cluster considers it ready.
    pub ready: bool,
}

impl RemoteNode {
    /// `Ready`, `Ready, frozen`, `NotReady, stopped`.
    fn words(&self) -> String {
        let ready = if self.ready { "Ready" } else { "NotReady" };
        match self.state {
            NodeState::Running => ready.to_owned(),
            state => format!("{ready}, {}", state.word()),
        }
    }
}

/// A line for each node; nothing if there is only one, and it works.
#[must_use]
pub fn lines(nodes: &[RemoteNode]) -> String {
    if let [node] = nodes
        && node.ready
        && node.state == NodeState::Running
    {
        return String::new();
    }
    let line = |node: &RemoteNode| format!("{:<10}  {}\n", node.name, node.words());
    nodes.iter().map(line).collect()
}

/// The nodes of the sandbox that the client is connected to.
///
/// # Errors
/// If it does not answer.
pub async fn nodes(client: &Client) -> Result<Vec<RemoteNode>, NodeError> {
    let list = ask(client, Request::get("/api/v1/nodes"), Vec::new()).await?;
    let nodes = list["items"].as_array().into_iter().flatten();
    Ok(nodes
        .map(|node| RemoteNode {
            name: node["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            state: NodeState::of(node),
            ready: condition(node, "Ready") == Some(true),
        })
        .collect())
}

/// Changes a node. `flag` selects the sandbox in hints.
///
/// # Errors
/// If there is no such node, if its state does not allow it, or if the sandbox does not answer.
pub async fn switch(
    client: &Client,
    name: &str,
    action: NodeAction,
    flag: &str,
) -> Result<(), NodeError> {
    let nodes = nodes(client).await?;
    let flag = flag.to_owned();
    let Some(node) = nodes.iter().find(|node| node.name == name) else {
        let known = nodes.into_iter().map(|node| node.name).collect();
        return Err(NodeError::Unknown { name: name.to_owned(), known, action, flag });
    };
    if action.after(node.state).is_none() {
        return Err(NodeError::State { name: name.to_owned(), state: node.state, flag });
    }
    let request = Request::put(format!("/api/v1/nodes/{name}/power"));
    let request = request.header(http::header::CONTENT_TYPE, "application/json");
    let body = json!({"action": action.word()}).to_string().into_bytes();
    ask(client, request, body).await.map(drop)
}

async fn ask(
    client: &Client,
    request: http::request::Builder,
    body: Vec<u8>,
) -> Result<Value, NodeError> {
    let request = request.body(body).map_err(|e| NodeError::Asking(e.to_string()))?;
    let answer = timeout(ANSWER_WITHIN, client.request(request)).await;
    let answer = answer.map_err(|_| {
        NodeError::Asking(format!("no answer within {} s", ANSWER_WITHIN.as_secs()))
    })?;
    answer.map_err(|e| NodeError::Asking(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_that_works_is_not_mentioned() {
        let node = |name: &str, state, ready| RemoteNode { name: name.to_owned(), state, ready };
        let well = node("sandbox", NodeState::Running, true);
        assert_eq!(lines(std::slice::from_ref(&well)), "");
        let frozen = node("sandbox", NodeState::Frozen, false);
        assert_eq!(lines(&[frozen]), "sandbox     NotReady, frozen\n");
        let two = [
            node("sandbox-1", NodeState::Running, true),
            node("sandbox-2", NodeState::Stopped, true),
        ];
        assert_eq!(lines(&two), "sandbox-1   Ready\nsandbox-2   Ready, stopped\n");
    }
}
