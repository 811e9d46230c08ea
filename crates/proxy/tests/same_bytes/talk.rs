//! Having a conversation, and what is heard of it on all three sides.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::bench::{Bench, PATIENCE};
use crate::generate::Small;
use crate::origin::Origins;
use crate::scenes::{End, Scene};

#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Heard {
    pub(crate) client: String,
    pub(crate) servers: Vec<String>,
    /// Masked: moments, durations, ports.
    pub(crate) log: Vec<String>,
}

pub(crate) fn have(bench: &Bench, origins: &Origins, small: &Small, scene: &Scene) -> Heard {
    origins.take();
    let client = converse(bench, &small.name, scene);
    let log = lines(bench);
    Heard { client, servers: origins.take(), log }
}

fn converse(bench: &Bench, name: &str, scene: &Scene) -> String {
    let mut stream = TcpStream::connect(bench.at(name)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may be closed already; then that is what is heard.
    drop(stream.write_all(scene.send.as_bytes()));
    if scene.end == End::HalfCloses {
        drop(stream.shutdown(Shutdown::Write));
    }
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break "",
            Ok(count) => heard.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break "<reset>",
            Err(error) => panic!("after {:?}: {error}", String::from_utf8_lossy(&heard)),
        }
    };
    format!("{}{end}", String::from_utf8_lossy(&heard))
}

/// All lines up to that of a request to the fence.
fn lines(bench: &Bench) -> Vec<String> {
    let mut stream = TcpStream::connect(bench.at("fence")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /fence HTTP/1.0\r\n\r\n").unwrap();
    drop(stream.read_to_end(&mut Vec::new()));
    drop(stream);
    let mut lines = Vec::new();
    loop {
        let line = bench.line().expect("the fence is logged");
        if line.contains(" fence fence/<NOSRV> ") {
            return lines;
        }
        lines.push(masked(&line));
    }
}

/// Hides moments, durations, ports and the process. `-1` stays: it says how far a session got.
fn masked(line: &str) -> String {
    let (header, text) = line.split_once("]: ").unwrap();
    let priority = header.split('>').next().unwrap();
    let tag = header.rsplit(' ').next().unwrap().split('[').next().unwrap();
    let mut words: Vec<String> = text.trim_end().split(' ').map(str::to_owned).collect();
    if words[0] == "Connect" {
        (words[2], words[4]) = ("CLIENT".to_owned(), "SERVER".to_owned());
    } else if words.len() > 6 {
        words[0] = "CLIENT".to_owned();
        words[1] = "[DATE]".to_owned();
        let parts = words[4].split('/').map(|part| if part == "-1" { "-1" } else { "T" });
        words[4] = parts.collect::<Vec<_>>().join("/");
    }
    format!("{priority}> {tag} {}", words.join(" "))
}
