//! The messages of the exec protocol. The first byte of each message is the number of its stream.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde_json::json;
use tokio_tungstenite::tungstenite::{Bytes, Message};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// The message that closes a stream begins with this byte; the next one is the stream's number. Only
/// v5.channel.k8s.io has it.
const CLOSE: u8 = 255;

/// What the server sent.
#[derive(Debug, PartialEq)]
pub(super) enum Received {
    /// A part of standard output.
    Output(Bytes),
    /// A part of standard error.
    Errors(Bytes),
    /// The end of the program.
    End(Box<Status>),
    /// Something without a meaning for the program: the server opens each stream with an empty message, and
    /// answers pings.
    Nothing,
}

/// Reads a message.
///
/// # Errors
/// When it is a status that can't be parsed.
pub(super) fn decode(message: Message) -> Result<Received, serde_json::Error> {
    let mut bytes = match message {
        Message::Binary(bytes) => bytes,
        Message::Text(text) => text.into(),
        _ => return Ok(Received::Nothing),
    };
    if bytes.len() < 2 {
        return Ok(Received::Nothing);
    }
    let content = bytes.split_off(1);
    Ok(match bytes[0] {
        STDOUT => Received::Output(content),
        STDERR => Received::Errors(content),
        STATUS => Received::End(serde_json::from_slice(&content)?),
        _ => Received::Nothing,
    })
}

/// A part of standard input.
pub(super) fn input(bytes: &[u8]) -> Message {
    on(STDIN, bytes)
}

/// The end of standard input, where the protocol has one.
pub(super) fn end_of_input() -> Message {
    on(CLOSE, &[STDIN])
}

/// The size of the terminal, in columns and rows.
pub(super) fn resize((width, height): (u16, u16)) -> Message {
    on(RESIZE, json!({"Width": width, "Height": height}).to_string().as_bytes())
}

fn on(stream: u8, bytes: &[u8]) -> Message {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(stream);
    message.extend_from_slice(bytes);
    Message::Binary(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(bytes: &'static [u8]) -> Message {
        Message::Binary(Bytes::from_static(bytes))
    }

    #[test]
    fn what_is_sent() {
        assert_eq!(input(b"\xffa"), binary(b"\x00\xffa"));
        assert_eq!(end_of_input(), binary(b"\xff\x00"));
        assert_eq!(resize((80, 24)), binary(b"\x04{\"Height\":24,\"Width\":80}"));
    }

    #[test]
    fn what_is_received() {
        let read = |bytes| decode(binary(bytes)).unwrap();
        assert_eq!(read(b"\x01\x01\x00"), Received::Output(Bytes::from_static(b"\x01\x00")));
        assert_eq!(read(b"\x02no"), Received::Errors(Bytes::from_static(b"no")));
        // The streams are opened with empty messages; the server's close messages need no action.
        for nothing in [&b""[..], b"\x01", b"\x02", b"\x03", b"\xff\x01", b"\x07x"] {
            assert_eq!(read(nothing), Received::Nothing, "{nothing:?}");
        }
        assert_eq!(decode(Message::Pong(Bytes::new())).unwrap(), Received::Nothing);
        let Received::End(status) = read(b"\x03{\"status\":\"Success\"}") else {
            panic!("a status");
        };
        assert_eq!(status.status.as_deref(), Some("Success"));
        assert!(decode(binary(b"\x03{")).is_err());
    }
}
