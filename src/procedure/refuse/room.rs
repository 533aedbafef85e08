//! Whether new replicas have room: each one copies the data of the master. On a volume that all pods share, a
//! clone that fills it stops the master, too.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::exec::Exec;
use crate::error::{Exit, Failure};
use crate::manifest::{Kind, ObjectId};
use crate::procedure::{Work, sql};
use crate::set::objects;
use crate::text;
use crate::values::Quantity;

/// How long the master's pod may take to add up its files.
const WITHIN: Duration = Duration::from_secs(60);
/// WAL that the master writes while a replica is cloned, in bytes.
const ALLOWANCE: u64 = 64 << 20;

/// A set that gets more pods.
#[derive(Clone, Copy)]
pub(crate) struct Growth<'a> {
    /// The number of pods now.
    before: u32,
    /// The desired number of pods.
    after: u32,
    /// The claim template of the new pods; null if all pods share a volume.
    pub(crate) template: &'a Value,
}

impl<'a> Growth<'a> {
    /// The growth of a StatefulSet to this number of pods.
    pub(crate) fn of(statefulset: &'a Value, after: u32) -> Self {
        let before = objects::replicas(statefulset);
        Self { before, after, template: template(statefulset) }
    }
}

/// The claim template of a StatefulSet.
pub(crate) fn template(statefulset: &Value) -> &Value {
    &statefulset["spec"]["volumeClaimTemplates"][0]
}

/// Refuses new replicas that do not fit on the volume.
///
/// # Errors
/// When they do not fit, with the numbers.
pub(crate) async fn check(work: Work<'_>, growth: Growth<'_>) -> anyhow::Result<()> {
    let Growth { before, after, template } = growth;
    // A stopped set has no pod to ask, and its replicas have their data.
    let Some(master) = work.topology.master_pod(work.set).filter(|_| before > 0) else {
        return Ok(());
    };
    let new: Vec<String> = (before..after).map(|ordinal| work.set.pod(ordinal)).collect();
    if new.is_empty() {
        return Ok(());
    }
    if template.is_null() {
        let found = measure(work, &master, &new).await;
        return found.map_or(Ok(()), |found| shared(&new, &found)).map_err(Into::into);
    }
    let Some(size) = bytes(&template["spec"]["resources"]["requests"]["storage"]) else {
        return Ok(());
    };
    let claim = async |pod: &str| {
        let volume = template["metadata"]["name"].as_str().unwrap_or_default();
        let name = format!("{volume}-{pod}");
        let id = ObjectId::new(Kind::PersistentVolumeClaim, work.namespace(), &name);
        work.cluster.get(&id).await
    };
    // A failure to read it is no reason to refuse anything.
    let of_master = claim(&master).await.unwrap_or_default();
    let capacity = of_master.and_then(|claim| bytes(&claim["status"]["capacity"]["storage"]));
    // Otherwise the data has room on a volume of this size, or the sizes are not enforced.
    if capacity.is_none_or(|capacity| capacity <= size) {
        return Ok(());
    }
    let mut cloned = Vec::new();
    for pod in new {
        // A pod that was scaled away has its claim and its data.
        if claim(&pod).await.is_ok_and(|claim| claim.is_none()) {
            cloned.push(pod);
        }
    }
    let found = measure(work, &master, &[]).await;
    found.map_or(Ok(()), |found| own(work, &cloned, &found, size)).map_err(Into::into)
}

fn bytes(quantity: &Value) -> Option<u64> {
    Some(quantity.as_str()?.parse::<Quantity>().ok()?.bytes())
}

/// What the master's pod found, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// The size of the data directory, with its WAL.
    data: u64,
    /// The free space on the volume.
    free: u64,
    /// The pods that have a data directory on the volume. They are not cloned.
    there: Vec<String>,
}

/// Lets the master's pod measure its data and its volume. `None` if it can't: then the replica's own check
/// remains.
async fn measure(work: Work<'_>, master: &str, new: &[String]) -> Option<Found> {
    // Files may disappear while they are counted, which makes `du` fail.
    const SCRIPT: &str = r#"
du -sk "/pgdata/$0" 2>/dev/null | cut -f1
df -Pk "/pgdata/$0" | awk 'END { print $4 }'
for pod; do [ ! -s "/pgdata/$pod/PG_VERSION" ] || echo "$pod"; done
"#;
    let mut argv = ["sh", "-c", SCRIPT, master].map(str::to_owned).to_vec();
    argv.extend_from_slice(new);
    let exec = Exec {
        namespace: work.namespace(),
        pod: master,
        container: sql::CONTAINER,
        argv,
        stdin: String::new(),
        timeout: WITHIN,
    };
    match work.cluster.exec(exec).await {
        Ok(output) => parse(&output.stdout),
        Err(error) => {
            work.context.detail(format!("the room for new replicas was not checked: {error}"));
            None
        }
    }
}

fn parse(output: &str) -> Option<Found> {
    let mut lines = output.lines().map(str::trim);
    let mut kilobytes = || lines.next()?.parse::<u64>().ok()?.checked_mul(1024);
    let (data, free) = (kilobytes()?, kilobytes()?);
    Some(Found { data, free, there: lines.map(str::to_owned).collect() })
}

/// Compares the room on a shared volume with what the replicas need that are cloned.
fn shared(new: &[String], found: &Found) -> Result<(), Failure> {
    let cloned: Vec<&str> =
        new.iter().filter(|pod| !found.there.contains(pod)).map(String::as_str).collect();
    let each = found.data.saturating_add(ALLOWANCE);
    let needed = each.saturating_mul(u64::try_from(cloned.len()).unwrap_or(u64::MAX));
    if needed <= found.free {
        return Ok(());
    }
    let message = format!(
        "the volume that the pods share has {} free, and the clone of {} needs {}; nothing was changed",
        text::size(found.free),
        names(&cloned),
        text::size(needed),
    );
    let each = format!(
        "a replica copies the data of the master ({}) and needs room for new WAL; a full volume stops the master, too",
        text::size(found.data)
    );
    Err(Failure::new(Exit::Refused, message)
        .details([each])
        .hint("enlarge the volume, or free space on it; then run the same command again"))
}

/// Compares the size of new claims with the data, which is on a larger claim.
fn own(work: Work<'_>, new: &[String], found: &Found, size: u64) -> Result<(), Failure> {
    let needed = found.data.saturating_add(ALLOWANCE);
    let cloned: Vec<&str> = new.iter().map(String::as_str).collect();
    if needed <= size || cloned.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the claim of {} would have {}, and a copy of the data of the master needs {}; nothing was changed",
        names(&cloned),
        text::size(size),
        text::size(needed),
    );
    let larger = format!("{} --size SIZE  # enlarges the claims", work.context.sibling("up"));
    Err(Failure::new(Exit::Refused, message).hint(larger))
}

fn names(pods: &[&str]) -> String {
    match pods {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first, .., last] => format!("{first} to {last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn pods(ordinals: std::ops::Range<u32>) -> Vec<String> {
        ordinals.map(|ordinal| format!("pgset-{ordinal}")).collect()
    }

    #[test]
    fn what_the_masters_pod_prints() {
        let found = parse("2048\n1024\npgset-2\n").unwrap();
        let there = vec!["pgset-2".to_owned()];
        assert_eq!(found, Found { data: 2 * MIB, free: MIB, there });
        assert_eq!(parse("\n1024\n"), None, "no data directory");
        assert_eq!(parse("du: not found\n"), None);
    }

    #[test]
    fn clones_must_fit_on_a_shared_volume() {
        for (data, free, new, there, fits) in [
            (100, 164, 2..3, 0..0, true),
            (100, 163, 2..3, 0..0, false),
            (100, 164, 2..4, 0..0, false),
            (100, 328, 2..4, 0..0, true),
            // A pod that was scaled away has its directory.
            (100, 164, 2..4, 2..3, true),
            (100, 0, 2..4, 2..4, true),
        ] {
            let found = Found { data: data * MIB, free: free * MIB, there: pods(there) };
            let result = shared(&pods(new.clone()), &found);
            assert_eq!(result.is_ok(), fits, "{found:?} {new:?}");
        }
        let found = Found { data: 100 * MIB, free: 200 * MIB, there: Vec::new() };
        let failure = shared(&pods(2..4), &found).unwrap_err();
        assert_eq!(
            failure.message,
            "the volume that the pods share has 200 MiB free, and the clone of pgset-2 to pgset-3 needs 328 MiB; nothing was changed"
        );
    }
}
