//! Devices under another hardware address.

use sys::device::{self, Family};
use sys::netlink::Netlink;

use super::cable::{Cable, inside, may_make_networks};

const MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];

#[test]
fn a_private_macvlan_is_made_down_and_is_listed_with_what_is_written_at_it() {
    let test = "macvlan::a_private_macvlan_is_made_down_and_is_listed_with_what_is_written_at_it";
    if !may_make_networks(test) {
        return;
    }
    let cable = Cable::new();
    inside(&cable.left, || {
        let netlink = Netlink::open().unwrap();
        let below = netlink.link("eth0").unwrap().unwrap().index;
        assert_eq!(netlink.macvlans().unwrap(), []);
        let index = netlink.create_macvlan("vrrp.51", below, MAC).unwrap();
        assert!(netlink.create_macvlan("vrrp.51", below, MAC).is_err(), "the name is taken");
        let all = netlink.macvlans().unwrap();
        let [made] = all.as_slice() else { panic!("{all:?}") };
        assert!(made.is_ours && made.alias.is_empty(), "known from the first moment: {made:?}");
        netlink.finish_macvlan(index, "ours 0 1").unwrap();
        let all = netlink.macvlans().unwrap();
        let [made] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((made.parent, made.private, made.alias.as_str()), (below, true, "ours 0 1"));
        assert_eq!((made.link.name.as_str(), made.link.mac, made.link.up), ("vrrp.51", MAC, false));
        // The dot of its name is none of a path; nobody makes an address for it.
        assert_eq!(device::read(Family::V6, "vrrp.51", "addr_gen_mode").unwrap(), 1);
        device::write(Family::V4, "vrrp.51", "accept_local", 1).unwrap();
        assert_eq!(device::read(Family::V4, "vrrp.51", "accept_local").unwrap(), 1);
        netlink.set_up(made.link.index, true).unwrap();
        let link = netlink.link("vrrp.51").unwrap().unwrap();
        assert!(link.up && link.carrier);
        netlink.delete_link(link.index).unwrap();
        assert_eq!(netlink.macvlans().unwrap(), []);
    });
}
