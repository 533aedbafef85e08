//! `pgset connect`.

use std::fmt::Write as _;

use super::{Context, desired, live, rights, scale, sql, tls};
use crate::cli::{ConnectArgs, Output};
use crate::cluster::Cluster;
use crate::error::{Exit, Failure};
use crate::postgres::address::{Addresses, Side};
use crate::settings::{SetIdentity, Tls};

/// Prints where the set is reached, and as whom.
pub async fn run(args: &ConnectArgs, context: &Context) -> anyhow::Result<Exit> {
    if args.ca_certificate && context.general.output != Output::Human {
        let message = "--ca-certificate prints PEM: it goes with no other --output";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = context.cluster(&target).await?;
    let id = scale::statefulset_id(&set);
    let (missing, statefulset, tls) = futures::join!(
        live::check_rights(&cluster, rights::connect(&set)),
        cluster.get(&id),
        tls::of_set(&cluster, &set)
    );
    missing?;
    let statefulset = statefulset?.ok_or_else(|| scale::no_set(&set, context))?;
    live::check_ours(&statefulset, &id, &set)?;
    let tls = tls?;
    if args.ca_certificate {
        return ca_certificate(context, &cluster, &set, tls.as_ref()).await;
    }
    let credentials = sql::credentials(&cluster, &set).await?;
    let addresses = Addresses {
        set: &set,
        user: &credentials.user,
        database: &credentials.database,
        has_replica: scale::replicas_of(&statefulset) > 1,
        password: args.show_password.then_some(&credentials.user_password),
        verified: tls::is_required(tls.as_ref()),
    };
    let ca = tls.as_ref().map(|tls| tls.secret.as_str());
    let document = || addresses.document(desired::USER_PASSWORD, ca);
    let side = if args.replica { Side::Replica } else { Side::Master };
    let text = match context.general.output {
        Output::Json => serde_json::to_string_pretty(&document())? + "\n",
        Output::Yaml => crate::manifest::parse::to_yaml(&document()),
        Output::Env => variables(&addresses, side),
        Output::Human | Output::Junit => human(context, &addresses) + "\n",
    };
    context.reporter.print(&text)?;
    Ok(Exit::Done)
}

/// Prints what clients verify the servers by.
async fn ca_certificate(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    tls: Option<&Tls>,
) -> anyhow::Result<Exit> {
    let Some(tls) = tls else {
        let message = format!("{} has no certificate: its connections are not encrypted", set.name);
        return Err(Failure::new(Exit::Failed, message)
            .hint(format!("{}  # encrypts them", context.sibling("up --tls")))
            .into());
    };
    let id = tls::secret_id(set, &tls.secret);
    let secret = cluster.get(&id).await?;
    let authorities = secret.map(|secret| tls::certificates_of(&secret).authorities);
    let Some(authorities) = authorities.filter(|authorities| !authorities.is_empty()) else {
        return Err(Failure::new(Exit::Failed, format!("{id} has no ca.crt"))
            .hint(format!("{}  # makes it again, where pgset made it", context.sibling("up")))
            .into());
    };
    context.reporter.print(&authorities)?;
    Ok(Exit::Done)
}

/// What `up` says at its end, and `connect` prints.
pub(crate) fn human(context: &Context, addresses: &Addresses<'_>) -> String {
    addresses.human(
        &context.sibling("password show"),
        &context.sibling("connect --ca-certificate"),
        &context.sibling("psql"),
    )
}

/// Lines that a shell, and `env`, take.
fn variables(addresses: &Addresses<'_>, side: Side) -> String {
    let mut lines = String::new();
    for (name, value) in addresses.variables(side) {
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{name}={}", super::again::quoted(&value));
    }
    lines
}
