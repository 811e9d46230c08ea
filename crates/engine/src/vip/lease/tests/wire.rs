use proptest::prelude::*;

use super::beat::{Entry, Head, MAX_ENTRIES, print_again, read, write};
use super::*;
use crate::vip::Group;

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (any::<(u8, u32, bool, u64)>(), 0..4_u8, any::<Option<u16>>());
    let entry = entry.prop_map(|((router_id, key, grants, term), stand, successor)| Entry {
        group: Group { router_id, key },
        stand: [Stand::Unfit, Stand::Fit, Stand::Candidate, Stand::Holder][usize::from(stand)],
        grants,
        successor: successor.filter(|node| *node != u16::MAX),
        term,
    });
    prop::collection::vec(entry, 0..=MAX_ENTRIES)
}

fn head() -> impl Strategy<Value = Head> {
    let tenths = |most: u32| (1..=most).prop_map(|tenths| Duration::from_micros(100) * tenths);
    let words = (1..u64::MAX, any::<(u64, u64)>(), any::<(bool, bool, Option<u64>, u32)>());
    (words, tenths(65535), tenths(2000)).prop_map(
        |((serial, (acked_life, acked_serial), (silent, closed, store, list)), beat, span)| {
            let number = store.map(|store| Epoch::Number(Number { store, list }));
            let epoch = number.unwrap_or(Epoch::Hash(list));
            Head { silent, closed, epoch, beat, span, serial, acked_life, acked_serial }
        },
    )
}

proptest! {
    #[test]
    fn what_was_written_is_read(head in head(), entries in entries(), more in any::<[u8; 3]>()) {
        let mut out = [0; MAX_BODY];
        let length = write(&head, entries.iter().copied(), &mut out);
        prop_assert_eq!(length, 48 + 16 * entries.len());
        // What a later version appends is ignored.
        out[length..length + 3].copy_from_slice(&more);
        let beat = read(&out[..length + 3]).expect("it was written");
        prop_assert_eq!(beat.head, head);
        prop_assert_eq!(beat.entries().collect::<Vec<_>>(), entries);
        for short in 0..length {
            prop_assert!(read(&out[..short]).is_none(), "{} of {} bytes", short, length);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_the_same_again(
        bytes in prop::collection::vec(any::<u8>(), 0..MAX_BODY),
        (version, head, entry) in (0..3_u8, 46..58_u8, 14..20_u8),
    ) {
        let mut likely = bytes.clone();
        for (to, from) in likely.iter_mut().zip([version, 0, head, entry]) {
            *to = from;
        }
        for bytes in [bytes, likely] {
            if let Some(again) = print_again(&bytes) {
                prop_assert!(again.len() <= bytes.len());
                prop_assert_eq!(print_again(&again), Some(again));
            }
            let mut machine = VipLease::new(&config(0), Time::ZERO);
            for from in [0, 1, 2, 9] {
                let mut out = Buffer::new();
                machine.step(ms(300), Input::Beat { from, life: 1, body: &bytes }, &mut out);
                prop_assert_eq!(out.lost(), 0);
            }
            prop_assert_eq!(machine.until(0), Time::ZERO);
        }
    }
}

#[test]
fn longer_heads_and_entries_of_a_later_version_are_skipped() {
    let mut trio = Trio::held();
    trio.run(300);
    let mut body = [0; MAX_BODY];
    let length = trio.machines[0].beat(1, &mut body);
    let mut longer = body[..48].to_vec();
    longer.extend([7; 5]);
    longer.extend(&body[48..length]);
    longer.extend([7; 2]);
    (longer[2], longer[3]) = (53, 18);
    let (new, old) = (read(&longer).unwrap(), read(&body[..length]).unwrap());
    assert_eq!(new.head, old.head);
    assert_eq!(new.entries().collect::<Vec<_>>(), old.entries().collect::<Vec<_>>());
}

#[test]
fn other_versions_and_senseless_numbers_are_dropped() {
    let trio = Trio::held();
    let mut body = [0; MAX_BODY];
    let length = trio.machines[0].beat(1, &mut body);
    assert!(read(&body[..length]).is_some());
    for (at, value, what) in [
        (0, 2, "version"),
        (2, 47, "head"),
        (3, 15, "entry"),
        (4, 2, "more entries than bytes"),
        (4, 65, "more entries than there can be"),
        (12, 0x08, "a vip lease of more than 200 ms"),
        (49, 4, "stand"),
        (49, 0x23, "stand"),
    ] {
        let mut bad = body;
        bad[at] = value;
        assert!(read(&bad[..length]).is_none(), "{what}");
    }
    let mut never = body;
    never[16..24].fill(0);
    assert!(read(&never[..length]).is_none(), "no beat has number 0");
    let mut nothing = body;
    nothing[12..14].fill(0);
    assert!(read(&nothing[..length]).is_none(), "a vip lease of no time");
}

#[test]
fn as_many_addresses_as_there_can_be_fit_one_packet() {
    let seats = (0..=u8::try_from(MAX_SEATS).unwrap()).map(seat).collect();
    let machine = VipLease::new(&Config { seats, ..config(0) }, Time::ZERO);
    let mut body = [0; MAX_BODY];
    assert_eq!(machine.beat(1, &mut body), 48 + 16 * MAX_SEATS);
    assert_eq!(machine.beat(3, &mut body), 0, "no such node");
    assert_eq!(machine.view(MAX_SEATS), None);
}
