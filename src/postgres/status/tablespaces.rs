//! The tablespaces of the master, and those that can't work or lose their data.

use serde::Serialize;

use super::{PodFacts, VolumeFacts};
use crate::postgres::measurements::Location;

/// Where a tablespace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// On the volume of its pod.
    Volume,
    /// On a volume that all pods share.
    SharedVolume,
    /// Not on the volume.
    Outside,
    /// In the data directory.
    DataDirectory,
}

/// A tablespace of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tablespace {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub location: String,
    /// Its size in the master; `None` if it was not measured in time.
    pub bytes: Option<u64>,
    /// Where its directory is.
    pub place: Place,
}

/// The tablespaces that the master reports.
pub(super) fn tablespaces(pods: &[PodFacts], volumes: &[VolumeFacts]) -> Vec<Tablespace> {
    let masters = pods.iter().filter(|pod| pod.is_writable());
    let reported = masters.filter_map(|pod| Some((pod, pod.measurements.as_ref()?)));
    let all = reported.flat_map(|(pod, measured)| {
        let shared = is_shared(pod, volumes);
        measured.tablespaces.iter().map(move |location| Tablespace {
            name: location.name.clone(),
            location: location.location.clone(),
            bytes: measured.tablespace_bytes.get(&location.name).copied(),
            place: place(location, shared),
        })
    });
    all.collect()
}

/// Whether the volume of a pod is not for this pod alone: a StatefulSet names a claim for each pod after the pod.
fn is_shared(pod: &PodFacts, volumes: &[VolumeFacts]) -> bool {
    let mut claims = volumes.iter().filter(|volume| volume.pods.contains(&pod.name)).peekable();
    let of_the_pod = format!("-{}", pod.name);
    claims.peek().is_some() && !claims.any(|volume| volume.claim.ends_with(&of_the_pod))
}

fn place(location: &Location, shared: bool) -> Place {
    let below = location.location.strip_prefix(&location.volume);
    if !location.location.starts_with('/') {
        Place::DataDirectory
    } else if !below.is_some_and(|rest| rest.starts_with('/')) {
        Place::Outside
    } else if shared {
        Place::SharedVolume
    } else {
        Place::Volume
    }
}

/// What is risky about them.
pub(super) fn warnings(tablespaces: &[Tablespace]) -> Vec<String> {
    let warning = |Tablespace { name, location, place, .. }: &Tablespace| match place {
        Place::Volume | Place::DataDirectory => None,
        Place::SharedVolume => Some(format!(
            "tablespace {name} is at {location}, on the volume that the pods share: master and replica would write into one directory, so no replica runs; drop it, or use storage with a claim for each pod"
        )),
        Place::Outside => Some(format!(
            "tablespace {name} is at {location}, outside the volume: it is lost with its pod, and a replica without this directory does not start"
        )),
    };
    tablespaces.iter().filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::measurements::Measurements;
    use crate::postgres::status::tests::{pod, volume};
    use crate::set::Role;

    fn location(path: &str) -> Location {
        Location { name: "fast".into(), location: path.into(), volume: "/pgdata".into() }
    }

    #[test]
    fn a_tablespace_is_where_its_directory_is() {
        for (path, shared, expected) in [
            ("/pgdata/fast", false, Place::Volume),
            ("/pgdata/fast", true, Place::SharedVolume),
            ("/pgdata/pgset-0/fast", true, Place::SharedVolume),
            ("/pgdata2/fast", true, Place::Outside),
            ("/pgdata", false, Place::Outside),
            ("/tmp/fast", false, Place::Outside),
            ("pg_tblspc/16384", true, Place::DataDirectory),
        ] {
            assert_eq!(place(&location(path), shared), expected, "{path}, {shared}");
        }
    }

    #[test]
    fn a_claim_with_the_name_of_the_pod_is_not_shared() {
        let pod = pod(0, Role::Master);
        let mut volume = volume();
        assert!(is_shared(&pod, &[volume.clone()]));
        // One pod alone on a claim that more pods would share.
        volume.pods = vec![pod.name.clone()];
        assert!(is_shared(&pod, &[volume.clone()]));
        let own = VolumeFacts { claim: "pgdata-pgset-0".into(), ..volume.clone() };
        assert!(!is_shared(&pod, &[volume.clone(), own]));
        // This account may not read claims, or they are not the pod's.
        assert!(!is_shared(&pod, &[]));
        volume.pods = vec!["pgset-1".into()];
        assert!(!is_shared(&pod, &[volume]));
    }

    #[test]
    fn only_the_master_reports_and_only_risky_places_are_warned_of() {
        let mut pods = [pod(0, Role::Master), pod(1, Role::Replica)];
        for pod in &mut pods {
            pod.measurements = Some(Measurements {
                tablespaces: vec![location("/pgdata/fast"), location("/tmp/x")],
                tablespace_bytes: [("fast".to_owned(), 7)].into(),
                ..Measurements::default()
            });
        }
        let mut found = tablespaces(&pods, &[volume()]);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].bytes, found[0].place), (Some(7), Place::SharedVolume));
        let texts = warnings(&found);
        let shared = "tablespace fast is at /pgdata/fast, on the volume that the pods share: ";
        assert!(texts[0].starts_with(shared), "{texts:?}");
        assert!(texts[1].starts_with("tablespace fast is at /tmp/x, outside the volume: "));
        found[0].place = Place::Volume;
        found[1].place = Place::DataDirectory;
        assert_eq!(warnings(&found), [""; 0]);
    }
}
