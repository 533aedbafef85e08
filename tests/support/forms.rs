//! The ways in which a password could show.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Letters and digits, as the image wants them; each is unlike anything else that is printed.
pub(crate) const PASSWORDS: [(&str, &str); 3] = [
    ("PG_ROOT_PASSWORD", "SentinelRootXq7Zk2"),
    ("PG_MASTER_PASSWORD", "SentinelMasterWv8Jp3"),
    ("PG_PASSWORD", "SentinelUserYt9Hm4"),
];

/// The ways in which a password could show: as it is, in base64 alone or within a longer text (at each
/// of the three alignments, without the ends that depend on the neighbours), and in a URL.
pub(crate) fn forms(password: &str) -> Vec<String> {
    let mut forms = vec![password.to_owned(), STANDARD.encode(password)];
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        for shift in 0..3 {
            let text = engine.encode(format!("{}{password}", &"xxx"[..shift]));
            forms.push(text[4..text.len() - 4].to_owned());
        }
    }
    // Percent-encoded wholly, as an over-careful encoder would.
    let encoded: Vec<_> = password.bytes().map(|b| format!("%{b:02X}")).collect();
    forms.push(encoded.concat());
    forms
}

/// The variable whose password shows in a text, and as what.
pub(crate) fn leaks(text: &str) -> Option<(&'static str, String)> {
    PASSWORDS.into_iter().find_map(|(variable, password)| {
        let form = forms(password).into_iter().find(|form| text.contains(form))?;
        Some((variable, form))
    })
}

#[track_caller]
pub(crate) fn clean(what: &str, text: &str) {
    if let Some((variable, form)) = leaks(text) {
        panic!("{what}: {variable} shows as {form:?}:\n{text}");
    }
}
