//! The addresses, role and database with which clients connect to a set. `up` prints them when it ends,
//! `connect` on request.

use serde::Serialize;
use serde_json::{Value, json};

use super::psql::PORT;
use crate::set::SetIdentity;
use crate::text::percent_encode;
use crate::values::Secret;

/// The `sslmode` for clients when TLS is required.
const MODE: &str = "verify-full";

/// The addresses of a set. The host names are the DNS names of its Services.
#[derive(Clone, Debug)]
pub struct Addresses<'a> {
    /// The set.
    pub set: &'a SetIdentity,
    /// The application's role.
    pub user: &'a str,
    /// The application's database.
    pub database: &'a str,
    /// Whether there is a replica to read from.
    pub has_replica: bool,
    /// The role's password, if the caller wants it in the output.
    pub password: Option<&'a Secret>,
    /// Whether clients must use TLS and can verify the servers (`sslmode=verify-full`).
    pub verified: bool,
}

/// How clients connect to a set, for programs. Contains no password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Connection {
    /// The connection URI of the master's Service.
    pub read_write: String,
    /// The connection URI of the replicas' Service; none if there is no replica.
    pub read_only: Option<String>,
    /// The application's database.
    pub database: String,
    /// The application's role.
    pub user: String,
    /// The name of the Secret that contains the passwords.
    pub secret: String,
}

/// The two Services for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Read and write.
    Master,
    /// Read only.
    Replica,
}

#[derive(Serialize)]
struct Place {
    host: String,
    uri: String,
}

impl Addresses<'_> {
    /// The DNS name of a Service. It resolves from every namespace.
    #[must_use]
    pub fn host(&self, side: Side) -> String {
        let service = match side {
            Side::Master => self.set.master(),
            Side::Replica => self.set.replica(),
        };
        format!("{service}.{}.svc", self.set.namespace)
    }

    /// The connection URI of a Service. It contains the password only if `self.password` is set.
    #[must_use]
    pub fn uri(&self, side: Side) -> String {
        let password = self
            .password
            .map(|password| format!(":{}", percent_encode(password.expose())))
            .unwrap_or_default();
        let verify =
            self.verified.then(|| format!("?sslmode={MODE}&sslrootcert={}", self.ca_file()));
        format!(
            "postgresql://{}{password}@{}:{PORT}/{}{}",
            percent_encode(self.user),
            self.host(side),
            percent_encode(self.database),
            verify.unwrap_or_default()
        )
    }

    /// The path of the CA certificate in URIs and variables: a file in the client's working directory.
    #[must_use]
    pub fn ca_file(&self) -> String {
        format!("{}-ca.crt", self.set.name)
    }

    /// The addresses without a password, for the last event of a command.
    #[must_use]
    pub fn connection(&self) -> Connection {
        let open = Self { password: None, ..self.clone() };
        Connection {
            read_write: open.uri(Side::Master),
            read_only: self.has_replica.then(|| open.uri(Side::Replica)),
            database: self.database.to_owned(),
            user: self.user.to_owned(),
            secret: self.set.secret(),
        }
    }

    /// The addresses for people, with a label each.
    #[must_use]
    pub fn uris(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![("read and write", self.uri(Side::Master))];
        if self.has_replica {
            rows.push(("read only", self.uri(Side::Replica)));
        }
        rows
    }

    /// The commands that a client needs next, with a label each. `password` and `ca` are the commands that
    /// print the password and the CA certificate, `psql` is the command that opens psql.
    #[must_use]
    pub fn commands(&self, password: &str, ca: &str, psql: &str) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        if self.password.is_none() {
            rows.push(("password", password.to_owned()));
        }
        if self.verified {
            rows.push(("certificate", format!("{ca} > {}", self.ca_file())));
        }
        rows.push(("psql", psql.to_owned()));
        rows
    }

    /// The libpq environment variables for a Service.
    #[must_use]
    pub fn variables(&self, side: Side) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("PGHOST", self.host(side)),
            ("PGPORT", PORT.to_string()),
            ("PGUSER", self.user.to_owned()),
            ("PGDATABASE", self.database.to_owned()),
        ];
        if self.verified {
            variables.extend([("PGSSLMODE", MODE.to_owned()), ("PGSSLROOTCERT", self.ca_file())]);
        }
        variables
            .extend(self.password.map(|password| ("PGPASSWORD", password.expose().to_owned())));
        variables
    }

    /// The JSON document for programs. `key` is the password's key in the set's Secret, `ca` the name of
    /// the Secret that contains the CA certificate.
    #[must_use]
    pub fn document(&self, key: &str, ca: Option<&str>) -> Value {
        let place = |side| json!(Place { host: self.host(side), uri: self.uri(side) });
        let mut document = json!({
            "set": self.set.name.as_str(),
            "namespace": self.set.namespace.as_str(),
            "user": self.user,
            "database": self.database,
            "port": PORT,
            "master": place(Side::Master),
            "replica": self.has_replica.then(|| place(Side::Replica)),
            "secret": { "name": self.set.secret(), "key": key },
            "tls": ca.filter(|_| self.verified).map(|secret| json!({
                "sslmode": MODE,
                "sslrootcert": self.ca_file(),
                "secret": { "name": secret, "key": crate::certificate::CA_CERTIFICATE },
            })),
        });
        if let Some(password) = self.password {
            document["password"] = json!(password.expose());
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "demo".parse().unwrap() }
    }

    /// The addresses of a set with one pod, without password and without TLS.
    fn alone(set: &SetIdentity) -> Addresses<'_> {
        Addresses {
            set,
            user: "testuser",
            database: "userdb",
            has_replica: false,
            password: None,
            verified: false,
        }
    }

    #[test]
    fn a_password_shows_only_where_it_was_asked_for() {
        let (set, secret) = (set(), Secret::new("p@ss w:rd".to_owned()));
        let mut addresses = Addresses { has_replica: true, ..alone(&set) };
        let owned = |rows: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
            rows.iter().map(|(label, text)| (*label, (*text).to_owned())).collect()
        };
        assert_eq!(
            addresses.uris(),
            owned(&[
                ("read and write", "postgresql://testuser@pgset-master.demo.svc:5432/userdb"),
                ("read only", "postgresql://testuser@pgset-replica.demo.svc:5432/userdb"),
            ])
        );
        assert_eq!(
            addresses.commands("pgset password show", "", "pgset psql"),
            owned(&[("password", "pgset password show"), ("psql", "pgset psql")])
        );
        let text = addresses.document("user-password", None).to_string();
        assert!(!text.contains("\"password\""), "{text}");
        assert_eq!(addresses.variables(Side::Replica)[0].1, "pgset-replica.demo.svc");
        assert_eq!(addresses.variables(Side::Replica).len(), 4);

        addresses.password = Some(&secret);
        assert!(!format!("{:?}", addresses.connection()).contains("p%40ss"));
        assert_eq!(
            addresses.uri(Side::Master),
            "postgresql://testuser:p%40ss%20w%3Ard@pgset-master.demo.svc:5432/userdb"
        );
        assert_eq!(addresses.variables(Side::Master)[4], ("PGPASSWORD", "p@ss w:rd".to_owned()));
        assert_eq!(addresses.document("user-password", None)["password"], "p@ss w:rd");
    }

    #[test]
    fn with_tls_every_form_verifies_in_full() {
        let set = set();
        let addresses = Addresses { verified: true, ..alone(&set) };
        let uri = "postgresql://testuser@pgset-master.demo.svc:5432/userdb?sslmode=verify-full&sslrootcert=pgset-ca.crt";
        assert_eq!(addresses.uris(), [("read and write", uri.to_owned())]);
        assert_eq!(
            addresses.commands("pgset password show", "pgset connect --ca-certificate", "")[1],
            ("certificate", "pgset connect --ca-certificate > pgset-ca.crt".to_owned())
        );
        let variables = addresses.variables(Side::Master);
        assert_eq!(variables[4], ("PGSSLMODE", "verify-full".to_owned()));
        assert_eq!(variables[5], ("PGSSLROOTCERT", "pgset-ca.crt".to_owned()));
        let document = addresses.document("k", Some("mine"));
        assert_eq!(document["master"]["uri"], uri);
        assert_eq!(document["tls"]["secret"], json!({"name": "mine", "key": "ca.crt"}));
    }

    #[test]
    fn a_master_alone_has_no_replica_to_read_from() {
        let set = set();
        let addresses = alone(&set);
        assert_eq!(addresses.uris().len(), 1);
        assert_eq!(addresses.connection().read_only, None);
        assert_eq!(addresses.document("k", None)["replica"], Value::Null);
    }
}
