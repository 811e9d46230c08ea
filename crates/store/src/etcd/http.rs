//! As much of HTTP/1.1 as etcd's gateway needs: one question per connection, bounded answers.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Of an answer's head.
const MAX_HEAD: usize = 16 << 10;
/// Of an answer, or of one line of a watch: a transaction's answer in base64, and room.
const MAX_BODY: usize = 64 << 20;
const HEADERS: usize = 32;

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug)]
pub(super) enum Broken {
    NotSent,
    Lost,
}

/// The body of an answer, as it comes.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
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

pub(super) async fn post(
    member: &str,
    path: &str,
    body: &Value,
    token: Option<&str>,
) -> Result<Answer, Broken> {
    let socket = TcpStream::connect(member).await.map_err(|_| Broken::NotSent)?;
    let (status, mut stream) =
        ask(socket, member, path, body, token).await.map_err(|_| Broken::Lost)?;
    while stream.more().await.map_err(|_| Broken::Lost)? {}
    Ok(Answer { status, body: stream.body })
}

pub(super) async fn stream(
    member: &str,
    path: &str,
    body: &Value,
    token: Option<&str>,
) -> io::Result<Stream> {
    let socket = TcpStream::connect(member).await?;
    let (status, stream) = ask(socket, member, path, body, token).await?;
    if status == 200 { Ok(stream) } else { Err(io::Error::other(format!("status {status}"))) }
}

async fn ask(
    mut socket: TcpStream,
    member: &str,
    path: &str,
    body: &Value,
    token: Option<&str>,
) -> io::Result<(u16, Stream)> {
    socket.set_nodelay(true)?;
    let body = body.to_string();
    let token = token.map_or_else(String::new, |token| format!("Authorization: {token}\r\n"));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {member}\r\nContent-Type: application/json\r\n{token}\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
    let mut raw = vec![];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&raw).map_err(io::Error::other)?;
        if let httparse::Status::Complete(end) = parsed {
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

impl Stream {
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
                    if let Some(end) = self.raw.windows(2).position(|two| two == b"\r\n") {
                        break end;
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
        loop {
            if let Some(end) = self.body.iter().position(|byte| *byte == b'\n') {
                return Ok(self.body.drain(..=end).collect());
            }
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
