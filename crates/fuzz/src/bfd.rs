//! Packets of BFD: what is read and written again is the same, and no session is talked into anything that ends it.

use std::time::Duration;

use base::Time;
use engine::Buffer;
use engine::bfd::packet::{Control, LENGTH};
use engine::bfd::{Action, Config, Input, Session};

const MILLISECOND: Duration = Duration::from_millis(1);
/// A session may answer each packet, tell of it, and send its own.
const MOST: usize = 3;

/// The bytes are packets, one after the other, each a millisecond to 256 after the one before.
pub(crate) fn packets(bytes: &[u8]) {
    let config = Config {
        number: 1,
        min_rx: MILLISECOND * 10,
        min_tx: MILLISECOND * 10,
        idle_tx: MILLISECOND * 1000,
        multiplier: 3,
        passive: bytes.first().is_some_and(|first| first & 1 == 1),
    };
    let mut now = Time::ZERO;
    let mut session = Session::new(config, 7, now);
    let mut out = Buffer::new();
    let mut up = false;
    for piece in bytes.get(1..).unwrap_or_default().chunks(LENGTH + 1) {
        now += MILLISECOND * (u32::from(piece[0]) + 1);
        out.clear();
        session.step(now, Input::Timeout, &mut out);
        judge(&session, &mut up, now, &out);
        let Ok(packet) = Control::decode(&piece[1..]) else { continue };
        assert_eq!(Control::decode(&packet.encode()), Ok(packet));
        out.clear();
        session.step(now, Input::Packet(packet), &mut out);
        judge(&session, &mut up, now, &out);
    }
    let _read = Control::decode(bytes).map(|packet| packet.encode());
}

fn judge(session: &Session, up: &mut bool, now: Time, out: &Buffer<Action>) {
    assert!(out.len() <= MOST);
    for action in out.iter() {
        match action {
            Action::Send(packet) => assert_eq!(Control::decode(&packet.encode()), Ok(*packet)),
            Action::Report { up: told } => {
                assert_ne!(*told, *up, "it is told what is so already");
                *up = *told;
            }
        }
    }
    assert_eq!(session.is_up(), *up);
    assert!(session.deadline() > now, "it waits for a moment that is over");
}
