//! All adverts that are made by hand, by what the router speaks that gets them.

use std::net::IpAddr;

use super::advert::{Advert, SECOND, SIXTH, THIRD};
use super::{Answer, Case, Difference, Ignores, OTHER, Obeys, Way};
use crate::differences::{ANOTHER_LIST, FORWARDED, MESSAGE_ALONE, NOT_LISTED};
use crate::group::{GROUP, VIP, far};
use crate::member::{LINK_VIP, Version};

const MESSAGE: Advert = Advert { is_pseudo: false, ..THIRD };
const MESSAGE_V6: Advert = Advert { is_pseudo: false, ..SIXTH };

/// Both say the same.
const fn same(name: &'static str, router: Version, advert: Advert, answer: Answer) -> Case {
    let (theirs, ours, difference) = (answer, answer, None);
    Case { name, router, advert, way: Way::All, theirs, ours, difference }
}

const fn second(name: &'static str, advert: Advert, answer: Answer) -> Case {
    same(name, Version::Two, advert, answer)
}

const fn third(name: &'static str, advert: Advert, answer: Answer) -> Case {
    same(name, Version::Three(100), advert, answer)
}

const fn sixth(name: &'static str, advert: Advert, answer: Answer) -> Case {
    same(name, Version::Six(100), advert, answer)
}

impl Case {
    const fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }

    /// Ours does the opposite.
    const fn but(self, difference: &'static Difference) -> Self {
        let ours = match self.theirs {
            Obeys => Ignores,
            Ignores => Obeys,
        };
        Self { ours, difference: Some(difference), ..self }
    }
}

pub(super) static CASES: [Case; 79] = [
    second("as configured", SECOND, Obeys),
    second("wrong password", Advert { tail: b"wrong\0\0\0", ..SECOND }, Ignores),
    second("no authentication", Advert { says: [0, 1], tail: &[0; 8], ..SECOND }, Ignores),
    second("authentication header", Advert { says: [2, 1], ..SECOND }, Ignores),
    second("interval 2 s", Advert { says: [1, 2], ..SECOND }, Ignores),
    second("interval 0", Advert { says: [1, 0], ..SECOND }, Ignores),
    second("wrong checksum", Advert { flip: 1, ..SECOND }, Ignores),
    second("version 3", Advert { first: 0x31, ..SECOND }, Ignores),
    second("a good one of version 3", THIRD, Ignores),
    second("version 1", Advert { first: 0x11, ..SECOND }, Ignores),
    second("type 2", Advert { first: 0x22, ..SECOND }, Ignores),
    second("forwarded by a router", Advert { ttl: 254, ..SECOND }, Ignores),
    second("another group", Advert { group: GROUP + 1, ..SECOND }, Ignores),
    second("no address", Advert { count: Some(0), addresses: &[], ..SECOND }, Ignores),
    second("more addresses promised than there", Advert { count: Some(3), ..SECOND }, Ignores),
    second("bytes behind the end", Advert { tail: b"secret12abcd", ..SECOND }, Ignores),
    second("one address more", Advert { addresses: &BOTH, ..SECOND }, Ignores).but(&ANOTHER_LIST),
    second("another address", Advert { addresses: &STRANGE, ..SECOND }, Ignores).but(&ANOTHER_LIST),
    second("to it alone, in a group of all", SECOND, Ignores).by(Way::One),
    second("unicast from a listed router", SECOND, Obeys).by(Way::Listed),
    second("unicast, forwarded", Advert { ttl: 254, ..SECOND }, Obeys)
        .by(Way::Listed)
        .but(&FORWARDED),
    second("unicast, wrong password", Advert { tail: &[0; 8], ..SECOND }, Ignores).by(Way::Listed),
    second("unicast, not listed", SECOND, Obeys).by(Way::Unlisted).but(&NOT_LISTED),
    second("unicast, not listed, sources are checked", SECOND, Ignores).by(Way::Checked),
    second("to the group in its file", SECOND, Obeys).by(Way::Group),
    second("to all, with another group in its file", SECOND, Ignores).by(Way::AllButGroup),
    second("unicast, over as many routers as written", Advert { ttl: 250, ..SECOND }, Obeys)
        .by(Way::Routed),
    second("unicast, over one more", Advert { ttl: 249, ..SECOND }, Ignores).by(Way::Routed),
    third("to the group in its file", THIRD, Obeys).by(Way::Group),
    third("as configured", THIRD, Obeys),
    third("checksum of the message alone", MESSAGE, Ignores).but(&MESSAGE_ALONE),
    third("wrong checksum", Advert { flip: 1, ..THIRD }, Ignores),
    third("wrong checksum of the message alone", Advert { flip: 1, ..MESSAGE }, Ignores),
    third("interval 2 s", Advert { says: [0, 200], ..THIRD }, Obeys),
    third("interval 0", Advert { says: [0, 0], ..THIRD }, Ignores),
    third("reserved bits", Advert { says: [0x50, 100], ..THIRD }, Obeys),
    third("nothing but reserved bits", Advert { says: [0xf0, 0], ..THIRD }, Ignores),
    third("version 2 with no password", Advert { says: [0, 1], tail: &[0; 8], ..SECOND }, Ignores),
    third("version 2 with a password", SECOND, Ignores),
    third("version 4", Advert { first: 0x41, ..THIRD }, Ignores),
    third("type 2", Advert { first: 0x32, ..THIRD }, Ignores),
    third("forwarded by a router", Advert { ttl: 254, ..THIRD }, Ignores),
    third("another group", Advert { group: GROUP + 1, ..THIRD }, Ignores),
    third("no address", Advert { count: Some(0), addresses: &[], ..THIRD }, Ignores),
    third("more addresses promised than there", Advert { count: Some(3), ..THIRD }, Ignores),
    third("bytes behind the end", Advert { tail: &[1, 2, 3, 4], ..THIRD }, Ignores),
    third("one address more", Advert { addresses: &BOTH, ..THIRD }, Ignores).but(&ANOTHER_LIST),
    third("another address", Advert { addresses: &STRANGE, ..THIRD }, Ignores).but(&ANOTHER_LIST),
    third("to it alone, in a group of all", THIRD, Ignores).by(Way::One),
    third("unicast from a listed router", THIRD, Obeys).by(Way::Listed),
    third("unicast, forwarded", Advert { ttl: 254, ..THIRD }, Obeys)
        .by(Way::Listed)
        .but(&FORWARDED),
    third("unicast, interval 2 s", Advert { says: [0, 200], ..THIRD }, Obeys).by(Way::Listed),
    third("unicast, not listed", THIRD, Obeys).by(Way::Unlisted).but(&NOT_LISTED),
    third("unicast, not listed, sources are checked", THIRD, Ignores).by(Way::Checked),
    third("unicast, checksum of the message alone", MESSAGE, Ignores)
        .by(Way::Listed)
        .but(&MESSAGE_ALONE),
    sixth("as configured", SIXTH, Obeys),
    sixth("checksum of the message alone", MESSAGE_V6, Ignores),
    sixth("wrong checksum", Advert { flip: 1, ..SIXTH }, Ignores),
    sixth("interval 2 s", Advert { says: [0, 200], ..SIXTH }, Obeys),
    sixth("interval 0", Advert { says: [0, 0], ..SIXTH }, Ignores),
    sixth("reserved bits", Advert { says: [0x50, 100], ..SIXTH }, Obeys),
    sixth("version 2", Advert { first: 0x21, ..SIXTH }, Ignores),
    sixth("version 4", Advert { first: 0x41, ..SIXTH }, Ignores),
    sixth("type 2", Advert { first: 0x32, ..SIXTH }, Ignores),
    sixth("forwarded by a router", Advert { ttl: 254, ..SIXTH }, Ignores),
    sixth("another group", Advert { group: GROUP + 1, ..SIXTH }, Ignores),
    sixth("no address", Advert { count: Some(0), addresses: &[], ..SIXTH }, Ignores),
    sixth("more addresses promised than there", Advert { count: Some(3), ..SIXTH }, Ignores),
    sixth("bytes behind the end", Advert { tail: &[1; 16], ..SIXTH }, Ignores),
    sixth("one address more", Advert { addresses: &THREE, ..SIXTH }, Ignores).but(&ANOTHER_LIST),
    sixth("no address of the link", Advert { addresses: &FAR, ..SIXTH }, Ignores)
        .but(&ANOTHER_LIST),
    sixth("the address of the link last", Advert { addresses: &TURNED, ..SIXTH }, Obeys),
    sixth("from an address that is not of the link", SIXTH, Obeys).by(Way::AllFromFar),
    sixth("to it alone, in a group of all", SIXTH, Ignores).by(Way::One),
    sixth("unicast from a listed router", SIXTH, Obeys).by(Way::Listed),
    sixth("unicast with the hops of keepalived", Advert { ttl: 64, ..SIXTH }, Obeys)
        .by(Way::Listed),
    sixth("unicast, wrong checksum", Advert { flip: 1, ..SIXTH }, Ignores).by(Way::Listed),
    sixth("unicast, not listed", SIXTH, Obeys).by(Way::Unlisted).but(&NOT_LISTED),
    sixth("unicast, not listed, sources are checked", SIXTH, Ignores).by(Way::Checked),
];

const BOTH: [IpAddr; 2] = [IpAddr::V4(VIP), IpAddr::V4(OTHER)];
const STRANGE: [IpAddr; 1] = [IpAddr::V4(OTHER)];
const THREE: [IpAddr; 3] = [IpAddr::V6(LINK_VIP), far(VIP), far(OTHER)];
const FAR: [IpAddr; 1] = [far(VIP)];
const TURNED: [IpAddr; 2] = [far(VIP), IpAddr::V6(LINK_VIP)];
