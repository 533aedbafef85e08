//! `pgset up`.

use crate::procedure::connection;
use std::time::Instant;

use crate::cli::UpArgs;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Exit;
use crate::image::Profile;
use crate::manifest::{Kind, ObjectId};
use crate::postgres::address::Addresses;
use crate::procedure::apply;
use crate::procedure::apply::How;
use crate::procedure::planning::{Look, Planned};
use crate::procedure::wait;
use crate::procedure::wait::Wait;
use crate::procedure::{configure, desired, grow, live, password_file, slots, tls, topology};
use crate::render::NEWEST_SERVER;
use crate::set::objects;
use crate::settings::Settings;

/// Makes the set, or makes it what the settings say, and waits until every replica streams.
///
/// Everything is rendered, parsed and checked before the cluster is asked anything, and everything
/// is read and planned before anything is written.
pub async fn run(args: &UpArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let mut settings = context.settings(&args.settings, Some(&target))?;
    if let Some(file) = &args.password_file {
        let crunchy = settings.profile.name() == Profile::CRUNCHY;
        settings.credentials.password =
            Some(password_file::password(file, crunchy, context).await?);
    }
    let templates = context.templates(&settings)?;
    // With passwords made up and the default number of pods: which objects there will be.
    let draft = desired::draft(&settings, &templates, NEWEST_SERVER)?;
    let wait = !args.no_wait && args.dry_run.is_none();

    let cluster = context.cluster(&target).await?;
    context.begin("up", &settings.set, &target);
    let stages = args.dry_run.is_none();
    let look = Look { settings: &settings, templates: &templates, draft: &draft, wait, stages };
    let planned = Box::pin(look.plan(&cluster, args.force_conflicts)).await?;
    let Planned { live, plan, replicas, tls, last_config } = planned;
    if let Some(warning) = &tls.warning {
        context.warn(warning.clone());
    }

    let next = context.again.as_str();
    context.interrupt.check(|| "nothing was touched".to_owned(), next)?;
    let set = &settings.set;
    let agreed = configure::check(context, &cluster, set, &plan, &live, wait).await?;
    let configures = configure::changes(&plan, &live, set);
    let how = How {
        set: &settings.set,
        made: &desired::made(&settings),
        force: args.force_conflicts,
        dry_run: args.dry_run,
    };
    let plan = if args.dry_run.is_some() {
        plan.without_growth(&live.objects)
    } else {
        grow::carry_out(context, &cluster, &settings.set, &plan, &live, args.force_conflicts)
            .await?;
        plan
    };
    let unchanged = plan.is_unchanged();
    let applied = apply::carry_out(context, &cluster, plan, how, next).await?;
    if args.dry_run.is_some() {
        context.finish("nothing was written: this was a dry run".to_owned(), started);
        return Ok(Exit::Done);
    }
    let id = objects::statefulset(&settings.set);
    let statefulset = match applied {
        Some(applied) => applied,
        None => live.objects.get(&id).cloned().unwrap_or_default(),
    };
    if args.no_wait {
        let state = if unchanged { "is as it should be" } else { "is applied" };
        if configures || tls.is_new() {
            context.warn("the servers do not read their new settings now, as nobody waits for it: the next `pgset up` has them do it");
        }
        context.finish(
            format!("{} {state}; `{}` looks at it", settings.set.name, context.sibling("status")),
            started,
        );
        return Ok(Exit::Done);
    }
    let scope = wait::scope(&settings.set, &statefulset, live.version.clone());
    let expectation = wait::expectation(&settings.set, &statefulset, replicas, &live.version);
    let wait = Wait { scope, expectation, done: "everything is applied", next };
    let snapshot = wait::until_ready(context, &cluster, wait.clone()).await?;
    let topology = topology::id(&settings);
    let recorded = topology.as_ref().and_then(|id| live.objects.get(id));
    topology::record(context, &cluster, &settings, recorded, &snapshot).await?;
    // The pods of a set that was just made began with what they should have.
    let began = !live.objects.contains_key(&id) && live.orphans == 0;
    if topology.is_some() {
        if !began {
            configure::settle(context, &cluster, set, &wait, agreed).await?;
            tls::settle(context, &cluster, set, &wait, &tls, last_config.as_ref()).await?;
        }
        tls::remember(&cluster, set, recorded, tls.last.as_ref()).await?;
    }
    let verified = tls::is_required(tls.last.as_ref());
    crate::procedure::sql::verify_login(context, &cluster, &settings.set, &snapshot, verified)
        .await?;
    let before = live.objects.get(&id).map_or(0, objects::replicas);
    if matches!(settings.profile, Profile::Postgres(_)) && before > replicas {
        slots::drop_beyond(context, &cluster, &settings.set, replicas).await?;
    }
    left_policy(context, &cluster, &settings).await;
    connection(context, &settings, replicas, verified);
    context.finish(format!("{} is up: {}", settings.set.name, wait::pods(replicas)), started);
    Ok(Exit::Done)
}

/// `up` deletes nothing: a NetworkPolicy that is no longer asked for still keeps clients out.
async fn left_policy(context: &Context, cluster: &Cluster, settings: &Settings) {
    let (set, namespace) = (&settings.set, settings.set.namespace.as_str());
    if settings.pods.network_policy || matches!(settings.profile, Profile::Crunchy(_)) {
        return;
    }
    let id = ObjectId::new(Kind::NetworkPolicy, namespace, set.name.as_str());
    // Whoever may not look did not make one.
    if let Ok(Some(policy)) = cluster.get(&id).await
        && live::check_ours(&policy, &id, set).is_ok()
    {
        context.warn(format!(
            "{id} is left from before and still in force; kubectl -n {namespace} delete networkpolicy {}",
            id.name
        ));
    }
}

fn connection(context: &Context, settings: &Settings, replicas: u32, verified: bool) {
    let addresses = Addresses {
        set: &settings.set,
        user: settings.credentials.user.as_str(),
        database: settings.credentials.database.as_str(),
        has_replica: replicas > 1,
        password: None,
        verified,
    };
    context.note(connection::human(context, &addresses));
}
