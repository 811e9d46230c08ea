//! Adverts as bytes.

use engine::vip::Group;

use super::*;

/// keepalived 2.2.7 drops an advert with another list than its own `virtual_ipaddress`.
#[test]
fn what_is_excluded_stands_in_no_advert_and_makes_no_other_group() {
    let loaded = |more: &str| {
        let text = format!(
            "vrrp_instance a {{\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {{\n 10.0.0.40\n }}\n{more}}}\n"
        );
        let source = config::Source { path: "keepalived.conf".to_owned(), text };
        let loaded = config::load(vec![source]);
        let vips = config::effective_vips(None, loaded.keepalived.as_ref(), None, false, &|_| None);
        vips.expect("a good file").remove(0)
    };
    let excluded = " virtual_ipaddress_excluded {\n 10.0.1.1/24\n 10.0.2.1/24\n }\n";
    let (plain, more) = (loaded(""), loaded(excluded));
    assert_eq!((plain.addresses.len(), more.addresses.len()), (1, 3), "it is held");
    let mut bytes = [[0; MAX_LENGTH]; 2];
    let source = IpAddr::from([10, 0, 0, 41]);
    let path = Path { source, destination: packet::GROUP.into() };
    let [first, second] = &mut bytes;
    let lengths =
        [packet::encode(&plain, 100, path, first), packet::encode(&more, 100, path, second)];
    assert_eq!(bytes[0][..lengths[0]], bytes[1][..lengths[1]]);
    assert_eq!(bytes[0][3], 1, "one address");
    assert_eq!(Group::of(&plain), Group::of(&more));
}
