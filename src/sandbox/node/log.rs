//! The log of a container. The container writes into a pipe. Each line is stored with its time, in
//! the format of container runtimes without the stream: `2026-11-24T17:03:30.000000000Z F text`.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;

/// Longer lines are stored in parts of this size.
const PART: usize = 16 << 10;
/// Marks a complete line, or the last part of one.
const FULL: &str = "F";
/// Marks a part that is continued in the next record.
const PARTIAL: &str = "P";

/// Opens a log. Returns the pipe for the container, and the task that stores its output until the
/// pipe is closed. Paths below `root` are shown without it, as the container sees them.
pub(super) fn open(path: &Path, root: &Path) -> io::Result<(PipeWriter, JoinHandle<()>)> {
    let root = format!("{}/", root.display()).into_bytes();
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let (reader, writer) = io::pipe()?;
    let reader = Receiver::from_owned_fd(reader.into())?;
    Ok((writer, tokio::spawn(keep(reader, file, root))))
}

async fn keep(mut reader: Receiver, mut file: File, root: Vec<u8>) {
    let mut pending = Vec::new();
    let mut buffer = vec![0; 32 << 10];
    while let Ok(length @ 1..) = reader.read(&mut buffer).await {
        pending.extend_from_slice(&buffer[..length]);
        let records = inside(&records(&mut pending, false), &root);
        // If the disk is full, log lines are lost, but the container runs on.
        let _ = file.write_all(&records);
    }
    let _ = file.write_all(&inside(&records(&mut pending, true), &root));
}

/// Translates paths to container paths.
fn inside(text: &[u8], root: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(root.len()).position(|part| part == root) {
        result.extend_from_slice(&rest[..at]);
        result.push(b'/');
        rest = &rest[at + root.len()..];
    }
    result.extend_from_slice(rest);
    result
}

/// Takes the complete records; at the end, also an incomplete one.
fn records(pending: &mut Vec<u8>, end: bool) -> Vec<u8> {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string();
    let mut records = Vec::new();
    loop {
        let line = pending.iter().position(|byte| *byte == b'\n');
        let (length, tag) = match line {
            Some(at) if at <= PART => (at, FULL),
            _ if pending.len() > PART => (PART, PARTIAL),
            _ if end && !pending.is_empty() => (pending.len(), PARTIAL),
            _ => return records,
        };
        records.extend_from_slice(format!("{now} {tag} ").as_bytes());
        records.extend(pending.drain(..length));
        records.push(b'\n');
        if tag == FULL {
            pending.remove(0);
        }
    }
}

/// A stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct Record<'a> {
    /// When it was written.
    pub(in crate::sandbox) time: &'a str,
    /// Without the line end.
    pub(in crate::sandbox) text: &'a [u8],
    /// Whether the record ends its line.
    pub(in crate::sandbox) ends: bool,
}

/// Parses the stored records.
pub(in crate::sandbox) fn read(kept: &[u8]) -> impl Iterator<Item = Record<'_>> {
    kept.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        let ends = parts.next()? == FULL.as_bytes();
        Some(Record { time, text: parts.next()?, ends })
    })
}

/// The container's output without times.
pub(super) fn text(kept: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for record in read(kept) {
        text.extend_from_slice(record.text);
        if record.ends {
            text.push(b'\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_container_s() {
        let said = b"\"/s/pods/1/x/tmp/.s\" and /s/pods/1/x/pgdata, not /s/pods/1/y";
        let expected = b"\"/tmp/.s\" and /pgdata, not /s/pods/1/y";
        assert_eq!(inside(said, b"/s/pods/1/x/"), expected);
    }

    #[test]
    fn what_was_written_is_read() {
        let long = "x".repeat(PART + 5);
        let written = format!("one\n\ntwo two\n{long}\nhalf");
        let mut pending = written.clone().into_bytes();
        let mut kept = records(&mut pending, false);
        assert_eq!(pending, b"half");
        kept.extend(records(&mut pending, true));
        assert_eq!(text(&kept), written.into_bytes());
        let ends: Vec<bool> = read(&kept).map(|record| record.ends).collect();
        assert_eq!(ends, [true, true, true, false, true, false]);
        assert!(read(&kept).all(|record| record.time.parse::<Timestamp>().is_ok()));
    }
}
