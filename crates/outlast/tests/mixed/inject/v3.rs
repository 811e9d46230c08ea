//! The same of version 3.

use super::*;

/// An advert of priority 200; what is not said is as the router expects it.
#[derive(Clone, Copy, Debug)]
struct Third {
    first: u8,
    group: u8,
    count: Option<u8>,
    /// Four reserved bits, and hundredths of seconds.
    interval: u16,
    addresses: &'static [Ipv4Addr],
    /// Whether the checksum covers a pseudo header.
    pseudo: bool,
    flip: u8,
    extra: &'static [u8],
    ttl: u8,
}

const GOOD: Third = Third {
    first: 0x31,
    group: GROUP,
    count: None,
    interval: 100,
    addresses: &[VIP],
    pseudo: true,
    flip: 0,
    extra: &[],
    ttl: 255,
};

const MESSAGE: Third = Third { pseudo: false, ..GOOD };
const BOTH: &str = "RFC 9568 says so and some vendors do; keepalived 2.4 takes both with \
                    `v3_checksum_as_v2`";

const CASES: [Case<Third>; 21] = [
    same("as configured", GOOD, Obeys),
    Case { ours: Obeys, reason: BOTH, ..same("checksum of the message alone", MESSAGE, Ignores) },
    same("wrong checksum", Third { flip: 1, ..GOOD }, Ignores),
    same("wrong checksum of the message alone", Third { flip: 1, ..MESSAGE }, Ignores),
    same("interval 2 s", Third { interval: 200, ..GOOD }, Obeys),
    same("interval 0", Third { interval: 0, ..GOOD }, Ignores),
    same("reserved bits", Third { interval: 0x5000 | 100, ..GOOD }, Obeys),
    same("nothing but reserved bits", Third { interval: 0xf000, ..GOOD }, Ignores),
    same(
        "version 2",
        Third { first: 0x21, pseudo: false, extra: &[0; 8], interval: 1, ..GOOD },
        Ignores,
    ),
    same("version 4", Third { first: 0x41, ..GOOD }, Ignores),
    same("type 2", Third { first: 0x32, ..GOOD }, Ignores),
    same("forwarded by a router", Third { ttl: 254, ..GOOD }, Ignores),
    same("another group", Third { group: GROUP + 1, ..GOOD }, Ignores),
    same("no address", Third { count: Some(0), addresses: &[], ..GOOD }, Ignores),
    same("more addresses promised than there", Third { count: Some(3), ..GOOD }, Ignores),
    same("bytes behind the end", Third { extra: &[1, 2, 3, 4], ..GOOD }, Ignores),
    Case {
        ours: Obeys,
        reason: ANOTHER_LIST,
        ..same("one address more", Third { addresses: &[VIP, OTHER], ..GOOD }, Ignores)
    },
    Case { is_for_one: true, ..same("to it alone, in a group of all", GOOD, Ignores) },
    Case { transport: Unicast, ..same("unicast from a listed router", GOOD, Obeys) },
    Case {
        transport: Unicast,
        listed: OTHER,
        ours: Ignores,
        reason: NOT_LISTED,
        ..same("unicast from a router that is not listed", GOOD, Obeys)
    },
    Case {
        transport: Unicast,
        ours: Obeys,
        reason: BOTH,
        ..same("unicast, checksum of the message alone", MESSAGE, Ignores)
    },
];

#[test]
fn adverts_of_version_3_made_by_hand_are_obeyed_as_by_keepalived() {
    let test = "adverts_of_version_3_made_by_hand_are_obeyed_as_by_keepalived";
    let name = "inject::v3::adverts_of_version_3_made_by_hand_are_obeyed_as_by_keepalived";
    if have(test, &["keepalived"]) {
        let _alone = lab::trial::alone();
        alone(name, || ask_all(&CASES, Version::Three(100)));
    }
}

impl Made for Third {
    fn ttl(&self) -> u8 {
        self.ttl
    }

    /// Written independently of the program's own code (RFC 9568 §5.1).
    fn bytes(&self, to: Ipv4Addr) -> Vec<u8> {
        let count = u8::try_from(self.addresses.len()).expect("few addresses");
        let [high, low] = self.interval.to_be_bytes();
        let count = self.count.unwrap_or(count);
        let head = [self.first, self.group, 200, count, high, low, 0, 0];
        let addresses = self.addresses.iter().flat_map(Ipv4Addr::octets);
        let rest = addresses.chain(self.extra.iter().copied());
        let mut bytes: Vec<u8> = head.into_iter().chain(rest).collect();
        let length = u8::try_from(bytes.len()).expect("few bytes");
        let pseudo = [&SENDER.octets()[..], &to.octets(), &[0, 112, 0, length]].concat();
        let covered = if self.pseudo { [&pseudo[..], &bytes].concat() } else { bytes.clone() };
        let [high, low] = checksum(&covered).to_be_bytes();
        (bytes[6], bytes[7]) = (high, low ^ self.flip);
        bytes
    }
}
