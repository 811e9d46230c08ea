//! Questions to a node's own sockets, and single requests of a client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use api::{Answer, Ask, Command, Status};

use crate::stand_in::mysql;

/// A node that does not answer in this time is asked again later.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the node's agent knows.
pub(crate) fn status(folder: &Path) -> Option<Status> {
    match put(folder, &Ask::Status)? {
        Answer::Status(status) => Some(*status),
        Answer::Event(_)
        | Answer::Why(_)
        | Answer::Under(_)
        | Answer::Intents(_)
        | Answer::Tried(_)
        | Answer::Book(_)
        | Answer::Access(_)
        | Answer::Refused(_) => None,
    }
}

fn put(folder: &Path, ask: &Ask) -> Option<Answer> {
    let mut stream = UnixStream::connect(folder.join("run/control.sock")).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut question = Vec::new();
    api::encode(ask, &mut question);
    question.push(b'\n');
    stream.write_all(&question).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    api::decode(line.trim().as_bytes()).ok()
}

/// Tells the node's agent what an operator would.
///
/// # Errors
/// When it does not answer, or refuses.
pub(crate) fn command(folder: &Path, command: Command) -> std::io::Result<()> {
    match put(folder, &Ask::Command(command)) {
        Some(Answer::Status(_)) => Ok(()),
        Some(Answer::Refused(why)) => Err(std::io::Error::other(why)),
        Some(
            Answer::Event(_)
            | Answer::Why(_)
            | Answer::Under(_)
            | Answer::Intents(_)
            | Answer::Tried(_)
            | Answer::Book(_)
            | Answer::Access(_),
        )
        | None => Err(std::io::Error::other("the agent does not answer")),
    }
}

/// Servers that are up, and all, as the balancer's `show stat` tells.
pub(crate) fn servers(folder: &Path) -> Option<(usize, usize)> {
    let mut stream = UnixStream::connect(folder.join("haproxy.sock")).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"show stat\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(count_servers(&text))
}

fn count_servers(csv: &str) -> (usize, usize) {
    const NAME: usize = 1;
    const STATUS: usize = 17;
    let rows = csv.lines().filter(|line| !line.starts_with('#'));
    let states = rows.filter_map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let is_server = !matches!(*cells.get(NAME)?, "FRONTEND" | "BACKEND");
        is_server.then(|| (*cells.get(STATUS).unwrap_or(&"")).to_owned())
    });
    let states: Vec<String> = states.collect();
    // `UP 1/2` is on its way down.
    let up = states.iter().filter(|state| *state == "UP" || *state == "no check");
    (up.count(), states.len())
}

/// One HTTP request from inside a namespace: the name of the server that answered.
pub(crate) fn api(netns: BorrowedFd<'_>, ip: Ipv4Addr, port: u16) -> Option<String> {
    sys::netns::within(netns, || {
        let mut stream = connect(ip, port)?;
        let request = format!("GET / HTTP/1.1\r\nHost: {ip}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    })
    .ok()?
}

/// One database session from inside a namespace: the name of the server.
pub(crate) fn database(netns: BorrowedFd<'_>, ip: Ipv4Addr, port: u16) -> Option<String> {
    sys::netns::within(netns, || {
        let mut stream = connect(ip, port)?;
        let mut received = Vec::new();
        let mut bytes = [0; 512];
        let server = loop {
            let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
            received.extend_from_slice(&bytes[..count]);
            if let Some(packet) = mysql::take_packet(&mut received) {
                break mysql::server_of(&packet)?;
            }
        };
        stream.write_all(&mysql::login("demo")).ok()?;
        stream.read_exact(&mut bytes[..11]).ok()?;
        stream.write_all(&mysql::command(mysql::QUIT, b"")).ok()?;
        Some(server)
    })
    .ok()?
}

fn connect(ip: Ipv4Addr, port: u16) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((ip, port)), PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_that_are_wholly_up_count() {
        let row = |name: &str, state: &str| format!("api,{name},{}{state},1\n", "0,".repeat(15));
        let csv = format!(
            "# pxname,svname\n{}{}{}{}",
            row("FRONTEND", "OPEN"),
            row("node01", "UP"),
            row("node02", "UP 1/2"),
            row("node03", "DOWN")
        );
        assert_eq!(count_servers(&csv), (1, 3));
    }
}
