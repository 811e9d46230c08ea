use proptest::prelude::*;

use super::beat::{Entry, Head, MAX_ENTRIES, print_again, read, write};
use super::ears::{Heard, Hears};
use super::*;
use crate::packet::MAX_NETWORKS;
use crate::vip::Group;

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (any::<(u8, u32, bool, bool, u64)>(), 0..4_u8, any::<Option<u16>>());
    let entry = entry.prop_map(|((router_id, key, grants, stays, term), stand, successor)| Entry {
        group: Group { router_id, key },
        stand: [Stand::Unfit, Stand::Fit, Stand::Candidate, Stand::Holder][usize::from(stand)],
        grants,
        successor: successor.filter(|node| *node < 0x7ffe),
        stays,
        barred: stand == 0 && successor.is_none() && !stays && term % 2 == 1,
        term,
    });
    prop::collection::vec(entry, 0..=MAX_ENTRIES)
}

fn head() -> impl Strategy<Value = Head> {
    let tenths = |most: u32| (1..=most).prop_map(|tenths| Duration::from_micros(100) * tenths);
    let words = (
        1..u64::MAX,
        any::<(u64, u64, u8, u8)>(),
        any::<(bool, bool, bool, bool, bool, Option<u64>, u32)>(),
    );
    let masks = prop::collection::vec(any::<(u32, u32)>(), 0..=MAX_NETWORKS);
    let joined = prop_oneof![Just(0), any::<u64>()];
    let beats = (tenths(65535), prop::option::of(tenths(65535)), joined);
    (words, beats, tenths(2000), masks).prop_map(
        |(
            (
                serial,
                (acked_life, acked_serial, reached, unreached),
                (silent, closed, leaving, alone, leads, store, list),
            ),
            (beat, wish, joined),
            span,
            masks,
        )| {
            let number = store.map(|store| Epoch::Number(Number { store, list }));
            let epoch = number.unwrap_or(Epoch::Hash(list));
            let mut hears = Hears::nobody(u8::try_from(masks.len()).unwrap());
            (0..)
                .zip(masks)
                .for_each(|(network, (on, young))| hears.set(network, Heard { on, young }));
            let reach = Reach { reached, unreached };
            Head {
                silent,
                closed,
                leaving,
                alone,
                epoch,
                wish: wish.unwrap_or(beat),
                beat,
                span,
                serial,
                acked_life,
                acked_serial,
                hears,
                reach,
                leads,
                joined,
            }
        },
    )
}

proptest! {
    #[test]
    fn what_was_written_is_read(head in head(), entries in entries(), more in any::<[u8; 3]>()) {
        let mut out = [0; MAX_BODY];
        let length = write(&head, entries.iter().copied(), &mut out);
        let joined = if head.joined == 0 { 0 } else { 8 };
        let wish = if head.wish == head.beat && joined == 0 { 0 } else { 2 };
        let of_head = 48 + 8 * usize::from(head.hears.networks()) + wish + joined;
        prop_assert_eq!(length, of_head + 16 * entries.len());
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
        (version, head, entry) in (0..3_u8, 46..120_u8, 14..20_u8),
        (entries, networks) in (0..4_u8, 0..10_u8),
    ) {
        let mut likely = bytes.clone();
        for (to, from) in likely.iter_mut().zip([version, 0, head, entry, entries, networks]) {
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
                let beat = Input::Beat { network: 0, from, life: 1, body: &bytes };
                machine.step(ms(300), beat, &mut out);
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
    let mut longer = body[..64].to_vec();
    longer.extend([0, 20, 7, 7, 7]);
    longer.extend(&body[64..length]);
    longer.extend([7; 2]);
    (longer[2], longer[3]) = (69, 18);
    let (new, old) = (read(&longer).unwrap(), read(&body[..length]).unwrap());
    assert_eq!(new.head, Head { wish: Duration::from_millis(2), ..old.head });
    assert_eq!(new.entries().collect::<Vec<_>>(), old.entries().collect::<Vec<_>>());
}

/// As a release before this one sent it.
#[test]
fn a_beat_that_says_nothing_about_networks_is_read() {
    let mut trio = Trio::held();
    trio.run(300);
    let mut body = [0; MAX_BODY];
    let length = trio.machines[0].beat(1, &mut body);
    let mut older = [&body[..48], &body[64..length]].concat();
    (older[2], older[5]) = (48, 0);
    let (new, old) = (read(&body[..length]).unwrap(), read(&older).unwrap());
    assert_eq!(old.head, Head { hears: Hears::default(), ..new.head });
    assert_eq!(new.entries().collect::<Vec<_>>(), old.entries().collect::<Vec<_>>());
    assert_eq!(print_again(&older).unwrap(), older);
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
        (2, 63, "a head without all networks"),
        (5, 3, "a head without all networks"),
        (5, 9, "more networks than there can be"),
        (3, 15, "entry"),
        (4, 2, "more entries than bytes"),
        (4, 65, "more entries than there can be"),
        (12, 0x08, "a vip lease of more than 200 ms"),
        (65, 4, "stand"),
        (65, 0x23, "stand"),
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
    let networks = u8::try_from(MAX_NETWORKS).unwrap();
    let machine = VipLease::new(&Config { seats, networks, ..config(0) }, Time::ZERO);
    let mut body = [0; MAX_BODY];
    let length = 48 + 8 * MAX_NETWORKS + 16 * MAX_SEATS;
    assert_eq!(machine.beat(1, &mut body), length);
    assert!(length + 2 + 8 <= MAX_BODY, "with a wish, of a machine");
    assert_eq!(machine.beat(3, &mut body), 0, "no such node");
    assert_eq!(machine.view(MAX_SEATS), None);
}
