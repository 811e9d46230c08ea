//! The beat of a vip process keeps its bytes, and the page of packets shows them.

mod golden;

use std::time::Duration;

use outlast_engine::packet::MAX_BODY;
use outlast_engine::vip::Group;
use outlast_engine::vip::lease::beat::{Entry, Head, print_again, read, write};
use outlast_engine::vip::lease::ears::{Heard, Hears};
use outlast_engine::vip::lease::{Epoch, Number, Reach, Stand};

fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(20).map(|line| {
        let mut text: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push('\n');
        text
    });
    lines.collect()
}

#[test]
fn a_vip_beat_keeps_its_bytes_and_the_page_of_packets_shows_them() {
    let mut hears = Hears::nobody(2);
    hears.set(0, Heard { on: 0b100, young: 0b100 });
    hears.set(1, Heard { on: 0b101, young: 0b001 });
    let head = Head {
        silent: false,
        closed: true,
        leaving: false,
        alone: false,
        epoch: Epoch::Number(Number { store: 1_764_000_000_000, list: 7 }),
        wish: Duration::from_millis(10),
        beat: Duration::from_millis(10),
        span: Duration::from_millis(35),
        serial: 4660,
        acked_life: 1_700_000_000_000,
        acked_serial: 258,
        hears,
        reach: Reach { reached: 0b01, unreached: 0b10 },
        leads: false,
        joined: 0,
    };
    let entries = [
        Entry {
            group: Group { router_id: 121, key: 0xdead_beef },
            stand: Stand::Fit,
            grants: true,
            successor: None,
            stays: false,
            barred: false,
            term: 9,
        },
        Entry {
            group: Group { router_id: 122, key: 0x0bad_cafe },
            stand: Stand::Candidate,
            grants: false,
            successor: Some(2),
            stays: false,
            barred: false,
            term: 10,
        },
    ];
    let mut out = [0; MAX_BODY];
    let length = write(&head, entries.iter().copied(), &mut out);
    let bytes = &out[..length];
    golden::keeps("vip-beat-1.txt", hex(bytes).as_bytes());
    let beat = read(bytes).unwrap();
    assert_eq!(beat.head, head);
    assert_eq!(beat.entries().collect::<Vec<_>>(), entries);
    assert_eq!(print_again(bytes).unwrap(), bytes);
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(page.join("../../docs/reference/packets.md")).unwrap();
    assert!(page.contains(&hex(bytes)), "the page shows another beat");
    // A release that does not know machines reads the head as long as it knows it, and what follows where that says.
    let named = Head { joined: 1_750_000_000_000, ..head };
    let length = write(&named, entries.iter().copied(), &mut out);
    let bytes = &out[..length];
    golden::keeps("vip-beat-1-of-a-machine.txt", hex(bytes).as_bytes());
    assert_eq!(read(bytes).unwrap().head, named);
    assert_eq!(print_again(bytes).unwrap(), bytes);
}
