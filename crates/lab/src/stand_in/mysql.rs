//! As much of the MySQL protocol as a check and a ping need (protocol version 10, 4.1 login).

/// First byte of a command.
pub(crate) const QUIT: u8 = 0x01;
pub(crate) const QUERY: u8 = 0x03;
pub(crate) const PING: u8 = 0x0e;

/// What a server calls itself before its node's name.
const VERSION: &str = "8.0.19-";
/// The longest packet of this conversation; a longer one is not ours.
const MAX_PACKET: usize = 4096;

/// Takes the first whole packet out of `received`: its payload.
pub(crate) fn take_packet(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = packet_length(received)?;
    let whole = 4 + length;
    if received.len() < whole {
        return None;
    }
    let payload = received[4..whole].to_vec();
    received.drain(..whole);
    Some(payload)
}

/// Whether what begins here can be a packet of this conversation.
pub(crate) fn is_too_long(received: &[u8]) -> bool {
    packet_length(received).is_some_and(|length| length > MAX_PACKET)
}

fn packet_length(received: &[u8]) -> Option<usize> {
    let head: [u8; 4] = received.get(..4)?.try_into().ok()?;
    Some(usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16)
}

fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_le_bytes();
    let mut bytes = vec![length[0], length[1], length[2], sequence];
    bytes.extend_from_slice(payload);
    bytes
}

/// The server's first packet; the version carries the node's name.
pub(crate) fn greeting(node: &str, connection: u32) -> Vec<u8> {
    let mut payload = vec![10];
    payload.extend_from_slice(VERSION.as_bytes());
    payload.extend_from_slice(node.as_bytes());
    payload.push(0);
    payload.extend_from_slice(&connection.to_le_bytes());
    payload.extend_from_slice(b"12345678\0");
    // Long password, connect with database, protocol 4.1, secure connection.
    payload.extend_from_slice(&0xf7ff_u16.to_le_bytes());
    payload.extend_from_slice(&[33, 2, 0]);
    payload.extend_from_slice(&0x0008_u16.to_le_bytes());
    payload.push(21);
    payload.extend_from_slice(&[0; 10]);
    payload.extend_from_slice(b"123456789012\0mysql_native_password\0");
    packet(0, &payload)
}

/// The node's name in a greeting.
pub(crate) fn server_of(greeting: &[u8]) -> Option<String> {
    let text = greeting.strip_prefix(&[10])?;
    let end = text.iter().position(|b| *b == 0)?;
    let version = std::str::from_utf8(&text[..end]).ok()?;
    version.strip_prefix(VERSION).map(str::to_owned)
}

/// The client's answer to the greeting, without a password.
pub(crate) fn login(user: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    // Long password, protocol 4.1, transactions, secure connection.
    payload.extend_from_slice(&0x0000_a201_u32.to_le_bytes());
    payload.extend_from_slice(&0x0100_0000_u32.to_le_bytes());
    payload.push(33);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(user.as_bytes());
    payload.extend_from_slice(&[0, 0]);
    packet(1, &payload)
}

pub(crate) fn ok(sequence: u8) -> Vec<u8> {
    packet(sequence, &[0, 0, 0, 2, 0, 0, 0])
}

pub(crate) fn command(code: u8, argument: &[u8]) -> Vec<u8> {
    let mut payload = vec![code];
    payload.extend_from_slice(argument);
    packet(0, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_names_its_node() {
        let mut bytes = greeting("node02", 7);
        let payload = take_packet(&mut bytes).unwrap();
        assert_eq!(server_of(&payload).as_deref(), Some("node02"));
        assert!(bytes.is_empty());
    }

    #[test]
    fn packets_wait_until_they_are_whole() {
        let whole = command(QUERY, b"select 1");
        let mut part = whole[..6].to_vec();
        assert_eq!(take_packet(&mut part), None);
        part.extend_from_slice(&whole[6..]);
        part.extend_from_slice(&whole);
        assert_eq!(take_packet(&mut part).unwrap()[0], QUERY);
        assert_eq!(part, whole);
    }
}
