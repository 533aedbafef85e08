//! How a program in a pod is connected to a pipe so that neither end can be lost without notice.
//!
//! The exec protocol alone is not enough for that. When a connection breaks, the program sees the end of its
//! input: psql would run a statement of which it has read one half, end a `COPY` that is not complete, and
//! commit it. And when the connection between the kubelet and the container runtime breaks, the API server
//! reports that the program succeeded. So the input has frames, and its end is one of them; without it the
//! program is ended. The output ends with a [`Mark`] and the program's exit code.

use std::io::Write as _;

/// Runs a program: `bash -c FEED MARK PROGRAM ARGS...`. It waits for [`START`] first: the connection is opened while it
/// is not known yet whether this is the right pod.
///
/// A frame is a line with its length in decimal, then that many bytes. A length of 0 ends the input. `dd` never
/// reads more than the requested number of bytes; `head` does not guarantee that.
///
/// When the program ends early, `feed` gets another parent process, and must not end that one.
const FEED: &str = r#"
read -r start && [ "$start" = start ] || exit
exec 3<&0
feed() {
  local length program parent
  read -r _ _ _ program _ <"/proc/$BASHPID/stat"
  while read -r -u 3 length; do
    [ "$length" -gt 0 ] || return
    dd bs=64K count="$length" iflag=fullblock,count_bytes <&3 || break
  done
  read -r _ _ _ parent _ <"/proc/$BASHPID/stat"
  [ "$parent" != "$program" ] || kill "$program"
}
(exec "$@" < <(feed 2>/dev/null) 3<&-)
printf '%s%03d' "$0" "$?"
"#;

/// Starts the program.
pub const START: &[u8] = b"start\n";

/// The frame that ends the input.
pub const END: &[u8] = b"0\n";

/// The number of digits of the exit code after a mark.
const DIGITS: usize = 3;

/// The command that runs `program` with frames as its input, and marks its end.
#[must_use]
pub fn command(mark: &Mark, program: Vec<String>) -> Vec<String> {
    let mut argv = ["bash", "-c", FEED].map(str::to_owned).to_vec();
    argv.push(mark.0.clone());
    argv.extend(program);
    argv
}

/// The header of a frame of `length` bytes. A frame is not empty: that would be [`END`].
#[must_use]
pub fn header(length: u64) -> Vec<u8> {
    let mut header = Vec::new();
    // Writing to memory can't fail.
    let _ = writeln!(header, "{length}");
    header
}

/// The word that marks the end of a program's output. It must not occur in the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// A mark that is this word.
    #[must_use]
    pub fn new(word: impl Into<String>) -> Self {
        Self(word.into())
    }

    /// A mark that no program knows.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }
}

/// Takes the mark and the exit code out of a program's output.
#[derive(Debug)]
pub struct Marked {
    mark: Mark,
    /// The end of the output so far, if it may be the beginning of the mark.
    held: Vec<u8>,
    code: Option<i32>,
}

impl Marked {
    /// Looks for this mark.
    #[must_use]
    pub fn new(mark: Mark) -> Self {
        Self { mark, held: Vec::new(), code: None }
    }

    /// Appends the output in `bytes` to `shown`, without the mark.
    pub fn pass(&mut self, bytes: &[u8], shown: &mut Vec<u8>) {
        let from = shown.len();
        shown.append(&mut self.held);
        shown.extend_from_slice(bytes);
        let longest = (shown.len() - from).min(self.mark.0.len() + DIGITS);
        for at in shown.len() - longest..shown.len() {
            if self.begins(&shown[at..]) {
                self.held = shown.split_off(at);
                break;
            }
        }
        if self.held.len() == self.mark.0.len() + DIGITS {
            let digits = String::from_utf8_lossy(&self.held[self.mark.0.len()..]).into_owned();
            self.code = digits.parse().ok();
            self.held.clear();
        }
    }

    /// The exit code, if the output is complete. Otherwise what was held back is output.
    ///
    /// # Errors
    /// The rest of the output of a program whose end is unknown.
    pub fn end(self) -> Result<i32, Vec<u8>> {
        self.code.ok_or(self.held)
    }

    /// Whether the mark, followed by digits, begins with `end`.
    fn begins(&self, end: &[u8]) -> bool {
        let mark = self.mark.0.as_bytes();
        let (word, digits) = end.split_at(end.len().min(mark.len()));
        mark.starts_with(word) && digits.iter().all(u8::is_ascii_digit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

    /// The output that is shown of these parts, and the end.
    fn read(parts: &[&[u8]]) -> (Vec<u8>, Result<i32, Vec<u8>>) {
        let (mut marked, mut shown) = (Marked::new(Mark::new("#end")), Vec::new());
        for part in parts {
            marked.pass(part, &mut shown);
        }
        (shown, marked.end())
    }

    #[test]
    fn the_mark_is_found_however_it_is_cut() {
        let whole = b"a #en\x00\n#end003";
        for first in 0..whole.len() {
            for second in first..whole.len() {
                let parts = [&whole[..first], &whole[first..second], &whole[second..]];
                assert_eq!(read(&parts), (b"a #en\x00\n".to_vec(), Ok(3)), "{first} {second}");
            }
        }
        assert_eq!(read(&[b"#end000"]), (Vec::new(), Ok(0)));
        // A program in the background may write after the end of psql.
        assert_eq!(read(&[b"a#end000", b"late"]), (b"alate".to_vec(), Ok(0)));
    }

    #[test]
    fn without_the_mark_the_output_is_not_complete() {
        assert_eq!(read(&[]), (Vec::new(), Err(Vec::new())));
        assert_eq!(read(&[b"abc"]), (b"abc".to_vec(), Err(Vec::new())));
        assert_eq!(read(&[b"abc#end00"]), (b"abc".to_vec(), Err(b"#end00".to_vec())));
        assert_eq!(read(&[b"#e", b"nd0x"]), (b"#end0x".to_vec(), Err(Vec::new())));
    }

    #[test]
    fn what_may_be_the_mark_is_shown_as_soon_as_it_is_not() {
        let (mut marked, mut shown) = (Marked::new(Mark::new("#end")), Vec::new());
        marked.pass(b"a##", &mut shown);
        assert_eq!(shown, b"a#");
        marked.pass(b"e", &mut shown);
        assert_eq!(shown, b"a#");
        marked.pass(b" ", &mut shown);
        assert_eq!(shown, b"a##e ");
    }

    struct Running {
        child: Child,
        /// `None` once it is closed.
        stdin: Option<ChildStdin>,
        stdout: ChildStdout,
    }

    /// Runs the shell part with another program instead of psql.
    fn run(program: &[&str]) -> Running {
        let program = program.iter().map(|&word| word.to_owned()).collect();
        let argv = command(&Mark::new("#end"), program);
        let mut command = Command::new(&argv[0]);
        let command = command.args(&argv[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut running = Running { child, stdin, stdout };
        running.send(START);
        running
    }

    impl Running {
        fn send(&mut self, bytes: &[u8]) {
            self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
        }

        fn frame(&mut self, bytes: &[u8]) {
            self.send(&header(bytes.len() as u64));
            self.send(bytes);
        }

        /// The whole output.
        fn output(mut self) -> (Vec<u8>, Result<i32, Vec<u8>>) {
            let mut output = Vec::new();
            self.stdout.read_to_end(&mut output).unwrap();
            self.child.wait().unwrap();
            read(&[&output])
        }
    }

    #[test]
    fn frames_arrive_as_they_were_sent() {
        let binary: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        let mut running = run(&["cat"]);
        let sent = [&b"select 1"[..], b"\n0\n5\n", &binary];
        let mut stdin = running.stdin.take().unwrap();
        // `cat` waits while its output is not read.
        let sending = std::thread::spawn({
            let frames =
                sent.map(|bytes| [header(bytes.len() as u64), bytes.to_vec()].concat()).concat();
            move || {
                stdin.write_all(&frames).unwrap();
                stdin.write_all(END).unwrap();
                stdin
            }
        });
        let output = running.output();
        // The input is still open: the older protocol can't close it.
        drop(sending.join().unwrap());
        assert_eq!(output, (sent.concat(), Ok(0)));
    }

    #[test]
    fn a_program_that_is_not_started_does_not_run() {
        let argv = command(&Mark::new("#end"), vec!["echo".to_owned()]);
        let mut command = Command::new(&argv[0]);
        let output = command.args(&argv[1..]).stdin(Stdio::null()).output().unwrap();
        assert_eq!((output.stdout, output.status.code()), (Vec::new(), Some(1)));
    }

    #[test]
    fn a_program_need_not_read_its_input() {
        let mut running = run(&["sh", "-c", "echo no; exit 3"]);
        running.send(b"1000000\n");
        assert_eq!(running.output(), (b"no\n".to_vec(), Ok(3)));
    }

    #[test]
    fn a_program_is_ended_when_its_input_breaks() {
        // It says when it has read its input, and then waits for more, as psql does in the middle of a COPY.
        // At the end of its input it would print `committed`.
        let script = "head -c 3; cat >/dev/null; echo committed";
        for broken in [&b""[..], b"5\n", b"5\nab"] {
            let mut running = run(&["sh", "-c", script]);
            running.frame(b"abc");
            let mut seen = [0; 3];
            running.stdout.read_exact(&mut seen).unwrap();
            running.send(broken);
            running.stdin = None;
            assert_eq!(running.output(), (Vec::new(), Ok(128 + 15)), "{broken:?}");
        }
    }
}
