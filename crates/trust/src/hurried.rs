//! A stream that is given up after a while, however slowly its other side speaks.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base::Time;

/// A whole conversation takes a tenth of this; who is slower holds one place for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A stream that ends when the patience with its other side does.
pub(crate) struct Hurried {
    pub(crate) stream: TcpStream,
    until: Time,
}

impl Hurried {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, until: sys::clock::now() + PATIENCE }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.since(sys::clock::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for Hurried {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Hurried {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
