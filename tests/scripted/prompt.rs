//! Answers to questions on a terminal.

use super::{pgset, up};
use crate::support::server::Server;
use crate::support::terminal::Terminal;

const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

#[tokio::test]
async fn every_no_ends_the_command_before_anything_is_changed() {
    let server = Server::start().await;
    up(&server).run().await.ok();
    server.forget();
    let no = ("cancelled, nothing was changed", 4);
    for (line, question, keys, (message, code)) in [
        ("down", "[y/N]", CTRL_D, no),
        ("down", "[y/N]", "n\r", no),
        ("down", "[y/N]", "No\r", no),
        ("down", "[y/N]", "\r", no),
        // Another answer is asked for.
        ("down", "[y/N]", "maybe\rn\r", no),
        ("down", "[y/N]", CTRL_C, ("interrupted", 130)),
        ("down", "[y/N]", "ye\u{3}", ("interrupted", 130)),
        ("down --delete-data", "set's name", CTRL_D, no),
        ("down --delete-data", "set's name", "other\r", no),
    ] {
        let call = pgset(&server, line);
        let Some(mut terminal) = Terminal::run(&call.shell_line()) else {
            eprintln!("no `script`: not tested");
            return;
        };
        let mut seen = 0;
        terminal.shows(&mut seen, question).await;
        terminal.types(keys).await;
        terminal.shows(&mut seen, message).await;
        assert_eq!(terminal.ends().await, Some(code), "{line} {keys:?}");
    }
    assert_eq!(server.writes(), []);
}
