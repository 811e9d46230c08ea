//! What the kernel tells of others' routes, and what it keeps back.

use sys::netlink::{Change, Monitor, Netlink, Route, Wants};

use super::cable::{Cable, inside, may_make_networks, wait_for};

#[test]
fn routes_of_others_that_go_wake_nobody_and_one_of_ours_does() {
    if !may_make_networks("monitor::routes_of_others_that_go_wake_nobody_and_one_of_ours_does") {
        return;
    }
    let cable = Cable::new();
    inside(&cable.left, || {
        let netlink = Netlink::open().unwrap();
        let index = netlink.link("eth0").unwrap().unwrap().index;
        let route = |last: u8, protocol: u8| Route {
            destination: [198, 51, 100, last].into(),
            prefix: 32,
            via: Some(Cable::RIGHT.into()),
            index: Some(index),
            source: None,
            table: 254,
            metric: None,
            scope: 0,
            protocol,
        };
        let wants = Wants { routes: &[18], rules: true, ..Wants::default() };
        let mut monitor = Monitor::open_for(wants).unwrap();
        for last in 0..100 {
            assert!(netlink.make_route(&route(last, 186)).unwrap());
            assert!(netlink.delete_route(&route(last, 186)).unwrap());
        }
        assert_eq!(monitor.next().unwrap(), None, "routes of somebody else");
        assert!(monitor.is_read());
        assert!(netlink.make_route(&route(1, 18)).unwrap());
        assert_eq!(monitor.next().unwrap(), None, "one that comes");
        assert!(netlink.delete_route(&route(1, 18)).unwrap());
        wait_for(std::os::fd::AsFd::as_fd(&monitor));
        assert_eq!(monitor.next().unwrap(), Some(Change::Way));
        assert_eq!(monitor.next().unwrap(), None);
    });
}
