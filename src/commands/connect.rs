//! `pgset connect`.

use crate::procedure::connection;
use crate::procedure::credentials;
use std::fmt::Write as _;

use crate::cli::{ConnectArgs, Output};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::postgres::address::{Addresses, Side};
use crate::procedure::{live, run_state, tls};
use crate::set::SetIdentity;
use crate::set::objects;
use crate::set::passwords;
use crate::set::rights;
use crate::settings::Tls;

/// Prints the addresses of the set and the role to connect as.
pub async fn run(args: &ConnectArgs, context: &Context) -> anyhow::Result<Exit> {
    if args.ca_certificate && context.general.output != Output::Human {
        let message = "--ca-certificate prints PEM: it can't be combined with another --output";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = context.cluster(&target).await?;
    let id = objects::statefulset(&set);
    let (missing, statefulset, tls) = futures::join!(
        live::check_rights(&cluster, rights::connect(&set)),
        cluster.get(&id),
        tls::of_set(&cluster, &set)
    );
    missing?;
    let Some(statefulset) = statefulset? else {
        return Err(live::no_set(&cluster, &set, context).await.into());
    };
    live::check_ours(&statefulset, &id, &set)?;
    let tls = tls?;
    if args.ca_certificate {
        return ca_certificate(context, &cluster, &set, tls.as_ref()).await;
    }
    let (credentials, state) = futures::join!(
        credentials::credentials(&cluster, &set),
        run_state::read(&cluster, &set, &statefulset)
    );
    let (credentials, state) = (credentials?, state?);
    if state.is_at_rest() {
        // The addresses are those of the set once it runs.
        let start = context.sibling("start");
        context.warn(format!("{} is {state}, no server answers: `{start}` starts it", set.name));
    }
    let addresses = Addresses {
        set: &set,
        user: &credentials.user,
        database: &credentials.database,
        has_replica: objects::replicas(&statefulset).max(state.to_start()) > 1,
        password: args.show_password.then_some(&credentials.user_password),
        verified: tls::is_required(tls.as_ref()),
    };
    let ca = tls.as_ref().map(|tls| tls.secret.as_str());
    let document = || addresses.document(passwords::USER_PASSWORD, ca);
    let side = if args.replica { Side::Replica } else { Side::Master };
    let text = match context.general.output {
        Output::Json => serde_json::to_string_pretty(&document())? + "\n",
        Output::Yaml => crate::manifest::parse::to_yaml(&document()),
        Output::Env => variables(&addresses, side),
        Output::Human | Output::Wide | Output::Junit => {
            crate::text::labelled(&connection::rows(context, &addresses)).join("\n") + "\n"
        }
    };
    context.reporter.say(&text)?;
    Ok(Exit::Done)
}

/// Prints the CA certificate that clients verify the servers with.
async fn ca_certificate(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    tls: Option<&Tls>,
) -> anyhow::Result<Exit> {
    let Some(tls) = tls else {
        let message = format!("{} has no certificate: its connections are not encrypted", set.name);
        return Err(Failure::new(Exit::Failed, message)
            .hint(format!("{}  # encrypts the connections", context.sibling("up --tls")))
            .into());
    };
    let id = objects::secret(set, &tls.secret);
    let secret = cluster.get(&id).await?;
    let authorities = secret.map(|secret| tls::certificates_of(&secret).authorities);
    let Some(authorities) = authorities.filter(|authorities| !authorities.is_empty()) else {
        return Err(Failure::new(Exit::Failed, format!("{id} has no ca.crt"))
            .hint(format!("{}  # creates it again if pgset generated it", context.sibling("up")))
            .into());
    };
    context.reporter.print(&authorities)?;
    Ok(Exit::Done)
}

/// Formats variables as lines for a shell or `env`.
fn variables(addresses: &Addresses<'_>, side: Side) -> String {
    let mut lines = String::new();
    for (name, value) in addresses.variables(side) {
        // Writing to a string can't fail.
        let _ = writeln!(lines, "{name}={}", crate::text::shell_word(&value));
    }
    lines
}
