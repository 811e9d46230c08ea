//! Servers that do what they are told and keep what they heard.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::bench::{PATIENCE, Reserved};

/// What servers heard, in order: name of the server, then bytes.
pub(crate) type Diary = Arc<Mutex<Vec<String>>>;

pub(crate) struct Origins {
    pub(crate) diary: Diary,
    ports: Vec<(&'static str, u16)>,
    /// Keeps its port from everybody else.
    _dead: Reserved,
}

impl Origins {
    pub(crate) fn start() -> Self {
        let diary = Diary::default();
        let dead = Reserved::new();
        let mut ports = vec![("dead", dead.port)];
        for name in ["s0", "s1", "s2", "mute"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            ports.push((name, listener.local_addr().unwrap().port()));
            let diary = Arc::clone(&diary);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let diary = Arc::clone(&diary);
                    std::thread::spawn(move || drop(serve(stream, name, &diary)));
                }
            });
        }
        Self { diary, ports, _dead: dead }
    }

    pub(crate) fn ports(&self) -> Vec<(&'static str, u16)> {
        self.ports.clone()
    }

    /// What was heard since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.diary.lock().unwrap())
    }
}

/// One connection, until the proxy ends it or the script does.
fn serve(mut stream: TcpStream, name: &str, diary: &Diary) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let note = |what: &[u8]| {
        diary.lock().unwrap().push(format!("{name}: {}", String::from_utf8_lossy(what)));
    };
    let mut seen = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            if !seen.is_empty() {
                note(&seen);
            }
            return Ok(());
        }
        seen.extend_from_slice(&buffer[..count]);
        while let Some(length) = whole(&seen) {
            let request: Vec<u8> = seen.drain(..length).collect();
            note(&request);
            if name == "mute" {
                continue;
            }
            let head = String::from_utf8_lossy(&request).into_owned();
            let word = head.split(' ').nth(1).unwrap_or_default();
            let script = word.rsplit('/').next().unwrap_or_default();
            let (ends, hex) = script.split_at(script.len().min(1));
            if let Some(answer) = decode(hex) {
                stream.write_all(&answer)?;
            }
            if ends != "k" {
                return Ok(());
            }
        }
    }
}

/// Length of the first request with its body, or of one line that is no HTTP.
fn whole(seen: &[u8]) -> Option<usize> {
    let is_http = seen.starts_with(b"GET ")
        || [&b"POST "[..], b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS "]
            .iter()
            .any(|verb| seen.starts_with(verb));
    if !is_http {
        return seen.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
    }
    let head = seen.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&seen[..head]).to_ascii_lowercase();
    let header = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))
    };
    if let Some(length) = header("content-length") {
        let length: usize = length.trim().parse().unwrap_or(0);
        return (seen.len() >= head + length).then_some(head + length);
    }
    if header("transfer-encoding").is_some() {
        let body = &seen[head..];
        let end = body.windows(5).position(|five| five == b"0\r\n\r\n")?;
        return Some(head + end + 5);
    }
    Some(head)
}

fn decode(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
