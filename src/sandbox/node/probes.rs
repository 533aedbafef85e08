//! Startup, readiness and liveness probes.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::environment::Setting;
use super::pod::Worker;

/// How much output of a probe its message contains.
const OUTPUT_LIMIT: usize = 1024;

/// The delay, period, timeout and thresholds of a probe.
struct ProbeTiming {
    delay: Duration,
    period: Duration,
    timeout: Duration,
    successes: u64,
    failures: u64,
}

impl ProbeTiming {
    fn of(probe: &Value) -> Self {
        let number = |field: &str, default| probe[field].as_u64().unwrap_or(default);
        let seconds = |field: &str, default| Duration::from_secs(number(field, default));
        Self {
            delay: seconds("initialDelaySeconds", 0),
            period: seconds("periodSeconds", 10).max(Duration::from_secs(1)),
            timeout: seconds("timeoutSeconds", 1).max(Duration::from_secs(1)),
            successes: number("successThreshold", 1).max(1),
            failures: number("failureThreshold", 3).max(1),
        }
    }
}

/// Probes a container while it runs. Returns the reason if the container has to be restarted.
pub(super) async fn watch(worker: &Worker, index: usize, setting: &Setting) -> String {
    let spec = worker.state(index).spec;
    let probe = |kind: &str| Some(spec[kind].clone()).filter(Value::is_object);
    if let Some(startup) = probe("startupProbe") {
        if !starts(worker, index, setting, &startup).await {
            return "failed startup probe".to_owned();
        }
        let ready = probe("readinessProbe").is_none();
        worker.set(index, |state| {
            state.started = true;
            state.ready |= ready;
        });
    }
    let readiness = async {
        match probe("readinessProbe") {
            Some(probe) => judge_readiness(worker, index, setting, &probe).await,
            None => std::future::pending().await,
        }
    };
    let liveness = async {
        match probe("livenessProbe") {
            Some(probe) => lives(worker, index, setting, &probe).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = liveness => "failed liveness probe".to_owned(),
        () = readiness => std::future::pending().await,
    }
}

async fn starts(worker: &Worker, index: usize, setting: &Setting, probe: &Value) -> bool {
    let timing = ProbeTiming::of(probe);
    let mut failures = 0;
    sleep(timing.delay).await;
    loop {
        if ask(worker, index, setting, probe, "Startup", &timing).await {
            return true;
        }
        failures += 1;
        if failures >= timing.failures {
            return false;
        }
        sleep(timing.period).await;
    }
}

async fn judge_readiness(worker: &Worker, index: usize, setting: &Setting, probe: &Value) {
    let timing = ProbeTiming::of(probe);
    let (mut successes, mut failures) = (0, 0);
    sleep(timing.delay).await;
    loop {
        if ask(worker, index, setting, probe, "Readiness", &timing).await {
            (successes, failures) = (successes + 1, 0);
        } else {
            (successes, failures) = (0, failures + 1);
        }
        let ready = worker.state(index).ready;
        if successes >= timing.successes && !ready {
            worker.set(index, |state| state.ready = true);
        } else if failures >= timing.failures && ready {
            worker.set(index, |state| state.ready = false);
        }
        sleep(timing.period).await;
    }
}

/// Returns the reason when the liveness probe fails.
async fn lives(worker: &Worker, index: usize, setting: &Setting, probe: &Value) {
    let timing = ProbeTiming::of(probe);
    let mut failures = 0;
    sleep(timing.delay).await;
    while failures < timing.failures {
        if ask(worker, index, setting, probe, "Liveness", &timing).await {
            failures = 0;
        } else {
            failures += 1;
        }
        sleep(timing.period).await;
    }
}

async fn ask(
    worker: &Worker,
    index: usize,
    setting: &Setting,
    probe: &Value,
    kind: &str,
    timing: &ProbeTiming,
) -> bool {
    let answer = timeout(timing.timeout, once(worker, index, setting, probe)).await;
    let words = match answer {
        Ok(Ok(())) => return true,
        Ok(Err(words)) => words,
        Err(_) => format!("command timed out after {}s", timing.timeout.as_secs()),
    };
    let name = worker.state(index).name().to_owned();
    worker.tell(&name, true, "Unhealthy", &format!("{kind} probe failed: {words}"));
    false
}

async fn once(
    worker: &Worker,
    index: usize,
    setting: &Setting,
    probe: &Value,
) -> Result<(), String> {
    if let Some(socket) = probe.get("tcpSocket") {
        let state = worker.state(index);
        let port = port(&socket["port"], &state.spec).ok_or("the port does not exist")?;
        let pod = worker.pod().ok_or("the pod was deleted")?;
        let address = pod["status"]["podIP"].as_str().unwrap_or_default().to_owned();
        let connected = TcpStream::connect((address, port)).await;
        return connected.map(drop).map_err(|e| e.to_string());
    }
    let argv: Vec<String> = serde_json::from_value(probe["exec"]["command"].clone())
        .map_err(|_| "the sandbox supports only exec and tcpSocket probes".to_owned())?;
    let mut command = setting.command(&argv);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = command.output().await.map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = setting.inside(&String::from_utf8_lossy(&said[..said.len().min(OUTPUT_LIMIT)]));
    let said = said.trim().to_owned();
    Err(if said.is_empty() { format!("command failed: {}", output.status) } else { said })
}

fn port(port: &Value, container: &Value) -> Option<u16> {
    let number = match port.as_str() {
        None => port.as_u64(),
        Some(name) => {
            let ports = container["ports"].as_array()?;
            ports.iter().find(|port| port["name"] == name)?["containerPort"].as_u64()
        }
    };
    u16::try_from(number?).ok()
}
