//! Which replica becomes the master, and why one can't. Pure.

use crate::postgres::replication::Lsn;
use crate::postgres::takeover::{self, Candidate};
use crate::set::SetIdentity;
use crate::text::size;

/// The WAL that the new master may have to replay before a switchover begins: it is replayed while nothing can be
/// written.
const MAX_LAG: u64 = 16 * 1024 * 1024;

/// A pod before a switchover.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) ordinal: u32,
    pub(crate) ready: bool,
    /// The node on which it runs.
    pub(crate) node: Option<String>,
    /// Whether it runs a previous template, with a script that can't do it.
    pub(crate) previous: bool,
    /// What its server reports, or why it does not.
    pub(crate) server: Result<Candidate, String>,
}

/// Why the master does not move: a reason, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) reason: String,
    /// Whether `pgset restart` helps.
    pub(crate) restart: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// This pod.
    pub(crate) to: Option<u32>,
    /// A pod that is not on this node.
    pub(crate) off: Option<&'a str>,
    /// A pod with a lower ordinal than this.
    pub(crate) below: Option<u32>,
}

/// The pods as they will be once the replicas among those that restart have restarted: with the current template. One
/// that is not healthy now is left out, because its restart may be what it needs, as long as another replica remains.
pub(crate) fn once_restarted(
    mut pods: Vec<Pod>,
    master: u32,
    restarts: impl Fn(u32) -> bool,
) -> Vec<Pod> {
    let first = |pod: &Pod| pod.ordinal != master && restarts(pod.ordinal);
    pods.iter_mut().filter(|pod| first(pod)).for_each(|pod| pod.previous = false);
    let is_healthy = |pod: &Pod| pod.ready && pod.server.is_ok();
    if pods.iter().any(|pod| pod.ordinal != master && is_healthy(pod)) {
        pods.retain(|pod| !first(pod) || is_healthy(pod));
    }
    pods
}

/// Chooses the new master: the replica that has replayed most, and the lowest ordinal of those.
///
/// # Errors
/// Everything that has to change first.
pub(crate) fn choose(
    set: &SetIdentity,
    pods: &[Pod],
    master: u32,
    wanted: Wanted<'_>,
) -> Result<u32, Vec<Obstacle>> {
    let unhealthy: Vec<Obstacle> = pods.iter().filter_map(|pod| unhealthy(set, pod)).collect();
    if !unhealthy.is_empty() {
        return Err(unhealthy);
    }
    let Some(Ok(old)) = pods.iter().find(|pod| pod.ordinal == master).map(|pod| &pod.server) else {
        return Err(only(format!("the master {} does not run", set.pod(master))));
    };
    if old.in_recovery {
        let name = set.pod(master);
        return Err(only(format!("{name} is the master, and its server is a standby")));
    }
    let fitting = |pod: &&Pod| {
        pod.ordinal != master
            && wanted.to.is_none_or(|to| to == pod.ordinal)
            && wanted.off.is_none_or(|node| pod.node.as_deref() != Some(node))
            && wanted.below.is_none_or(|pods| pod.ordinal < pods)
    };
    let (mut best, mut unfit_ones): (Option<(Lsn, u32)>, _) = (None, Vec::new());
    for pod in pods.iter().filter(fitting) {
        let Ok(server) = &pod.server else { continue };
        let name = set.pod(pod.ordinal);
        let reason = unfit(server, old).map(|why| format!("{name} {why}"));
        let reason = reason.map(|reason| Obstacle { reason, restart: false });
        let obstacle = reason.or_else(|| too_large(set, pods, master, pod.ordinal, server));
        if let Some(obstacle) = obstacle {
            unfit_ones.push(obstacle);
            continue;
        }
        let position = server.position.unwrap_or(Lsn(0));
        if best.is_none_or(|(most, _)| position > most) {
            best = Some((position, pod.ordinal));
        }
    }
    if let Some((_, ordinal)) = best {
        return Ok(ordinal);
    }
    if unfit_ones.is_empty() {
        return Err(only(match (wanted.to, wanted.off) {
            (Some(to), _) => format!("{} is no replica of this set", set.pod(to)),
            (None, Some(node)) => format!("no replica runs on another node than {node}"),
            (None, None) => "there is no replica".to_owned(),
        }));
    }
    Err(unfit_ones)
}

/// Every pod must be healthy: the others have to follow.
fn unhealthy(set: &SetIdentity, pod: &Pod) -> Option<Obstacle> {
    let name = set.pod(pod.ordinal);
    if pod.previous {
        return Some(Obstacle {
            reason: format!("{name} runs a previous template, whose script can't move the master"),
            restart: true,
        });
    }
    if !pod.ready {
        return Some(Obstacle { reason: format!("{name} is not ready"), restart: false });
    }
    let why = pod.server.as_ref().err()?;
    Some(Obstacle {
        reason: format!("the server of {name} does not answer: {why}"),
        restart: false,
    })
}

fn unfit(server: &Candidate, master: &Candidate) -> Option<String> {
    if !server.in_recovery {
        return Some("is not a standby: two servers accept writes".to_owned());
    }
    if server.paused {
        return Some("has paused its replay (select pg_wal_replay_resume())".to_owned());
    }
    if server.timeline.is_none() {
        return Some("does not stream".to_owned());
    }
    if server.timeline != master.timeline {
        return Some("is on another timeline than the master".to_owned());
    }
    let small = server.too_small(master);
    if !small.is_empty() {
        return Some(format!("is too small: {}", small.join("; ")));
    }
    if let Some((free, needed)) = server.room_missing() {
        let (free, needed) = (size(free), size(needed));
        return Some(format!("has {free} free on its volume, and the promotion needs {needed}"));
    }
    match (server.position, master.position) {
        (Some(replayed), Some(written)) => {
            let behind = written.0.saturating_sub(replayed.0);
            (behind > MAX_LAG).then(|| format!("has {behind} bytes of WAL to replay"))
        }
        _ => Some("reports no position".to_owned()),
    }
}

/// No pod may have less than the master that it follows: it would not replay what that one writes. The old master starts
/// again, and has then what its file says.
fn too_large(
    set: &SetIdentity,
    pods: &[Pod],
    master: u32,
    new: u32,
    server: &Candidate,
) -> Option<Obstacle> {
    pods.iter().filter(|pod| pod.ordinal != new).find_map(|pod| {
        let other = pod.server.as_ref().ok()?;
        let own = if pod.ordinal == master { &other.next } else { &other.settings };
        let (name, new) = (set.pod(pod.ordinal), set.pod(new));
        let small = takeover::smaller(own, &server.settings, &new);
        let when = if pod.ordinal == master { " once it starts again" } else { "" };
        (!small.is_empty()).then(|| Obstacle {
            reason: format!("{name} could not follow {new}{when}: {}", small.join("; ")),
            restart: true,
        })
    })
}

fn only(reason: String) -> Vec<Obstacle> {
    vec![Obstacle { reason, restart: false }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    fn pod(ordinal: u32, position: u64) -> Pod {
        let server = Candidate {
            in_recovery: ordinal != 0,
            paused: false,
            position: Some(Lsn(position)),
            timeline: Some(1),
            settings: [("max_connections".to_owned(), 100)].into(),
            next: [("max_connections".to_owned(), 100)].into(),
            free: Some(64 << 20),
            segment: Some(16 << 20),
        };
        let node = Some(format!("node-{ordinal}"));
        Pod { ordinal, ready: true, node, previous: false, server: Ok(server) }
    }

    fn chosen(pods: &[Pod], wanted: Wanted<'_>) -> Result<u32, Vec<String>> {
        choose(&set(), pods, 0, wanted)
            .map_err(|obstacles| obstacles.into_iter().map(|it| it.reason).collect())
    }

    #[test]
    fn the_replica_that_has_replayed_most_is_chosen() {
        let any = Wanted::default();
        let pods = [pod(0, 900), pod(1, 800), pod(2, 900), pod(3, 900)];
        assert_eq!(chosen(&pods, any), Ok(2));
        assert_eq!(chosen(&pods, Wanted { to: Some(1), ..any }), Ok(1));
        assert_eq!(chosen(&pods, Wanted { off: Some("node-2"), ..any }), Ok(3));
        let refused = |wanted| chosen(&pods, wanted).unwrap_err();
        let stranger = refused(Wanted { to: Some(9), ..any });
        assert_eq!(stranger, ["pgset-9 is no replica of this set"]);
        assert_eq!(chosen(&pods[..1], any).unwrap_err(), ["there is no replica"]);
        let here = Wanted { off: Some("node-1"), ..any };
        let alone = chosen(&pods[..2], here).unwrap_err();
        assert_eq!(alone, ["no replica runs on another node than node-1"]);
    }

    #[test]
    fn a_pod_that_stays_is_chosen_before_the_set_shrinks() {
        let below = |pods| Wanted { below: Some(pods), ..Wanted::default() };
        let ahead = [pod(0, 900), pod(1, 700), pod(2, 800), pod(3, 900)];
        assert_eq!(chosen(&ahead, below(3)), Ok(2));
        assert_eq!(chosen(&ahead, below(2)), Ok(1));
    }

    #[test]
    fn a_replica_that_restarts_first_counts_as_it_will_be() {
        let old = |ordinal| Pod { previous: true, ..pod(ordinal, 900) };
        let broken = |ordinal| Pod { ready: false, ..pod(ordinal, 900) };
        let told = |pods: Vec<Pod>, restarts: &[u32]| {
            let pods = once_restarted(pods, 0, |ordinal| restarts.contains(&ordinal));
            chosen(&pods, Wanted::default())
        };
        assert_eq!(told(vec![pod(0, 900), old(1)], &[0, 1]), Ok(1));
        let unable = told(vec![pod(0, 900), old(1)], &[0]).unwrap_err();
        assert!(unable[0].starts_with("pgset-1 runs a previous template"), "{unable:?}");
        let master = told(vec![old(0), pod(1, 900)], &[0, 1]).unwrap_err();
        assert!(master[0].starts_with("pgset-0 runs a previous template"), "{master:?}");
        assert_eq!(told(vec![pod(0, 900), broken(1), pod(2, 900)], &[0, 1, 2]), Ok(2));
        let stays = told(vec![pod(0, 900), broken(1), pod(2, 900)], &[0, 2]).unwrap_err();
        assert_eq!(stays, ["pgset-1 is not ready"]);
        let alone = told(vec![pod(0, 900), broken(1)], &[0, 1]).unwrap_err();
        assert_eq!(alone, ["pgset-1 is not ready"]);
    }

    #[test]
    fn what_a_replica_lacks_is_said() {
        let with = |change: &dyn Fn(&mut Candidate)| {
            let mut replica = pod(1, 900);
            change(replica.server.as_mut().unwrap());
            chosen(&[pod(0, 900), replica], Wanted::default()).unwrap_err().remove(0)
        };
        assert!(with(&|it| it.paused = true).contains("has paused its replay"));
        assert_eq!(with(&|it| it.timeline = None), "pgset-1 does not stream");
        assert!(with(&|it| it.timeline = Some(2)).contains("on another timeline"));
        assert!(with(&|it| it.in_recovery = false).contains("two servers accept writes"));
        assert!(with(&|it| it.position = None).contains("reports no position"));
        let small = with(&|it| *it.settings.get_mut("max_connections").unwrap() = 50);
        assert_eq!(small, "pgset-1 is too small: max_connections is 50, and 100 on the master");
        let full = with(&|it| it.free = Some(31 << 20));
        assert_eq!(full, "pgset-1 has 31 MiB free on its volume, and the promotion needs 32 MiB");
        let far = [pod(0, MAX_LAG + 10), pod(1, 9)];
        let far = chosen(&far, Wanted::default()).unwrap_err();
        assert_eq!(far, ["pgset-1 has 16777217 bytes of WAL to replay"]);
        // Another one is fit.
        let mut paused = pod(1, 900);
        paused.server.as_mut().unwrap().paused = true;
        assert_eq!(chosen(&[pod(0, 900), paused, pod(2, 800)], Wanted::default()), Ok(2));
    }

    #[test]
    fn no_pod_has_less_than_the_next_master() {
        let has = |ordinal, now, next| {
            let mut pod = pod(ordinal, 900);
            let server = pod.server.as_mut().unwrap();
            server.settings.insert("max_connections".to_owned(), now);
            server.next.insert("max_connections".to_owned(), next);
            pod
        };
        let told = |pods: &[Pod]| choose(&set(), pods, 0, Wanted::default());
        let shrinks = told(&[has(0, 100, 50), has(1, 100, 50)]).unwrap_err();
        let reason = "pgset-0 could not follow pgset-1 once it starts again: max_connections is 50, and 100 on pgset-1";
        assert_eq!(shrinks, [Obstacle { reason: reason.to_owned(), restart: true }]);
        assert_eq!(told(&[has(0, 100, 200), has(1, 200, 200)]), Ok(1));
        // Of two replicas one has restarted with a larger value.
        let (large, small) = (has(1, 200, 200), has(2, 100, 200));
        assert_eq!(told(&[has(0, 100, 200), large, small]), Ok(2));
    }

    #[test]
    fn every_pod_has_to_be_healthy() {
        let broken = |change: &dyn Fn(&mut Pod)| {
            let mut third = pod(2, 900);
            change(&mut third);
            chosen(&[pod(0, 900), pod(1, 900), third], Wanted::default()).unwrap_err()
        };
        assert_eq!(broken(&|it| it.ready = false), ["pgset-2 is not ready"]);
        assert!(broken(&|it| it.previous = true)[0].contains("runs a previous template"));
        let silent = broken(&|it| it.server = Err("no connection".to_owned()));
        assert_eq!(silent, ["the server of pgset-2 does not answer: no connection"]);
        let mut master = pod(0, 900);
        master.server = Err("no connection".to_owned());
        let silent = chosen(&[master, pod(1, 900)], Wanted::default()).unwrap_err();
        assert_eq!(silent, ["the server of pgset-0 does not answer: no connection"]);
    }
}
