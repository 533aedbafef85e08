//! Messages about images that can't be pulled: the image and the cause, without the steps of the runtime.

use super::text::one_line;

/// What the kubelet, the container runtime and its parts put before the cause. `*` is a quoted word.
const STEPS: [&str; 11] = [
    "Back-off pulling image *: ",
    "Back-off pulling image *",
    "ErrImagePull: ",
    "Failed to pull image *: ",
    "failed to pull image *: ",
    "failed to pull and unpack image *: ",
    "failed to resolve reference *: ",
    "failed to resolve image *: ",
    "failed to do request: Head *: ",
    "Error response from daemon: ",
    "initializing source *: ",
];

/// `image postgres:nope can't be pulled: dial tcp: lookup registry-1.docker.io: i/o timeout`.
pub(super) fn shortened(message: &str, image: &str) -> String {
    let mut rest = message.trim();
    while let Some(shorter) =
        STEPS.iter().find_map(|step| without(rest, step)).or(without_code(rest))
    {
        rest = shorter.trim_start();
    }
    let cause = one_line(rest);
    let failure = format!("image {} can't be pulled", one_line(image));
    if cause.is_empty() { failure } else { format!("{failure}: {cause}") }
}

/// The text after a step.
fn without<'a>(text: &'a str, step: &str) -> Option<&'a str> {
    let Some((before, after)) = step.split_once('*') else { return text.strip_prefix(step) };
    let rest = text.strip_prefix(before)?.strip_prefix('"')?;
    let (_, rest) = rest.split_once('"')?;
    rest.strip_prefix(after)
}

/// The text after `rpc error: code = NotFound desc = `.
fn without_code(text: &str) -> Option<&str> {
    text.strip_prefix("rpc error: code = ")?.split_once(" desc = ").map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_left() {
        let image = "postgres:nope";
        for (message, cause) in [
            (
                "Back-off pulling image \"postgres:nope\": ErrImagePull: failed to pull and unpack image \
                 \"docker.io/library/postgres:nope\": failed to resolve reference \
                 \"docker.io/library/postgres:nope\": docker.io/library/postgres:nope: not found",
                ": docker.io/library/postgres:nope: not found",
            ),
            (
                "rpc error: code = Unknown desc = failed to pull and unpack image \"a\": failed to resolve \
                 reference \"a\": failed to do request: Head \"https://r/v2/\": dial tcp: lookup r: i/o timeout",
                ": dial tcp: lookup r: i/o timeout",
            ),
            (
                "rpc error: code = Unknown desc = Error response from daemon: manifest for a not found: \
                 manifest unknown: manifest unknown",
                ": manifest for a not found: manifest unknown: manifest unknown",
            ),
            ("Back-off pulling image \"postgres:nope\"", ""),
            ("the sandbox has no such image", ": the sandbox has no such image"),
            ("", ""),
        ] {
            assert_eq!(
                shortened(message, image),
                format!("image postgres:nope can't be pulled{cause}"),
                "{message}"
            );
        }
    }
}
