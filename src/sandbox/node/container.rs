//! Containers: starts, probes, ends and restarts them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::environment::Setting;
use super::images::{self, Image};
use super::pod::Worker;
use super::{lock, log, probes, processes, volumes};

/// The first and the longest delay before a restart, as in the kubelet.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// A container that ran for longer than this restarts with the first delay again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// How often the node checks again for something that is missing.
const RETRY: Duration = Duration::from_secs(1);

/// How long the node waits for the end of a log.
const LOG_WITHIN: Duration = Duration::from_secs(1);
/// How much of the log becomes the termination message.
const MESSAGE_LIMIT: usize = 2048;
/// How much of the termination log becomes the termination message.
const TERMINATION_LOG_LIMIT: usize = 4096;

/// A running container.
struct Process {
    child: Child,
    pid: Pid,
    setting: Setting,
    /// Finishes when the log is complete.
    log: JoinHandle<()>,
    stop: Signal,
}

/// Why a container can't start.
struct Obstacle {
    /// The reason in the container's status.
    reason: &'static str,
    /// The message.
    message: String,
    /// The reason and message of the event.
    event: (&'static str, String),
    /// The reason in the status between two attempts, if the delay between attempts grows.
    backoff: Option<&'static str>,
}

impl Worker {
    /// Runs a container, and restarts it according to the pod's restart policy. Returns whether an
    /// init container succeeded.
    pub(super) async fn supervise(&self, index: usize) -> bool {
        let mut pause = BACKOFF.0;
        let mut first = true;
        while !self.is_ending() {
            let Some(process) = self.begin(index).await else { return false };
            let began = Instant::now();
            let code = self.attend(index, process).await;
            let init = self.state(index).init;
            if self.is_ending() || !self.restarts(init, code) {
                return code == 0;
            }
            if began.elapsed() > FORGIVEN_AFTER {
                (pause, first) = (BACKOFF.0, true);
            }
            // The first restart has no delay.
            if !first {
                self.back_off(index, pause).await;
                pause = (pause * 2).min(BACKOFF.1);
            }
            first = false;
            if !self.is_ending() {
                self.set(index, |state| {
                    state.restarts += 1;
                    state.last = std::mem::replace(
                        &mut state.now,
                        json!({"waiting": {"reason": "ContainerCreating"}}),
                    );
                });
            }
        }
        false
    }

    async fn back_off(&self, index: usize, pause: Duration) {
        let name = self.state(index).name().to_owned();
        let place = format!("{}_{}({})", self.key.name, self.key.namespace, self.uid);
        self.tell(
            &name,
            true,
            "BackOff",
            &format!("Back-off restarting failed container {name} in pod {place}"),
        );
        let message =
            format!("back-off {}s restarting failed container={name} pod={place}", pause.as_secs());
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
        let ended = self.state(index).now;
        self.set(index, |state| {
            state.last = ended.clone();
            state.now = waiting;
        });
        self.wait_unless_ending(pause).await;
        self.set(index, |state| state.now = ended);
    }

    async fn wait_unless_ending(&self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.begins_to_end() => {}
        }
    }

    /// Starts a container as soon as possible. Returns none if its pod ends first.
    async fn begin(&self, index: usize) -> Option<Process> {
        let mut pause = BACKOFF.0;
        loop {
            if self.is_ending() {
                return None;
            }
            let obstacle = match self.start(index) {
                Ok(process) => return Some(process),
                Err(obstacle) => obstacle,
            };
            let name = self.state(index).name().to_owned();
            let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
            self.set(index, |state| state.now = waiting(obstacle.reason, &obstacle.message));
            let mounting = obstacle.event.0 == "FailedMount";
            let part = if mounting { "" } else { name.as_str() };
            self.tell(part, true, obstacle.event.0, &obstacle.event.1);
            let Some(meanwhile) = obstacle.backoff else {
                self.wait_unless_ending(RETRY).await;
                continue;
            };
            self.tell(&name, true, "Failed", &format!("Error: {}", obstacle.reason));
            self.wait_unless_ending(RETRY).await;
            let image = self.state(index).spec["image"].as_str().unwrap_or_default().to_owned();
            let message = format!("Back-off pulling image {image:?}: {}", obstacle.message);
            self.set(index, |state| state.now = waiting(meanwhile, &message));
            self.tell(&name, false, "BackOff", &format!("Back-off pulling image {image:?}"));
            self.wait_unless_ending(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    fn start(&self, index: usize) -> Result<Process, Obstacle> {
        let state = self.state(index);
        let name = state.name().to_owned();
        let pod = self.pod().ok_or_else(|| creating("the pod was deleted".to_owned()))?;
        let image = self.image(&state.spec)?;
        let mapping =
            volumes::mount(&self.node, &pod, &state.spec, &image).map_err(|message| Obstacle {
                reason: "ContainerCreating",
                message: String::new(),
                event: ("FailedMount", message),
                backoff: None,
            })?;
        let reference = &state.spec["image"];
        let present = format!("Container image {reference} already present on machine");
        self.tell(&name, false, "Pulled", &present);
        let setting = Setting::new(&self.node, &pod, &state.spec, &image, mapping);
        let setting = setting.map_err(|message| Obstacle {
            reason: "CreateContainerConfigError",
            event: ("Failed", format!("Error: {message}")),
            message,
            backoff: None,
        })?;
        let argv = argv(&state.spec, &image, &setting).map_err(creating)?;
        let opened = log::open(&self.root.log(&name, state.restarts), &self.root.files(&name))
            .and_then(|(out, log)| Ok((out.try_clone()?, out, log)));
        let (out, err, log) = opened.map_err(|e| creating(e.to_string()))?;
        self.clear_termination_log(&name).map_err(|e| creating(e.to_string()))?;
        let mut command = setting.command(&argv);
        command.stdout(Stdio::from(out)).stderr(Stdio::from(err));
        let child = command.spawn().map_err(|e| creating(format!("{}: {e}", argv[0])))?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| creating("the process has no id".to_owned()))?;
        self.tell(&name, false, "Created", &format!("Created container: {name}"));
        self.tell(&name, false, "Started", &format!("Started container {name}"));
        lock(&self.running).insert(name, setting.clone());
        let probed = |kind: &str| state.spec[kind].is_object();
        self.set(index, |state| {
            state.now = json!({"running": {"startedAt": super::super::now()}});
            state.started = !probed("startupProbe");
            state.ready = !probed("startupProbe") && !probed("readinessProbe") && !state.init;
        });
        Ok(Process { child, pid, setting, log, stop: image.stop })
    }

    /// The image of a container.
    fn image(&self, spec: &Value) -> Result<Image, Obstacle> {
        let reference = spec["image"].as_str().unwrap_or_default();
        let broken = self.node.parts.faults.broken(&format!("pull {reference}"));
        let found = self.node.images.find(reference);
        match (broken, found) {
            (None, Some(image)) => Ok(image),
            (None, None) if spec["imagePullPolicy"] == "Never" => {
                let message = format!(
                    "Container image {reference:?} is not present with pull policy of Never"
                );
                Err(Obstacle {
                    reason: "ErrImageNeverPull",
                    event: ("ErrImageNeverPull", message.clone()),
                    message,
                    backoff: None,
                })
            }
            (broken, _) => {
                let why = broken.unwrap_or_else(|| {
                    format!("the sandbox does not pull images, it has only {}", images::KNOWN)
                });
                let message = format!("failed to pull image {reference:?}: {why}");
                Err(Obstacle {
                    reason: "ErrImagePull",
                    event: ("Failed", format!("F{}", &message[1..])),
                    message,
                    backoff: Some("ImagePullBackOff"),
                })
            }
        }
    }

    /// Waits until a container ends; its pod or a probe may end it. Returns the exit code.
    async fn attend(&self, index: usize, mut process: Process) -> i32 {
        let name = self.state(index).name().to_owned();
        let began = super::super::now();
        let setting = process.setting.clone();
        let status = tokio::select! {
            status = process.child.wait() => status,
            why = probes::watch(self, index, &setting) => {
                let message = format!("Container {name} {why}, will be restarted");
                self.tell(&name, false, "Killing", &message);
                let grace = self.pod().and_then(|p| p["spec"]["terminationGracePeriodSeconds"].as_u64());
                let grace = Duration::from_secs(grace.unwrap_or(30));
                self.end(index, &mut process, Instant::now() + grace).await
            }
            () = self.begins_to_end() => {
                self.tell(&name, false, "Killing", &format!("Stopping container {name}"));
                self.end_with_pod(index, &mut process).await
            }
        };
        lock(&self.running).remove(&name);
        // Processes that the container left behind end with it.
        processes::kill_group(process.pid);
        // A process that left the group may keep the log open.
        let _ = timeout(LOG_WITHIN, process.log).await;
        let (code, signal) = status.map_or((137, None), code);
        let starved = signal == Some(9) && self.node.parts.faults.broken("memory").is_some();
        let reason = match code {
            0 => "Completed",
            _ if starved => "OOMKilled",
            _ => "Error",
        };
        let mut ended = json!({
            "exitCode": code, "reason": reason, "startedAt": began,
            "finishedAt": super::super::now(),
        });
        if let Some(message) = self.termination_message(index, code) {
            ended["message"] = json!(message);
        }
        if let Some(signal) = signal {
            ended["signal"] = json!(signal);
        }
        self.set(index, |state| {
            state.now = json!({"terminated": ended});
            (state.started, state.ready) = (false, false);
        });
        code
    }

    /// Creates an empty termination log that every user can write, as the kubelet does.
    fn clear_termination_log(&self, name: &str) -> std::io::Result<()> {
        let file = self.root.termination_log(name);
        std::fs::write(&file, "")?;
        std::fs::set_permissions(&file, Permissions::from_mode(0o666))
    }

    /// What the container wrote to its termination log; the end of its log if it failed and wrote nothing.
    fn termination_message(&self, index: usize, code: i32) -> Option<String> {
        let state = self.state(index);
        let kept = std::fs::read(self.root.termination_log(state.name())).unwrap_or_default();
        if !kept.is_empty() {
            let message = &kept[..kept.len().min(TERMINATION_LOG_LIMIT)];
            return Some(String::from_utf8_lossy(message).into_owned());
        }
        let falls_back = state.spec["terminationMessagePolicy"] == "FallbackToLogsOnError";
        (code != 0 && falls_back).then(|| self.last_words(index))
    }

    /// The end of a container's log.
    fn last_words(&self, index: usize) -> String {
        let state = self.state(index);
        let kept = std::fs::read(self.root.log(state.name(), state.restarts)).unwrap_or_default();
        let text = log::text(&kept);
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(MESSAGE_LIMIT)..]);
        text.into_owned()
    }

    /// Ends a container within the pod's grace period, which a second deletion may shorten.
    async fn end_with_pod(
        &self,
        index: usize,
        process: &mut Process,
    ) -> std::io::Result<ExitStatus> {
        let began = Instant::now();
        let mut ending = self.ending.subscribe();
        let grace =
            |ending: &Option<super::pod::Ending>| ending.map_or(Duration::ZERO, |e| e.grace);
        let mut until = began + grace(&ending.borrow_and_update());
        loop {
            tokio::select! {
                status = self.end(index, process, until) => return status,
                changed = ending.changed() => if changed.is_ok() {
                    until = began + grace(&ending.borrow_and_update());
                },
            }
        }
    }

    /// Signals a container to end, and kills it when the time is over.
    async fn end(
        &self,
        index: usize,
        process: &mut Process,
        until: Instant,
    ) -> std::io::Result<ExitStatus> {
        let hook = self.state(index).spec["lifecycle"]["preStop"]["exec"]["command"].clone();
        if let Ok(argv) = serde_json::from_value::<Vec<String>>(hook) {
            let mut command = process.setting.command(&argv);
            command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            if let Ok(mut hook) = command.spawn() {
                // The container ends even if the hook fails or takes too long.
                let _ = timeout_at(until, hook.wait()).await;
            }
        }
        processes::ask(process.pid, process.stop);
        tokio::select! {
            status = process.child.wait() => status,
            () = sleep_until(until) => {
                processes::kill_group(process.pid);
                process.child.wait().await
            }
        }
    }
}

fn creating(message: String) -> Obstacle {
    Obstacle {
        reason: "CreateContainerError",
        event: ("Failed", format!("Error: {message}")),
        message,
        backoff: None,
    }
}

/// The command of a container, or the one of its image.
fn argv(spec: &Value, image: &Image, setting: &Setting) -> Result<Vec<String>, String> {
    let words = |field: &str| -> Vec<String> {
        let list = spec[field].as_array().into_iter().flatten();
        list.filter_map(|word| Some(setting.expand(word.as_str()?))).collect()
    };
    let mut argv = words("command");
    if argv.is_empty() {
        let entry = image.entry.ok_or_else(|| {
            let image = &spec["image"];
            format!("the pod must have a command: image {image} of the sandbox has no entry point")
        })?;
        argv.push(entry.to_owned());
    }
    argv.extend(words("args"));
    Ok(argv)
}

/// The exit code as a container runtime reports it, and the signal that ended the process.
fn code(status: ExitStatus) -> (i32, Option<i32>) {
    match (status.code(), status.signal()) {
        (Some(code), _) => (code, None),
        (None, Some(signal)) => (128 + signal, Some(signal)),
        (None, None) => (137, None),
    }
}
