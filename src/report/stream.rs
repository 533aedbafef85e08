//! An output stream that tolerates a closed pipe.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::text::as_called;

/// An output stream. After its reader has gone (`pgset render | head`) it drops all output, and the
/// command continues to its normal end.
pub(super) struct Stream {
    out: Option<Box<dyn Write + Send>>,
    /// The error of a lost line, if any.
    lost: Option<io::Error>,
    /// How the user called the program.
    program: &'static str,
}

impl Stream {
    pub(super) fn new(out: impl Write + Send + 'static) -> Self {
        Self { out: Some(Box::new(out)), lost: None, program: "" }
    }

    /// Writes the commands in lines as the user called the program.
    pub(super) fn called(self, program: &'static str) -> Self {
        Self { program, ..self }
    }

    /// Writes a text for people, with the commands in it as the user called the program.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        let program = self.program;
        self.write(&as_called(text, program))
    }

    /// Writes a text unchanged and flushes it. A closed pipe is not an error; a full disk is.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        let Some(out) = self.out.as_mut() else { return Ok(()) };
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.out = None;
                Ok(())
            }
            result => result,
        }
    }

    /// Whether nobody reads the output any more.
    pub(super) fn is_closed(&self) -> bool {
        self.out.is_none()
    }

    /// Writes a line. A failure does not stop the command; [`Stream::take_lost`] reports it at the end.
    pub(super) fn line(&mut self, text: &str) {
        if let Err(error) = self.say(&format!("{text}\n")) {
            self.out = None;
            self.lost = Some(error);
        }
    }

    /// Whether a line was lost.
    pub(super) fn has_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// The error of a lost line, if any. It is returned only once.
    pub(super) fn take_lost(&mut self) -> Option<io::Error> {
        self.lost.take()
    }
}

/// A stream in memory, for tests. Clones share the content.
#[derive(Clone, Debug, Default)]
pub struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    /// The content so far.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(io::ErrorKind, Arc<Mutex<u32>>);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            *self.1.lock().unwrap() += 1;
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_reader_silences_the_stream() {
        let tries = Arc::new(Mutex::new(0));
        let mut stream = Stream::new(Failing(io::ErrorKind::BrokenPipe, Arc::clone(&tries)));
        assert!(stream.write("a").is_ok());
        assert!(stream.write("b").is_ok());
        stream.line("c");
        assert_eq!(*tries.lock().unwrap(), 1);
    }

    #[test]
    fn a_full_disk_is_told() {
        let mut stream = Stream::new(Failing(io::ErrorKind::StorageFull, Arc::default()));
        let error = stream.write("a").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_line_that_is_lost_is_told_once_and_a_reader_that_left_is_not() {
        let mut stream = Stream::new(Failing(io::ErrorKind::StorageFull, Arc::default()));
        stream.line("a");
        stream.line("b");
        assert!(stream.has_lost());
        assert_eq!(stream.take_lost().unwrap().kind(), io::ErrorKind::StorageFull);
        assert!(stream.take_lost().is_none());
        let mut stream = Stream::new(Failing(io::ErrorKind::BrokenPipe, Arc::default()));
        stream.line("a");
        assert!(stream.take_lost().is_none());
    }
}
