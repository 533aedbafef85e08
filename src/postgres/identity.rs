//! The system identifier of a server's data directory: `initdb` generates it, and every clone has the same.

use super::psql::{ExecOutput, Script};
use crate::error::{Diagnose, Exit};

/// Queries the system identifier of the server of a pod.
#[must_use]
pub fn ask(pod: &str) -> Script {
    Script::new(
        pod,
        "select row_to_json(r) from (select system_identifier::text from pg_control_system()) r;",
    )
}

/// The server did not report its system identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no system identifier: {0}")]
pub struct NoIdentifier(String);

impl Diagnose for NoIdentifier {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Parses the output of [`ask`].
pub fn parse(output: &ExecOutput) -> Result<String, NoIdentifier> {
    if let Some(trouble) = output.trouble() {
        return Err(NoIdentifier(trouble.to_string()));
    }
    output
        .rows()
        .find_map(|row| row.get("system_identifier")?.as_str().map(str::to_owned))
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .ok_or_else(|| NoIdentifier("psql printed none".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str, stderr: &str, code: i32) -> ExecOutput {
        ExecOutput { stdout: stdout.to_owned(), stderr: stderr.to_owned(), exit_code: Some(code) }
    }

    #[test]
    fn reads_the_identifier_or_says_why_not() {
        let said = output("{\"system_identifier\":\"7711733563829612588\"}\n", "", 0);
        assert_eq!(parse(&said).unwrap(), "7711733563829612588");
        let nothing = parse(&output("\n", "", 0)).unwrap_err();
        assert_eq!(nothing.to_string(), "no system identifier: psql printed none");
        let refused = output("", "psql: error: the database system is starting up\n", 2);
        assert!(parse(&refused).unwrap_err().to_string().contains("is starting"));
    }
}
