//! Reads the settings of a set back from its data: for a set that was taken down by a pgset which recorded no
//! settings, or by other means. Defaults would start it with another number of pods, another size or another
//! version of PostgreSQL.

use serde_json::Value;

use super::data_pod::{self, DataTask};
use super::{Ending, live, recipe};
use crate::cluster::Cluster;
use crate::cluster::task::{self, End};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::image::{ImageReference, Profile};
use crate::manifest::Object;
use crate::set::{SetIdentity, objects, rights};
use crate::settings::readback::{self, ANNOTATION_CLAIM, ANNOTATION_USER, Kept};
use crate::settings::{Recipe, Sourced};

/// The container that looks at the data.
const CONTAINER: &str = "look";

/// Whether a pod may be started to look at the data. A dry run starts none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    Allowed,
    Forbidden,
}

impl From<Ending> for Probe {
    fn from(ending: Ending) -> Self {
        if matches!(ending, Ending::DryRun(_)) { Self::Forbidden } else { Self::Allowed }
    }
}

/// The recipe of a set of which only data is left. `None` if the set exists, has a recipe, or has no data.
///
/// # Errors
/// When the cluster can't be reached, or nothing tells the version of the data.
pub(crate) async fn recipe(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    known: &recipe::Known,
    image: impl Fn(&Recipe) -> anyhow::Result<(Sourced<ImageReference>, Profile)>,
    probe: Probe,
) -> anyhow::Result<Option<Recipe>> {
    if !known.recipe.is_empty() || known.object(&objects::statefulset(set)).is_some() {
        return Ok(None);
    }
    let claims = known.claims.as_deref().unwrap_or_default();
    let secret = known.object(&objects::passwords(set));
    let secret =
        secret.filter(|secret| live::check_ours(secret, &objects::passwords(set), set).is_ok());
    let shared = secret.and_then(|secret| annotation(secret, ANNOTATION_CLAIM));
    let Some(claim) = data_claim(set, claims).or(shared) else { return Ok(None) };
    let own = claims.iter().find(|live| live["metadata"]["name"] == set.claim().as_str());
    let volume = recipe::volume_of(cluster, own).await?;
    let kept = Kept { claims, volume: volume.as_ref(), secret };
    let mut found = readback::of_kept(set, kept);
    if found.value("image").is_none() || found.value("replicas").is_none() {
        // The image that is used now can at least read a file.
        let (wanted, profile) = image(&found)?;
        let user = secret.and_then(|secret| annotation(secret, ANNOTATION_USER)?.parse().ok());
        let user = user.unwrap_or_else(|| profile.user_id());
        let image = wanted.value.to_string();
        let task = DataTask {
            name: CONTAINER,
            image: &image,
            user: user.into(),
            claim,
            read_only: true,
            variables: &[],
            script: SCRIPT,
        };
        let pod = data_pod::pod(set, task);
        let data = look(cluster, set, &pod, probe).await?;
        let given = wanted.source.is_given();
        match data {
            Ok(data) => complete(&mut found, &data, given)?,
            Err(why) if found.value("image").is_none() && !given => {
                return Err(untold(set, &why).into());
            }
            Err(why) => context.warn(format!("the data on claim {claim} was not read: {why}")),
        }
    }
    let words: Vec<String> = ["replicas", "size", "image"]
        .iter()
        .filter_map(|name| Some(format!("{name} {}", found.value(name)?)))
        .collect();
    context.note(format!(
        "{} has no recorded settings; read back from its data: {}",
        set.name,
        words.join(", ")
    ));
    Ok(Some(found))
}

fn annotation<'a>(secret: &'a Value, name: &str) -> Option<&'a str> {
    secret["metadata"]["annotations"][name].as_str()
}

/// The claim with the data of the first pod, or with that of all pods.
fn data_claim<'a>(set: &SetIdentity, claims: &'a [Value]) -> Option<&'a str> {
    let mut names: Vec<(Option<u32>, &str)> = claims
        .iter()
        .filter_map(|claim| claim["metadata"]["name"].as_str())
        .map(|name| (set.ordinal_of_claim(name), name))
        .filter(|(ordinal, name)| ordinal.is_some() || *name == set.claim())
        .collect();
    names.sort_unstable();
    names.first().map(|(_, name)| *name)
}

/// The pods that have data, by ordinal, with the content of their `PG_VERSION`.
type Data = Vec<(u32, String)>;

/// Completes the recipe with what the data tells. `given`: the user names the image.
fn complete(recipe: &mut Recipe, data: &Data, given: bool) -> Result<(), Failure> {
    let Some((last, major)) = data.last() else { return Ok(()) };
    if recipe.value("replicas").is_none() {
        recipe.record("replicas", Some((last + 1).to_string()));
    }
    if recipe.value("image").is_none() {
        let image = format!("postgres:{major}");
        let runs = image.parse().is_ok_and(|image: ImageReference| {
            Profile::of(&image, Profile::name_for(&image)).is_ok()
        });
        if !runs && !given {
            let message = format!("the data is of PostgreSQL {major}, and its image is not known");
            return Err(Failure::new(Exit::Refused, message)
                .hint("name the image that the set had: --image IMAGE"));
        }
        recipe.record("image", runs.then_some(image));
    }
    Ok(())
}

fn untold(set: &SetIdentity, why: &str) -> Failure {
    let message = format!("the version of the data of {} is not known: {why}", set.name);
    Failure::new(Exit::Refused, message).hint("name the image that the set had: --image IMAGE")
}

/// Runs a pod that looks at the data. The inner error is the reason why it could not.
async fn look(
    cluster: &Cluster,
    set: &SetIdentity,
    pod: &Object,
    probe: Probe,
) -> anyhow::Result<Result<Data, String>> {
    if probe == Probe::Forbidden {
        return Ok(Err("a dry run starts no pod to read it".to_owned()));
    }
    if !cluster.missing(rights::running_a_task(set)).await?.is_empty() {
        return Ok(Err("this account may not run a pod to read it".to_owned()));
    }
    let end = match task::start(cluster, pod).await? {
        Some(refused) => refused,
        None => task::end(cluster, &pod.id).await?,
    };
    let log = cluster.logs(set.namespace.as_str(), &pod.id.name, CONTAINER, false, 100).await;
    let log = log.unwrap_or_default();
    task::discard(cluster, &pod.id).await?;
    Ok(match end {
        End::Succeeded => Ok(parse(set, &log)),
        End::Failed => Err(log.trim().replace('\n', "; ")),
        End::NotStarted(why) => Err(why),
    })
}

/// Reads `pgset-0 17`, a line for each directory.
fn parse(set: &SetIdentity, log: &str) -> Data {
    let lines = log.lines().filter_map(|line| {
        let (pod, major) = line.trim().split_once(' ')?;
        Some((set.ordinal(pod)?, major.trim().to_owned()))
    });
    let mut data: Data = lines.collect();
    data.sort();
    data
}

/// Prints the name and the version of each data directory.
const SCRIPT: &str = r#"
cd /pgdata
for file in */PG_VERSION; do
  [ ! -s "$file" ] || echo "${file%/*} $(cat "$file")"
done
"#;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    #[test]
    fn the_data_tells_version_and_number() {
        let data = parse(&set(), "pgset-1 16\npgset-0 16\nother-5 9.6\npgset-x 1\n");
        assert_eq!(data, [(0, "16".to_owned()), (1, "16".to_owned())]);
        let mut recipe = Recipe::default();
        complete(&mut recipe, &data, false).unwrap();
        assert_eq!(
            recipe.data().collect::<Vec<_>>(),
            [("image", "postgres:16"), ("replicas", "2")]
        );

        let old = vec![(0, "9.6".to_owned())];
        let refused = complete(&mut Recipe::default(), &old, false).unwrap_err();
        assert_eq!(refused.message, "the data is of PostgreSQL 9.6, and its image is not known");
        complete(&mut Recipe::default(), &old, true).unwrap();

        recipe.record("image", Some("registry.example/db:5".to_owned()));
        complete(&mut recipe, &vec![(0, "16".to_owned())], false).unwrap();
        assert!(
            recipe.data().any(|(name, value)| name == "image" && value == "registry.example/db:5")
        );
    }

    #[test]
    fn the_claim_of_the_first_pod_or_the_shared_one() {
        let claims = |names: &[&str]| -> Vec<Value> {
            names.iter().map(|name| json!({"metadata": {"name": name}})).collect()
        };
        for (names, found) in [
            (&["pgdata-pgset-1", "pgdata-pgset-0"][..], Some("pgdata-pgset-0")),
            (&["pgset-pvc"], Some("pgset-pvc")),
            (&["pgdata-other-0", "mine"], None),
        ] {
            assert_eq!(data_claim(&set(), &claims(names)), found);
        }
    }
}
