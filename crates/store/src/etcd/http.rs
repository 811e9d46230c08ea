//! As much of HTTP/1.1 as etcd's gateway needs: one question per connection, bounded answers.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::account::Member;
use super::watching::SILENT;
use crate::transport::Duplex;

pub(super) const WATCH: &str = "/v3/watch";

/// Of an answer's head.
const MAX_HEAD: usize = 16 << 10;
/// Of an answer, or of one line of a watch: a transaction's answer in base64, and room.
const MAX_BODY: usize = 64 << 20;
const HEADERS: usize = 32;
/// Of the line before a chunk: its length, and what else may stand there.
const MAX_CHUNK_LINE: usize = 1 << 10;
/// By then there is a connection and its handshake is over, or another member is asked.
const CONNECT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Broken {
    NotSent,
    /// TLS does not come about, and why; nothing was done.
    Refused(String),
    Lost,
}

/// Whom to ask, and how: `tls` where the member has a name.
#[derive(Clone)]
pub(super) struct To<'a> {
    pub(super) member: &'a Member,
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) token: Option<&'a str>,
}

impl std::fmt::Debug for To<'_> {
    /// Without the token, which is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("To").field("member", &self.member).finish_non_exhaustive()
    }
}

/// The body of an answer, as it comes.
pub(super) struct Stream {
    socket: Box<dyn Duplex>,
    /// Came and was not taken yet.
    raw: Vec<u8>,
    length: Length,
    body: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Length {
    Known(usize),
    Chunked,
}

/// The status of an answer; its body comes as it is read.
pub(super) async fn stream(to: &To<'_>, path: &str, body: &Value) -> Result<(u16, Stream), Broken> {
    let connected = timeout(CONNECT, connect(to)).await;
    let socket = connected.map_err(|_| Broken::NotSent)??;
    ask(socket, to, path, body).await.map_err(lost)
}

async fn connect(to: &To<'_>) -> Result<Box<dyn Duplex>, Broken> {
    let not_sent = |_| Broken::NotSent;
    let socket = TcpStream::connect(&to.member.address).await.map_err(not_sent)?;
    socket.set_nodelay(true).map_err(not_sent)?;
    // Silence is no end of a connection that waits; this makes it one.
    sys::socket::keep_alive_every(socket.as_fd(), SILENT).map_err(not_sent)?;
    sys::socket::give_up_after(socket.as_fd(), SILENT).map_err(not_sent)?;
    match (&to.member.name, &to.tls) {
        (Some(name), Some(tls)) => {
            let connector = TlsConnector::from(Arc::clone(tls));
            let stream = connector.connect(name.clone(), socket).await;
            let refused = |error| refusal(&error).map_or(Broken::NotSent, Broken::Refused);
            Ok(Box::new(stream.map_err(refused)?))
        }
        (None, _) => Ok(Box::new(socket)),
        (Some(_), None) => Err(Broken::Refused("`https` needs ca_file".to_owned())),
    }
}

/// After the question has left. A client's certificate is judged then, too, and who refuses it does not
/// read the question; whatever else goes wrong, it may have been read and done.
fn lost(error: io::Error) -> Broken {
    if !is_about_the_certificate(&error) {
        return Broken::Lost;
    }
    refusal(&error).map_or(Broken::Lost, Broken::Refused)
}

fn is_about_the_certificate(error: &io::Error) -> bool {
    use rustls::AlertDescription as Alert;
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    let Some(rustls::Error::AlertReceived(alert)) = error else { return false };
    [
        Alert::BadCertificate,
        Alert::UnsupportedCertificate,
        Alert::CertificateRevoked,
        Alert::CertificateExpired,
        Alert::CertificateUnknown,
        Alert::CertificateRequired,
        Alert::UnknownCA,
    ]
    .contains(alert)
}

fn refusal(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(if let rustls::Error::AlertReceived(alert) = error {
        format!("it refuses the certificate of this client ({alert:?}): see cert_file")
    } else if let rustls::Error::InvalidCertificate(why) = error {
        format!("its certificate is not believed ({why}): see ca_file")
    } else {
        format!("TLS fails: {error}")
    })
}

async fn ask(
    mut socket: Box<dyn Duplex>,
    to: &To<'_>,
    path: &str,
    body: &Value,
) -> io::Result<(u16, Stream)> {
    let body = body.to_string();
    let token = to.token.map_or_else(String::new, |token| format!("Authorization: {token}\r\n"));
    // Else a member that is cut off from the others would let a watch stand and tell nothing.
    let leader = if path == WATCH { "Grpc-Metadata-hasleader: true\r\n" } else { "" };
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{token}\
         {leader}Content-Length: {}\r\nConnection: close\r\n\r\n",
        to.member.address,
        body.len()
    );
    socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
    socket.flush().await?;
    answer(socket).await
}

/// The status of what comes, and the rest of it.
pub(super) async fn answer(mut socket: Box<dyn Duplex>) -> io::Result<(u16, Stream)> {
    let mut raw = vec![];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&raw).map_err(io::Error::other)?;
        if let httparse::Status::Complete(end) = parsed
            && end <= MAX_HEAD
        {
            let status = response.code.unwrap_or(0);
            let length = length(response.headers)?;
            raw.drain(..end);
            return Ok((status, Stream { socket, raw, length, body: vec![] }));
        }
        if raw.len() > MAX_HEAD || socket.read_buf(&mut raw).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn length(headers: &[httparse::Header<'_>]) -> io::Result<Length> {
    let value = |name: &str| {
        let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        str::from_utf8(header.value).ok()
    };
    if value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return Ok(Length::Chunked);
    }
    let length = value("content-length").and_then(|value| value.trim().parse().ok());
    match length {
        Some(length) if length <= MAX_BODY => Ok(Length::Known(length)),
        Some(_) | None => Err(io::Error::other("an answer without a length, or too long")),
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Stream {
    /// As if this line had not been taken yet.
    pub(super) fn again(mut self, line: String) -> Self {
        self.body.splice(..0, line.into_bytes().into_iter().chain([b'\n']));
        self
    }

    /// All of it.
    pub(super) async fn rest(mut self) -> Result<Vec<u8>, Broken> {
        while self.more().await.map_err(lost)? {}
        Ok(self.body)
    }

    /// Takes the next part of the body; false at its end.
    async fn more(&mut self) -> io::Result<bool> {
        match self.length {
            Length::Known(0) => Ok(false),
            Length::Known(rest) => {
                self.fill(1).await?;
                let part = self.raw.len().min(rest);
                self.body.extend(self.raw.drain(..part));
                self.length = Length::Known(rest - part);
                Ok(rest > part)
            }
            Length::Chunked => {
                let end = loop {
                    let line = &self.raw[..self.raw.len().min(MAX_CHUNK_LINE)];
                    if let Some(end) = line.windows(2).position(|two| two == b"\r\n") {
                        break end;
                    }
                    if line.len() == MAX_CHUNK_LINE {
                        return Err(io::Error::other("a chunk without a length"));
                    }
                    self.fill(self.raw.len() + 1).await?;
                };
                let line = str::from_utf8(&self.raw[..end]).map_err(io::Error::other)?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
                if size > MAX_BODY || self.body.len() + size > MAX_BODY {
                    return Err(io::Error::other("an answer that is too long"));
                }
                self.fill(end + 2 + size + 2).await?;
                self.body.extend(&self.raw[end + 2..end + 2 + size]);
                self.raw.drain(..end + 2 + size + 2);
                if size == 0 {
                    self.length = Length::Known(0);
                }
                Ok(size > 0)
            }
        }
    }

    /// Reads until that many bytes have come.
    async fn fill(&mut self, length: usize) -> io::Result<()> {
        while self.raw.len() < length {
            if self.socket.read_buf(&mut self.raw).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// The next line of a body that does not end.
    pub(super) async fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut is_over = false;
        loop {
            if let Some(end) = self.body.iter().position(|byte| *byte == b'\n') {
                return Ok(self.body.drain(..=end).collect());
            }
            if is_over {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // The last part of a body that ends may have lines, too.
            is_over = !self.more().await?;
        }
    }
}
