//! The TLS part of `status`: what the servers do, not what was requested.

use jiff::Timestamp;
use serde::Serialize;

use crate::postgres::tls::ServerTls;
use crate::settings::tls::{CertificateSource, Stage};

/// Whether connections are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Connections are not encrypted.
    Off,
    /// Connections are encrypted if the client asks for it.
    Offered,
    /// Connections without TLS are refused.
    Required,
}

/// The TLS state of a set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TlsStatus {
    /// Whether connections are encrypted.
    pub mode: TlsMode,
    /// The name of the Secret that contains the certificate.
    pub secret: Option<String>,
    /// When the servers' certificate expires.
    pub valid_until: Option<Timestamp>,
    /// Whether less than a third of its lifetime is left.
    pub renewal_due: bool,
    /// Whether the image supports TLS.
    #[serde(skip)]
    pub possible: bool,
    #[serde(skip)]
    made: bool,
    #[serde(skip)]
    days: i64,
}

impl TlsStatus {
    /// The state of a set with an image that does not support TLS.
    #[must_use]
    pub fn impossible() -> Self {
        Self { possible: false, ..Self::off() }
    }

    fn off() -> Self {
        Self {
            mode: TlsMode::Off,
            secret: None,
            valid_until: None,
            renewal_due: false,
            possible: true,
            made: false,
            days: 0,
        }
    }

    /// Whether every connection must use TLS.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.mode == TlsMode::Required
    }

    /// Combines the TLS states of the servers, by pod, and lists the problems; `None` if no server answered.
    #[must_use]
    pub fn of(servers: &[(String, ServerTls)], now: Timestamp) -> Option<(Self, Vec<String>)> {
        let (first_pod, first) = servers.first()?;
        let mode = if servers.iter().all(|(_, server)| server.encrypts && !server.plain) {
            TlsMode::Required
        } else if servers.iter().any(|(_, server)| server.encrypts) {
            TlsMode::Offered
        } else {
            TlsMode::Off
        };
        let line = servers.iter().find_map(|(_, server)| server.line.as_ref());
        let mut problems = Vec::new();
        let unfinished = line.is_some_and(|line| line.stage != Stage::Required);
        if unfinished
            || (line.is_some() && mode != TlsMode::Required)
            || (line.is_none() && mode != TlsMode::Off)
        {
            problems.push("the change of TLS is not finished: pgset up finishes it".to_owned());
        }
        let other = servers.iter().find(|(_, server)| server.certificate != first.certificate);
        if let Some((pod, _)) = other {
            problems.push(format!(
                "{pod} has another certificate than {first_pod}: pgset up updates every pod"
            ));
        }
        let dates = servers.iter().filter_map(|(_, server)| server.dates()).min_by_key(|d| d.until);
        let secret = line.map(|line| line.secret.clone());
        let status = Self {
            mode,
            secret,
            valid_until: dates.map(|dates| dates.until),
            renewal_due: dates.is_some_and(|dates| dates.is_due(now)),
            made: line.is_some_and(|line| line.origin == CertificateSource::Pgset),
            days: dates.map_or(0, |dates| (dates.until.as_second() - now.as_second()) / 86_400),
            ..Self::off()
        };
        if let Some(dates) = dates {
            let until = day(dates.until);
            if dates.is_over(now) {
                problems.push(format!(
                    "the certificate expired on {until}: clients that verify it can't connect; {}",
                    status.renewal()
                ));
            } else if dates.is_overdue(now) {
                problems.push(format!(
                    "the certificate expires on {until}, {}: {}",
                    status.left(),
                    status.renewal()
                ));
            }
        }
        Some((status, problems))
    }

    /// The state in one line, for people.
    #[must_use]
    pub fn line(&self) -> String {
        let Some(until) = self.valid_until else {
            let off = "no TLS: connections are not encrypted";
            return if self.possible {
                format!("{off}; pgset up --tls encrypts them")
            } else {
                off.to_owned()
            };
        };
        let mode = if self.is_required() { "required" } else { "offered" };
        let due = if self.renewal_due { format!("; {}", self.renewal()) } else { String::new() };
        let (until, left) = (day(until), self.left());
        format!("TLS is {mode}, the certificate is valid until {until}, {left}{due}")
    }

    fn left(&self) -> String {
        match self.days {
            ..0 => "expired".to_owned(),
            0 => "less than a day left".to_owned(),
            1 => "1 day left".to_owned(),
            days => format!("{days} days left"),
        }
    }

    fn renewal(&self) -> String {
        match &self.secret {
            Some(secret) if !self.made => {
                format!("renew it in Secret {secret}, which pgset does not manage")
            }
            _ => "pgset up renews it".to_owned(),
        }
    }
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{Renewal, names, renew};
    use crate::set::SetIdentity;
    use crate::settings::Tls;

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    fn after(days: i64) -> Timestamp {
        now() + jiff::SignedDuration::from_hours(days * 24)
    }

    fn server(line: &str, plain: bool) -> ServerTls {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let Renewal::Renewed { certificates, .. } = renew(None, &names::all(&set), now()).unwrap()
        else {
            panic!("kept")
        };
        let line = Tls::parse(line);
        ServerTls { encrypts: true, plain, certificate: Some(certificates.certificate), line }
    }

    fn of(servers: &[ServerTls], at: Timestamp) -> (TlsStatus, Vec<String>) {
        let named = servers.iter().enumerate().map(|(n, s)| (format!("pgset-{n}"), s.clone()));
        TlsStatus::of(&named.collect::<Vec<_>>(), at).unwrap()
    }

    #[test]
    fn without_tls_it_says_so() {
        let (status, problems) = of(&[ServerTls { plain: true, ..ServerTls::default() }], now());
        assert_eq!((status.mode, problems.len()), (TlsMode::Off, 0));
        assert_eq!(
            status.line(),
            "no TLS: connections are not encrypted; pgset up --tls encrypts them"
        );
        let never = TlsStatus::impossible().line();
        assert_eq!(never, "no TLS: connections are not encrypted");
        assert_eq!(TlsStatus::of(&[], now()), None);
    }

    #[test]
    fn the_certificates_time_is_told_and_warned_of() {
        let one = server("required made pgset-tls", false);
        let at = |days| of(&[one.clone(), one.clone()], after(days));
        let (status, problems) = at(0);
        assert_eq!(
            (status.line().as_str(), problems.len()),
            ("TLS is required, the certificate is valid until 2027-11-24, 365 days left", 0)
        );
        let (status, problems) = at(300);
        assert!(status.line().ends_with("65 days left; pgset up renews it"), "{}", status.line());
        assert!(status.renewal_due && problems.is_empty());
        let (_, problems) = at(330);
        assert_eq!(
            problems,
            ["the certificate expires on 2027-11-24, 35 days left: pgset up renews it"]
        );
        let (_, problems) = at(366);
        assert_eq!(
            problems,
            [
                "the certificate expired on 2027-11-24: clients that verify it can't connect; pgset up renews it"
            ]
        );
        let (_, problems) = of(&[server("required given mine", false)], after(330));
        let renewal = "35 days left: renew it in Secret mine, which pgset does not manage";
        assert!(problems[0].ends_with(renewal), "{problems:?}");
    }

    #[test]
    fn what_is_not_finished_is_a_problem() {
        let unfinished = "the change of TLS is not finished: pgset up finishes it";
        let (status, problems) = of(&[server("offered made pgset-tls", true)], now());
        assert_eq!((status.mode, problems), (TlsMode::Offered, vec![unfinished.to_owned()]));
        let (_, problems) = of(&[server("required made pgset-tls", true)], now());
        assert_eq!(problems, [unfinished]);
        let other = server("required made pgset-tls", false);
        let (status, problems) = of(&[server("required made pgset-tls", false), other], now());
        assert!(status.is_required());
        assert!(problems[0].starts_with("pgset-1 has another certificate than pgset-0"));
    }
}
