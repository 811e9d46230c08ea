//! A connection to a receiver, with or without TLS: the whole of a delivery has a deadline, and a number of bytes that
//! are read at most, whatever is on the way between this and the socket.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::Time;
use config::cluster::{Place, usual_authorities};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Replies are lines.
const BUFFER: usize = 4096;
/// Of a whole delivery: a chain of certificates is some kilobytes, an answer one.
const MOST_READ: usize = 256 * 1024;

enum Kind {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

/// What every byte of a delivery goes through. A library of TLS reads as often as it likes for one answer, and each of
/// these reads would have all the time that the first one had.
struct Socket {
    stream: TcpStream,
    until: Time,
    /// Bytes that may still be read.
    left: usize,
}

impl Socket {
    /// # Errors
    /// With [`io::ErrorKind::TimedOut`] when the time is up.
    fn rest(&self) -> io::Result<Duration> {
        let rest = self.until.since(sys::clock::now());
        if rest.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(rest) }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.rest()?))?;
        if self.left == 0 {
            let why = format!("it says more than {MOST_READ} bytes");
            return Err(io::Error::other(why));
        }
        let most = buffer.len().min(self.left);
        let length = self.stream.read(&mut buffer[..most])?;
        self.left -= length;
        Ok(length)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.rest()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

pub(super) struct Line {
    kind: Kind,
    limit: Duration,
    buffer: Vec<u8>,
}

impl Line {
    /// Each address of the name is tried, in the time for all of it.
    pub(super) fn open(place: &Place, limit: Duration) -> Result<Self, String> {
        let until = sys::clock::now() + limit;
        let found = (place.host.as_str(), place.port).to_socket_addrs();
        let found =
            found.map_err(|error| format!("nobody knows the name {}: {error}", place.host))?;
        let mut last = format!("{} has no address", place.host);
        for address in found {
            let rest = until.since(sys::clock::now());
            if rest.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(&address, rest) {
                Ok(stream) => {
                    // It only makes it slower.
                    let _ = stream.set_nodelay(true);
                    let kind = Kind::Plain(Socket { stream, until, left: MOST_READ });
                    return Ok(Self { kind, limit, buffer: vec![0; BUFFER] });
                }
                Err(error) => last = format!("cannot connect to {address}: {}", said(&error)),
            }
        }
        Err(last)
    }

    /// The same with TLS from here on.
    pub(super) fn secured(self, place: &Place, authorities: Option<&Path>) -> Result<Self, String> {
        let Self { kind, limit, buffer } = self;
        let Kind::Plain(stream) = kind else { return Err("there is TLS already".to_owned()) };
        let name = ServerName::try_from(place.host.clone());
        let name = name.map_err(|_| format!("{} can stand in no certificate", place.host))?;
        let client = ClientConnection::new(client(authorities)?, name);
        let client = client.map_err(|error| format!("TLS cannot begin: {error}"))?;
        let kind = Kind::Tls(Box::new(StreamOwned::new(client, stream)));
        let mut line = Self { kind, limit, buffer };
        // The handshake, so that what is wrong with it is not taken for an answer.
        line.write(b"")?;
        Ok(line)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let outcome = match &mut self.kind {
            Kind::Plain(stream) => stream.write_all(bytes),
            Kind::Tls(stream) => {
                shake(stream).and_then(|()| stream.write_all(bytes)).and_then(|()| stream.flush())
            }
        };
        outcome.map_err(|error| self.broken(&error))
    }

    /// Empty: the other side has ended it.
    pub(super) fn read(&mut self) -> Result<&[u8], String> {
        let outcome = match &mut self.kind {
            Kind::Plain(stream) => stream.read(&mut self.buffer),
            Kind::Tls(stream) => stream.read(&mut self.buffer),
        };
        match outcome {
            Ok(length) => Ok(&self.buffer[..length]),
            // Many end without the word of TLS for it; what was said is judged by itself.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(&[]),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn late(&self) -> String {
        format!("it does not answer within {:?}", self.limit)
    }

    fn broken(&self, error: &io::Error) -> String {
        let is_late = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind());
        if is_late { self.late() } else { said(error) }
    }
}

fn shake(stream: &mut StreamOwned<ClientConnection, Socket>) -> io::Result<()> {
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(())
}

/// What a library of TLS says is inside.
fn said(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("its certificate is not believed ({why}): see ca_file")
        }
        Some(error) => format!("TLS fails: {error}"),
        None => error.to_string(),
    }
}

fn client(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let path = authorities.map_or_else(usual_authorities, Path::to_owned);
    let failed = |why: String| format!("cannot use ca_file {}: {why}", path.display());
    let mut roots = RootCertStore::empty();
    let read = CertificateDer::pem_file_iter(&path).map_err(|error| failed(error.to_string()))?;
    let all = read.collect::<Result<Vec<_>, _>>().map_err(|error| failed(error.to_string()))?;
    // Of those of a system some are of forms that nobody uses any more.
    if roots.add_parsable_certificates(all).0 == 0 {
        return Err(failed("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        // Mail servers of many houses speak no later one than 1.2.
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests;
