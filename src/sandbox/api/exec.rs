//! Commands in containers, over a WebSocket. The first byte of each message is the number of the
//! stream.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use http::{StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rustix::process::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role};

use super::super::faults::{ExecFault, Part};
use super::super::node::terminal::Terminal;
use super::super::node::{Node, Setting, kill_group};
use super::super::refusal::{Answer, Refusal};
use super::super::registry::Registry;
use super::logs;
use super::request::Request;
use super::respond::{self, Reply};

/// The versions of the protocol. Only the first one lets the client close stdin.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// The message that closes a stream begins with this byte; the next one is the stream's number.
const CLOSE: u8 = 255;

/// How long the server waits for the client to close the connection.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Answers an exec request: the connection becomes a WebSocket.
pub fn upgrade(
    node: &Arc<Node>,
    registry: &Registry,
    asked: &Request,
    request: &mut http::Request<Incoming>,
) -> Answer<Reply> {
    let name = asked.name.as_deref().unwrap_or_default();
    let pod = registry.get(&asked.key(name))?;
    let container = logs::container(&pod, asked.query.get("container"))?;
    // Check the protocol only after the pod and the container: kubectl repeats a refused request
    // with an older protocol and shows the second error, which has to be the one about the pod.
    let text = |name: header::HeaderName| super::header_text(request, name);
    let offered = text(header::SEC_WEBSOCKET_PROTOCOL);
    let fault = request.extensions().get().copied().unwrap_or_default();
    let protocol = protocol(&offered, fault);
    let key = text(header::SEC_WEBSOCKET_KEY);
    let (Some(protocol), false) = (protocol, key.is_empty()) else {
        return Err(Refusal::left_out("exec without a WebSocket"));
    };
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let setting = node.setting(uid, &container).ok_or_else(|| {
        let why = format!("container not found ({container:?})");
        Refusal::new(500, "InternalError", format!("unable to upgrade connection: {why}"))
    })?;
    let argv: Vec<String> = asked.query.all("command").map(str::to_owned).collect();
    if argv.is_empty() {
        return Err(Refusal::bad_request(
            "you must specify at least one command for the container",
        ));
    }
    let started = if asked.query.is("tty") {
        Process::on_a_terminal(&setting, &argv)
    } else {
        Process::on_pipes(&setting, &argv, asked.query.is("stdin"))
    };
    let started = started.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "executable file not found in $PATH".to_owned(),
            _ => error.to_string(),
        };
        json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("Internal error occurred: error executing command in container: exec: {:?}: {why}", argv[0]),
        })
    });
    let upgrade = hyper::upgrade::on(request);
    let reply = respond::upgrade(&derive_accept_key(key.as_bytes()), protocol);
    let reply = reply.ok_or_else(|| Refusal::bad_request("a header that can't be answered"))?;
    debug_assert_eq!(reply.status(), StatusCode::SWITCHING_PROTOCOLS);
    tokio::spawn(talk(upgrade, started, fault.breaks));
    Ok(reply)
}

/// The version of the protocol that the server chooses of those that the client offers.
fn protocol(offered: &str, fault: ExecFault) -> Option<&'static str> {
    let known = if fault.only_v4 { &PROTOCOLS[1..] } else { &PROTOCOLS[..] };
    known.iter().copied().find(|known| offered.split(',').any(|own| own.trim() == *known))
}

/// A process and its streams.
struct Process {
    child: Child,
    input: Option<Input>,
    outputs: Vec<(u8, Output)>,
    terminal: Option<Terminal>,
}

type Input = Box<dyn AsyncWrite + Send + Unpin>;
type Output = Box<dyn AsyncRead + Send + Unpin>;

impl Process {
    fn on_pipes(setting: &Setting, argv: &[String], stdin: bool) -> io::Result<Self> {
        let mut command = setting.command(argv);
        let stdin = if stdin { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let out = child.stdout.take().map(|out| (STDOUT, Box::new(out) as Output));
        let err = child.stderr.take().map(|err| (STDERR, Box::new(err) as Output));
        let input = child.stdin.take().map(|stdin| Box::new(stdin) as Input);
        let outputs = out.into_iter().chain(err).collect();
        Ok(Self { child, input, outputs, terminal: None })
    }

    fn on_a_terminal(setting: &Setting, argv: &[String]) -> io::Result<Self> {
        let (child, terminal) = Terminal::start(setting, argv)?;
        let input = Some(Box::new(terminal.input()?) as Input);
        let outputs = vec![(STDOUT, Box::new(terminal.output()?) as Output)];
        Ok(Self { child, input, outputs, terminal: Some(terminal) })
    }
}

/// Connects the process with the WebSocket until the process ends.
async fn talk(upgrade: OnUpgrade, spawned: Result<Process, Value>, breaks: Option<(usize, Part)>) {
    let Ok(upgraded) = upgrade.await else { return };
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let (mut sink, mut rest) = socket.split();
    let status = match spawned {
        Ok(process) => match run(process, &mut sink, &mut rest, &Wear::new(breaks)).await {
            Some(status) => status,
            None => return,
        },
        Err(status) => status,
    };
    // The client may have disconnected.
    let _ = sink.send(message(STATUS, status.to_string().as_bytes())).await;
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let _ = sink.send(Message::Close(Some(normal))).await;
    // Wait until the client closes the connection, so that it receives every message.
    let _ = tokio::time::timeout(CLOSE_WITHIN, rest.for_each(|_| async {})).await;
}

/// Runs a command. Returns none if the client disconnects before the process ends. A process on a
/// terminal ends then; one without a terminal runs on, as in a real cluster, until it or its pod
/// ends.
async fn run(
    process: Process,
    sink: &mut SplitSink<Socket, Message>,
    stream: &mut SplitStream<Socket>,
    wear: &Wear,
) -> Option<Value> {
    let Process { mut child, input, outputs, terminal } = process;
    let hangs_up = terminal.is_some();
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let (sender, mut messages) = mpsc::channel(16);
    let pumps = outputs.into_iter().map(|(channel, output)| pump(output, channel, sender.clone()));
    pumps.for_each(|pump| drop(tokio::spawn(pump)));
    drop(sender);
    let input = feed(stream, input, terminal, wear);
    let forward = async {
        while let Some(message) = messages.recv().await {
            wear.pass(message.len()).await;
            if sink.send(message).await.is_err() {
                return false;
            }
        }
        true
    };
    tokio::pin!(forward, input);
    let mut status = None;
    let mut forwarded = None;
    // The output may be read to its end only after the process has ended.
    while status.is_none() || forwarded.is_none() {
        tokio::select! {
            all = &mut forward, if forwarded.is_none() => forwarded = Some(all),
            ended = child.wait(), if status.is_none() => status = Some(ended),
            () = &mut input => forwarded = Some(false),
            part = wear.broken() => {
                tokio::spawn(async move { child.wait().await });
                return (part == Part::Runtime).then(success);
            }
        }
        if forwarded == Some(false) {
            if hangs_up {
                pid.into_iter().for_each(kill_group);
            }
            tokio::spawn(async move { child.wait().await });
            return None;
        }
    }
    status.and_then(Result::ok).map(ended)
}

/// Sends one output stream of the process to the client. It is read to its end even if the client
/// has disconnected: a full pipe would block the process.
async fn pump(mut stream: impl AsyncRead + Unpin, channel: u8, sender: mpsc::Sender<Message>) {
    let mut buffer = vec![0; 32 << 10];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        // The client may have disconnected.
        let _ = sender.send(message(channel, &buffer[..length])).await;
    }
}

/// Passes the client's input to the process. Returns when the client disconnects; dropping the
/// terminal then hangs it up.
async fn feed(
    stream: &mut SplitStream<Socket>,
    mut stdin: Option<Input>,
    terminal: Option<Terminal>,
    wear: &Wear,
) {
    while let Some(Ok(message)) = stream.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return,
            _ => continue,
        };
        wear.pass(bytes.len()).await;
        match bytes.split_first() {
            Some((&STDIN, text)) => {
                // The program may have ended, or may not read its input.
                if let Some(open) = &mut stdin
                    && open.write_all(text).await.is_err()
                {
                    stdin = None;
                }
            }
            Some((&RESIZE, size)) => terminal.iter().for_each(|terminal| terminal.resize(size)),
            Some((&CLOSE, [STDIN])) => stdin = None,
            _ => {}
        }
    }
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut text = Vec::with_capacity(bytes.len() + 1);
    text.push(channel);
    text.extend_from_slice(bytes);
    Message::Binary(text.into())
}

fn success() -> Value {
    json!({"metadata": {}, "status": "Success"})
}

/// Breaks the connection of a command, if a test wants that.
struct Wear {
    breaks: Option<Part>,
    left: AtomicUsize,
    broken: Notify,
}

impl Wear {
    fn new(breaks: Option<(usize, Part)>) -> Self {
        let (left, part) = breaks.unzip();
        let left = AtomicUsize::new(left.unwrap_or_default());
        Self { breaks: part, left, broken: Notify::new() }
    }

    /// Lets a message of this size pass, or breaks the connection before it.
    async fn pass(&self, length: usize) {
        if self.breaks.is_none() {
            return;
        }
        let left = self.left.load(Ordering::Relaxed);
        if left < length {
            self.broken.notify_one();
            std::future::pending::<()>().await;
        }
        self.left.store(left - length, Ordering::Relaxed);
    }

    /// Waits until the connection breaks, and tells where.
    async fn broken(&self) -> Part {
        match self.breaks {
            Some(part) => {
                self.broken.notified().await;
                part
            }
            None => std::future::pending().await,
        }
    }
}

fn ended(status: ExitStatus) -> Value {
    use std::os::unix::process::ExitStatusExt as _;
    if status.success() {
        return success();
    }
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(9)).to_string();
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": {"causes": [{"reason": "ExitCode", "message": code}]},
    })
}
