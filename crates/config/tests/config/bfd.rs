//! `bfd_instance` and `track_bfd`.

use std::time::Duration;

use outlast_config::vip::Vip;
use outlast_config::{Source, effective_vips, keepalived, load};

const INSTANCE: &str = "vrrp_instance a {\n interface eth0\n virtual_router_id 7\n virtual_ipaddress {\n 10.0.0.9\n }\n";

fn read(session: &str, tracks: &str) -> (Vip, Vec<String>) {
    let text = format!(
        "bfd_instance way {{\n{}\n}}\n{INSTANCE} track_bfd {{\n{}\n }}\n}}\n",
        session.replace(';', "\n"),
        tracks.replace(';', "\n")
    );
    let source = Source { path: "keepalived.conf".to_owned(), text };
    let (read, findings) = keepalived::parse(&source, 0);
    let told = findings.into_iter().map(|finding| finding.message).collect();
    let mut vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
    (vips.remove(0), told)
}

#[test]
fn a_session_has_what_keepalived_gives_it_and_what_is_written() {
    let (vip, told) = read("neighbor_ip 10.0.0.1", "way");
    assert_eq!(told, Vec::<String>::new());
    let [tracked] = vip.track_bfds.as_slice() else { panic!("{:?}", vip.track_bfds) };
    let session = &tracked.session;
    let ms = Duration::from_millis;
    assert_eq!((session.min_rx, session.min_tx, session.idle_tx), (ms(10), ms(10), ms(1000)));
    assert_eq!((session.multiplier, session.ttl, session.max_hops), (5, 255, 0));
    assert_eq!(
        (tracked.weight, tracked.reversed, session.passive, session.multihop),
        (0, false, false, false)
    );
    let all = "neighbour_ip 2001:db8::1; source_ip 2001:db8::2; min_rx 3.312; min_tx 50; idle_tx 2000; multiplier 3; passive; hoplimit 255; max_hops 3; multihop; weight 5 reverse; vrrp";
    let (vip, told) = read(all, "way weight -7 noreverse");
    assert_eq!(told, Vec::<String>::new());
    let tracked = &vip.track_bfds[0];
    let session = &tracked.session;
    assert_eq!((session.min_rx, session.idle_tx), (Duration::from_micros(3312), ms(2000)));
    assert_eq!((session.multiplier, session.ttl, session.max_hops), (3, 255, 3));
    assert_eq!(
        (tracked.weight, tracked.reversed, session.passive, session.multihop),
        (-7, false, true, true)
    );
    let (vip, _) = read("neighbor_ip 10.0.0.1; weight 5 reverse", "way");
    assert_eq!((vip.track_bfds[0].weight, vip.track_bfds[0].reversed), (5, true));
}

#[test]
fn what_came_over_too_many_routers_is_of_no_session() {
    let session = |lines: &str| read(lines, "way").0.track_bfds.remove(0).session;
    let one_link = session("neighbor_ip 10.0.0.1");
    assert!(one_link.admits(255) && !one_link.admits(254));
    let far = session("neighbor_ip 10.0.0.1; max_hops 3");
    assert!(far.admits(252) && !far.admits(251));
    assert!(session("neighbor_ip 10.0.0.1; max_hops 255").admits(1));
    // As keepalived's hop limit is.
    let v6 = session("neighbor_ip 2001:db8::1");
    assert!(v6.admits(64) && v6.admits(255) && !v6.admits(63));
}

#[test]
fn mistakes_of_a_session_are_told() {
    let rows = [
        ("", "way", "`way` names no other system"),
        ("neighbor_ip 10.0.0.1", "wy", "there is no `bfd_instance wy`"),
        ("neighbor_ip fe80::1", "way", "an address of a link says nothing without its device"),
        (
            "neighbor_ip 10.0.0.1; source_ip ::1",
            "way",
            "one end of a session has IPv4, the other one IPv6",
        ),
        // keepalived 2.2.7 refuses it with the same limits.
        (
            "neighbor_ip 10.0.0.1; idle_tx 300",
            "way",
            "expected milliseconds from 1000 to 4294967, found `300`",
        ),
        ("neighbor_ip 10.0.0.1; multiplier 0", "way", "expected a number from 1 to 255, found `0`"),
        // keepalived's BFD has neither.
        ("neighbor_ip 10.0.0.1; echo_mode", "way", "`echo_mode` is no keyword of `bfd_instance`"),
        (
            "neighbor_ip 10.0.0.1; auth_type md5",
            "way",
            "`auth_type` is no keyword of `bfd_instance`",
        ),
    ];
    for (session, tracks, expected) in rows {
        let (_, told) = read(session, tracks);
        assert!(told.iter().any(|message| message == expected), "{session}: {told:?}");
    }
    let twice = format!(
        "bfd_instance a {{\n neighbor_ip 10.0.0.1\n}}\nbfd_instance b {{\n neighbor_ip 10.0.0.1\n}}\n{INSTANCE}}}\n"
    );
    let (_, findings) = keepalived::parse(&Source { path: "k".to_owned(), text: twice }, 0);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].message, "`a` watches the same way");
}

#[test]
fn the_cluster_file_watches_a_way_by_a_table() {
    let read = |lines: &str| {
        let text = format!(
            "[cluster]\nname = \"c\"\n[node.one]\nnetworks = {{ lan = \"10.0.0.1\" }}\n[node.two]\nnetworks = {{ lan = \"10.0.0.2\" }}\n[vip.v]\naddress = \"10.0.0.9\"\nrouter_id = 7\n{lines}\n"
        );
        let loaded = load(vec![Source { path: "outlast.toml".to_owned(), text }]);
        let told: Vec<String> = loaded.diagnostics.into_iter().map(|it| it.message).collect();
        let vips = effective_vips(loaded.cluster.as_ref(), None, Some(0), false, &|_| None);
        (vips.unwrap().remove(0).track_bfds, told)
    };
    let (all, told) =
        read("bfd = { neighbor = \"10.0.0.254\", interval = \"50ms\", weight = -20 }");
    assert_eq!(told, Vec::<String>::new());
    let session = &all[0].session;
    assert_eq!(
        (session.name.as_str(), session.min_rx, session.multiplier),
        ("v", Duration::from_millis(50), 3)
    );
    assert_eq!((session.ttl, session.max_hops, all[0].weight), (255, 0, -20));
    let (all, _) = read("bfd = { neighbor = \"2001:db8::1\", multihop = true }");
    assert!(all[0].session.admits(3), "over any number of routers");
    for (lines, expected) in [
        ("bfd = { }", "`bfd` has no `neighbor`"),
        (
            "bfd = { neighbor = \"fe80::1\" }",
            "expected an address that is not of a link alone, found a table",
        ),
        (
            "bfd = { neighbor = \"10.0.0.2\", interval = \"2m\" }",
            "expected a time from \"1ms\" to \"60s\", found \"2m\"",
        ),
        (
            "bfd = { neighbor = \"10.0.0.2\" }\nlease = true",
            "`v` has a vip lease, which looks at no ways",
        ),
    ] {
        let (_, told) = read(lines);
        assert!(told.iter().any(|message| message == expected), "{lines}: {told:?}");
    }
}
