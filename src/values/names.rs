//! Newtypes for the values of settings. A value is validated once, when it is parsed.

use super::Invalid;
use std::fmt;
use std::str::FromStr;

use crate::values::reserved;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);
        impl $name {
            /// The value.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }
    };
}

text!(
    /// The name of a set: a DNS label (RFC 1035) of at most 52 characters, so that the value of the label
    /// `controller-revision-hash` (name, dash, hash) fits into Kubernetes' limit of 63. It must not end in
    /// `-master` or `-replica`: the set's headless Service would have the name of another set's Service.
    SetName,
    check_set_name
);
text!(
    /// A namespace: a DNS label (RFC 1123) of at most 63 characters.
    Namespace,
    check_namespace
);
text!(
    /// A PostgreSQL role: a lower-case identifier of at most 63 bytes, not `pg_*`, not `postgres`.
    RoleName,
    check_role
);
text!(
    /// A PostgreSQL database: a lower-case identifier of at most 63 bytes, but not one of the databases
    /// that every server has.
    DatabaseName,
    check_database
);
text!(
    /// The prefix of the names of static volumes: `pv` gives `pv1`, `pv2`, `pv3`.
    VolumePrefix,
    check_volume_prefix
);

fn check_set_name(name: &str) -> Result<(), Invalid> {
    const MAX: usize = 52;
    let fits = is_dns_label(name, MAX) && name.starts_with(|c: char| c.is_ascii_lowercase());
    if !fits {
        let reason = format!(
            "must be at most {MAX} lower-case letters, digits and dashes, begin with a letter and \
             end with a letter or digit"
        );
        let mended = mend_dns(name, MAX);
        return Err(Invalid::new(reason).suggest::<SetName>(name, &mended));
    }
    for suffix in ["-master", "-replica"] {
        if let Some(other) = name.strip_suffix(suffix) {
            return Err(Invalid::new(format!(
                "must not end in {suffix}: {name} is a Service of the set {other}"
            ))
            .suggest::<SetName>(name, &format!("{other}{}", &suffix[1..])));
        }
    }
    Ok(())
}

fn check_namespace(name: &str) -> Result<(), Invalid> {
    const MAX: usize = 63;
    if is_dns_label(name, MAX) {
        return Ok(());
    }
    let reason = format!(
        "must be at most {MAX} lower-case letters, digits and dashes, and begin and end with a \
         letter or digit"
    );
    Err(Invalid::new(reason).suggest::<Namespace>(name, &mend_dns(name, MAX)))
}

fn check_role(name: &str) -> Result<(), Invalid> {
    check_identifier(name)?;
    match name {
        "postgres" => Err(Invalid::new("must not be postgres: that is the superuser")),
        "public" | "none" => Err(Invalid::new("must be another name: PostgreSQL reserves it")),
        _ if name.starts_with("pg_") => {
            Err(Invalid::new("must not begin with pg_: PostgreSQL reserves such roles"))
        }
        _ => Ok(()),
    }
}

fn check_database(name: &str) -> Result<(), Invalid> {
    check_identifier(name)?;
    match name {
        "postgres" | "template0" | "template1" => {
            Err(Invalid::new("must be another name: every PostgreSQL server has this database"))
        }
        _ if name.starts_with("pg_") => {
            Err(Invalid::new("must not begin with pg_: such names are reserved for PostgreSQL"))
        }
        _ => Ok(()),
    }
}

fn check_identifier(name: &str) -> Result<(), Invalid> {
    // NAMEDATALEN - 1: PostgreSQL truncates longer names.
    const MAX: usize = 63;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if starts && name.len() <= MAX && name.chars().all(allowed) {
        return Ok(());
    }
    let reason = format!(
        "must be at most {MAX} lower-case letters, digits and underscores, and begin with a letter"
    );
    let mended: String = name
        .to_ascii_lowercase()
        .chars()
        .map(|c| if "-. ".contains(c) { '_' } else { c })
        .filter(|c| allowed(*c))
        .take(MAX)
        .collect();
    Err(Invalid::new(reason).suggest::<RoleName>(name, &mended))
}

/// Refuses words that SQL reserves, because Crunchy's image writes names into SQL without quotes.
pub fn check_unquoted(name: &str) -> Result<(), Invalid> {
    if reserved::is_reserved(name) {
        return Err(Invalid::new(
            "must not be a word that SQL reserves: the image writes it into SQL without quotes",
        )
        .hint(format!("did you mean {name}_1?")));
    }
    Ok(())
}

fn check_volume_prefix(prefix: &str) -> Result<(), Invalid> {
    // A number is appended to the prefix, and a volume's name is limited to 253 characters.
    const MAX: usize = 240;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let starts = prefix.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if starts && prefix.len() <= MAX && prefix.chars().all(allowed) {
        return Ok(());
    }
    let reason = format!(
        "must be at most {MAX} lower-case letters, digits and dashes, and begin with a letter or digit"
    );
    Err(Invalid::new(reason).suggest::<VolumePrefix>(prefix, &mend_dns(prefix, MAX)))
}

/// Whether the text is a DNS label (RFC 1123).
fn is_dns_label(text: &str, max: usize) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= max
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || c == '-')
}

/// Whether the text is a DNS name (RFC 1123): labels separated by dots, at most 253 characters.
pub(crate) fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_dns_label(label, 63))
}

/// Corrects a name: lower case, and dashes in place of characters that are not allowed.
pub(super) fn mend_dns(text: &str, max: usize) -> String {
    let lower = text.trim().to_ascii_lowercase();
    let dashed: String =
        lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(max).collect();
    dashed.trim_matches('-').to_owned()
}

/// The number of pods, master included: at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replicas(u32);

impl Replicas {
    /// The article's number: a master and a replica.
    pub const DEFAULT: Self = Self(2);

    /// A larger number is probably a typing mistake. Images have lower limits.
    pub const MAX: u32 = 100;

    /// Converts a number. Returns `None` if a set can't have this number of pods.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Replicas {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let max = Self::MAX;
        let range = || {
            Invalid::new(format!("must be a whole number from 1 to {max}, including the master"))
        };
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(range());
        }
        match text.parse::<i128>() {
            Ok(0) => Err(range().hint("to stop the set: pgset stop")),
            Ok(number) if (1..=i128::from(max)).contains(&number) => {
                // The number is within 1..=MAX, so the conversion can't fail.
                u32::try_from(number).map(Self).map_err(|_| range())
            }
            _ => Err(range()),
        }
    }
}

impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: FromStr<Err = Invalid> + fmt::Debug>(text: &str) -> (String, Option<String>) {
        let error = text.parse::<T>().expect_err(text);
        (error.reason, error.hint)
    }

    #[test]
    fn set_names() {
        for name in ["pgset", "a", "pg-set-2", "master", &"a".repeat(52)] {
            assert_eq!(name.parse::<SetName>().unwrap().as_str(), name);
        }
        for (name, hint) in [
            ("", None),
            ("PgSet", Some("did you mean pgset?")),
            ("pgset_A", Some("did you mean pgset-a?")),
            ("pg.set", Some("did you mean pg-set?")),
            ("-pgset-", Some("did you mean pgset?")),
            ("9lives", None),
            ("pgset\n---\nkind: Role", Some("did you mean pgset-----kind--role?")),
            ("größe", Some("did you mean gr--e?")),
        ] {
            let (reason, got) = refused::<SetName>(name);
            assert!(reason.starts_with("must be at most 52 lower-case letters"), "{reason}");
            assert_eq!(got.as_deref(), hint, "{name:?}");
        }
        let (_, hint) = refused::<SetName>(&"a".repeat(53));
        assert_eq!(hint, Some(format!("did you mean {}?", "a".repeat(52))));
        let (reason, hint) = refused::<SetName>("pgset-master");
        assert_eq!(reason, "must not end in -master: pgset-master is a Service of the set pgset");
        assert_eq!(hint.as_deref(), Some("did you mean pgsetmaster?"));
        refused::<SetName>("pgset-replica");
    }

    #[test]
    fn namespaces() {
        for name in ["default", "9", &"a".repeat(63)] {
            name.parse::<Namespace>().unwrap();
        }
        for name in ["", "A", "a.b", "a_b", "a-", &"a".repeat(64)] {
            let (reason, _) = refused::<Namespace>(name);
            assert!(reason.starts_with("must be at most 63 lower-case letters"), "{reason}");
        }
    }

    #[test]
    fn roles_and_databases() {
        for name in ["testuser", "_a1", "master", &"a".repeat(63)] {
            name.parse::<RoleName>().unwrap();
            name.parse::<DatabaseName>().unwrap();
        }
        let long = "a".repeat(64);
        for name in ["", "1a", "a-b", "a b", "A", "a'b", "a\"b", "a\0b", "a;b", "ä", &long] {
            let (reason, _) = refused::<RoleName>(name);
            assert!(reason.starts_with("must be at most 63 lower-case letters"), "{reason}");
            refused::<DatabaseName>(name);
        }
        assert_eq!(refused::<RoleName>("My-App").1.as_deref(), Some("did you mean my_app?"));
        assert!(refused::<RoleName>("pg_x").0.starts_with("must not begin with pg_"));
        assert!(refused::<DatabaseName>("pg_x").0.starts_with("must not begin with pg_"));
        refused::<RoleName>("postgres");
        refused::<RoleName>("public");
        refused::<DatabaseName>("postgres");
        refused::<DatabaseName>("template1");
        assert!(check_unquoted("user").is_err());
        assert!(check_unquoted("userdb").is_ok());
    }

    #[test]
    fn volume_prefixes() {
        for prefix in ["pv", "team-a-pv-", "1"] {
            prefix.parse::<VolumePrefix>().unwrap();
        }
        for prefix in ["", "-pv", "PV", "a/b", &"a".repeat(241)] {
            refused::<VolumePrefix>(prefix);
        }
    }

    #[test]
    fn replicas() {
        assert_eq!("1".parse::<Replicas>().unwrap().get(), 1);
        assert_eq!("100".parse::<Replicas>().unwrap().get(), 100);
        for text in [
            "",
            "-1",
            "101",
            "1000000000",
            "9999999999999999999999",
            "2.5",
            "three",
            "+2",
            " 2",
            "-",
            "0x2",
            "1e1",
        ] {
            let (reason, hint) = refused::<Replicas>(text);
            assert_eq!(reason, "must be a whole number from 1 to 100, including the master");
            assert_eq!(hint, None, "{text:?}");
        }
        assert_eq!(refused::<Replicas>("0").1.as_deref(), Some("to stop the set: pgset stop"));
        assert_eq!(refused::<Replicas>("-0").1.as_deref(), Some("to stop the set: pgset stop"));
    }

    proptest::proptest! {
        /// Parsing a text also parses the suggestion for it. This recursion must end.
        #[test]
        fn any_text_is_taken_or_refused(text in r"(nfs|hostpath|class|claim|pg_)?[:/.]{0,3}\PC{0,70}") {
            let _ = text.parse::<SetName>();
            let _ = text.parse::<Namespace>();
            let _ = text.parse::<RoleName>();
            let _ = text.parse::<DatabaseName>();
            let _ = text.parse::<VolumePrefix>();
            let _ = text.parse::<Replicas>();
            let _ = text.parse::<crate::settings::AccessMode>();
            let _ = crate::values::duration::parse(&text);
            if let Ok(storage) = text.parse::<crate::settings::Storage>() {
                let again = storage.to_string().parse();
                proptest::prop_assert_eq!(again, Ok(storage));
            }
            if let Ok(image) = text.parse::<crate::image::ImageReference>() {
                proptest::prop_assert_eq!(image.to_string(), text);
            }
        }
    }
}
