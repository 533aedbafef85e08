//! SCRAM verifiers: what PostgreSQL stores of a password. A server that gets the verifier never sees the password.

use crate::values::{Invalid, Secret};

/// The verifier of a password, with a random salt and 4096 iterations: `SCRAM-SHA-256$4096:SALT$STORED:SERVER`.
///
/// It is no password, but it must stay secret: who has it can test guesses without asking a server.
///
/// # Errors
/// When `SASLprep` removes every character. PostgreSQL's clients then use the password as it is.
pub fn of(password: &Secret) -> Result<Secret, Invalid> {
    let password = password.expose();
    if stringprep::saslprep(password).is_ok_and(|prepared| prepared.is_empty()) {
        return Err(Invalid::new("must contain a visible character"));
    }
    Ok(Secret::new(postgres_protocol::password::scram_sha_256(password.as_bytes())))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::{digest, hmac, pbkdf2};

    use super::*;

    /// The keys of RFC 5802, computed with another library.
    struct Keys {
        client: Vec<u8>,
        stored: Vec<u8>,
        server: Vec<u8>,
    }

    fn sign(key: &[u8], message: &str) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
    }

    fn keys(prepared: &str, salt: &[u8]) -> Keys {
        let mut salted = [0; 32];
        let iterations = std::num::NonZeroU32::new(4096).unwrap();
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, iterations, salt, prepared.as_bytes(), &mut salted);
        let client = sign(&salted, "Client Key");
        let stored = digest::digest(&digest::SHA256, &client).as_ref().to_vec();
        Keys { client, stored, server: sign(&salted, "Server Key") }
    }

    fn decode(text: &str) -> Vec<u8> {
        STANDARD.decode(text).unwrap()
    }

    fn verifier(password: &str) -> Secret {
        of(&Secret::new(password.to_owned())).unwrap()
    }

    /// Salt, `StoredKey` and `ServerKey` of a verifier.
    fn parts(verifier: &Secret) -> [Vec<u8>; 3] {
        let rest = verifier.expose().strip_prefix("SCRAM-SHA-256$4096:").expect("the format");
        let parts: Vec<Vec<u8>> = rest.split([':', '$']).map(decode).collect();
        parts.try_into().expect("three parts")
    }

    /// The exchange in RFC 7677, section 3: what the verifiers below are compared with is right.
    #[test]
    fn the_keys_are_those_of_the_standard() {
        let keys = keys("pencil", &decode("W22ZaJ0SNY7soEsUEjb6gQ=="));
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let said = format!(
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
        );
        let proof: Vec<u8> =
            keys.client.iter().zip(sign(&keys.stored, &said)).map(|(a, b)| a ^ b).collect();
        assert_eq!(STANDARD.encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let signature = STANDARD.encode(sign(&keys.server, &said));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    /// The password of the RFC, the examples of RFC 4013, section 3, and passwords that `SASLprep` does not allow:
    /// PostgreSQL uses these as they are.
    #[test]
    fn a_verifier_has_the_keys_of_the_prepared_password() {
        for (password, prepared) in [
            ("pencil", "pencil"),
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("a\u{a0}b", "a b"),
            ("\u{fb01}n", "fin"),
            ("\u{627}1", "\u{627}1"),
            ("a\u{e000}b", "a\u{e000}b"),
        ] {
            let [salt, stored, server] = parts(&verifier(password));
            let expected = keys(prepared, &salt);
            assert_eq!((salt.len(), stored), (16, expected.stored), "{password:?}");
            assert_eq!(server, expected.server, "{password:?}");
        }
    }

    #[test]
    fn a_salt_is_used_once() {
        assert_ne!(parts(&verifier("pencil"))[0], parts(&verifier("pencil"))[0]);
    }

    #[test]
    fn a_password_of_which_nothing_is_left_is_refused() {
        let refused = of(&Secret::new("\u{ad}\u{2060}".to_owned())).unwrap_err();
        assert_eq!(refused.reason, "must contain a visible character");
    }
}
