//! The forms in which a password could appear in an output.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The passwords of the tests. The image allows only letters and digits. Each password is different from
/// all other printed text.
pub(crate) const PASSWORDS: [(&str, &str); 3] = [
    ("PG_ROOT_PASSWORD", "SentinelRootXq7Zk2"),
    ("PG_MASTER_PASSWORD", "SentinelMasterWv8Jp3"),
    ("PG_PASSWORD", "SentinelUserYt9Hm4"),
];

/// Returns the forms in which a password could appear: as plain text, in base64, and percent-encoded in a
/// URL. Inside a longer base64 text, a password has three possible alignments; its first and last
/// characters there depend on the surrounding text, so they are left out.
pub(crate) fn forms(password: &str) -> Vec<String> {
    let mut forms = vec![password.to_owned(), STANDARD.encode(password)];
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        for shift in 0..3 {
            let text = engine.encode(format!("{}{password}", &"xxx"[..shift]));
            forms.push(text[4..text.len() - 4].to_owned());
        }
    }
    // Every character is percent-encoded, as some encoders do.
    let encoded: Vec<_> = password.bytes().map(|b| format!("%{b:02X}")).collect();
    forms.push(encoded.concat());
    forms
}

/// Returns the variable of the password that appears in a text, and the form in which it appears.
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
