//! The hardware address of a group: `use_vmac` and its like, `virtual_mac` of the cluster file.

use outlast_config::vip::Vip;
use outlast_config::{Source, effective_vips, keepalived, load};

fn instance(name: &str, id: u8, lines: &str) -> String {
    let lines = lines.replace(';', "\n");
    format!("vrrp_instance {name} {{\n interface eth0\n virtual_router_id {id}\n{lines}\n}}\n")
}

fn read(text: String) -> (Vec<Vip>, Vec<String>) {
    let source = Source { path: "keepalived.conf".to_owned(), text };
    let (read, findings) = keepalived::parse(&source, 0);
    let told = findings.into_iter().map(|finding| finding.message).collect();
    (effective_vips(None, Some(&read), None, false, &|_| None).unwrap(), told)
}

/// Each address with its device, each device with that below it and its hardware address, and that of adverts.
fn placed(vip: &Vip) -> String {
    let hex = |mac: &[u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
    let addresses = vip.places().map(|(ip, _, device)| format!("{ip} {device}"));
    let devices = vip.virtual_macs.iter().map(|it| {
        let kinds = if it.has_v6 { " v6" } else { "" };
        format!("{}@{} {}{kinds}", it.device, it.on, hex(&it.mac))
    });
    let adverts = vip.advert_mac.as_ref().map_or_else(|| "plain".to_owned(), hex);
    addresses.chain(devices).chain([adverts]).collect::<Vec<_>>().join(", ")
}

/// As keepalived 2.2.7 places them, seen with `ip -d link`.
#[test]
fn addresses_lie_on_the_devices_that_keepalived_makes() {
    let rows = [
        (
            "use_vmac; virtual_ipaddress {; 10.0.0.9/24; 10.0.0.8/24 dev eth0; 10.1.0.9/24 dev eth1; }",
            "10.0.0.9 vrrp.77, 10.0.0.8 vrrp.77, 10.1.0.9 eth1, vrrp.77@eth0 00:00:5e:00:01:4d, 00:00:5e:00:01:4d",
        ),
        (
            "use_vmac; use_vmac_addr; unicast_peer {; 10.0.0.2; }; vmac_xmit_base; virtual_ipaddress {; 10.0.0.9; 10.1.0.9 dev eth1; }; virtual_ipaddress_excluded {; 2001:db8::9/64; }",
            "10.0.0.9 vrrp.77, 10.1.0.9 vrrp1.77, 2001:db8::9 vrrp6.77, vrrp.77@eth0 00:00:5e:00:01:4d, vrrp1.77@eth1 00:00:5e:00:01:4d, vrrp6.77@eth0 00:00:5e:00:02:4d v6, plain",
        ),
        (
            "use_vmac vrA; vmac_xmit_base; virtual_ipaddress {; fe80::9/64; }",
            "fe80::9 vrA, vrA@eth0 00:00:5e:00:02:4d v6, plain",
        ),
        (
            "use_vmac vrA 02:11:22:33:44; virtual_ipaddress {; 10.0.0.9; }",
            "10.0.0.9 vrA, vrA@eth0 02:11:22:33:44:4d, 02:11:22:33:44:4d",
        ),
        (
            "virtual_ipaddress {; 10.0.0.9; 10.1.0.9 dev eth1 use_vmac; }",
            "10.0.0.9 eth0, 10.1.0.9 vrrp.77, vrrp.77@eth1 00:00:5e:00:01:4d, plain",
        ),
        (
            "use_vmac; virtual_ipaddress {; fe80::9/64; }; virtual_ipaddress_excluded {; 10.0.0.9; 10.0.0.8 dev eth0; }",
            "fe80::9 vrrp.77, 10.0.0.9 eth0, 10.0.0.8 eth0, vrrp.77@eth0 00:00:5e:00:02:4d v6, 00:00:5e:00:02:4d",
        ),
        ("virtual_ipaddress {; 10.0.0.9; }", "10.0.0.9 eth0, plain"),
    ];
    for (lines, expected) in rows {
        let (vips, told) = read(instance("a", 77, lines));
        assert_eq!((placed(&vips[0]).as_str(), told), (expected, vec![]), "{lines}");
    }
}

#[test]
fn each_device_of_a_node_has_a_name_of_its_own() {
    let v4 = instance("a", 77, "use_vmac; virtual_ipaddress {; 10.0.0.9; }");
    let v6 = instance("b", 77, "use_vmac; virtual_ipaddress {; fe80::9; }");
    let other = v4.replace("eth0", "eth1").replace("vrrp_instance a", "vrrp_instance c");
    let (vips, told) = read([v4, v6, other].concat());
    let names: Vec<&str> = vips.iter().map(|vip| vip.virtual_macs[0].device.as_str()).collect();
    assert_eq!((names, told), (vec!["vrrp.77", "vrrp6.77", "vrrp1.77"], vec![]));
}

#[test]
fn what_is_no_name_of_a_device_or_is_taken_is_told() {
    let addresses = "virtual_ipaddress {; 10.0.0.9; }";
    let rows = [
        ("use_vmac averyverylongname17", "`averyverylongname17` is no name of a device"),
        ("use_vmac a/b", "`a/b` is no name of a device"),
        ("use_vmac vrA 01:00:5e:00:00", "`01:00:5e:00:00` is no name of a device"),
        ("use_vmac eth0", "the device `eth0` is the interface of an instance"),
        ("use_vmac taken", "the device `taken` is that of `first` already"),
        ("vmac_xmit_base", "`vmac_xmit_base` means nothing without `use_vmac`"),
        (
            "use_vmac; unicast_peer {; 10.0.0.2; }",
            "adverts to peers leave with the interface's own hardware address",
        ),
    ];
    let first = instance("first", 1, "use_vmac taken; virtual_ipaddress {; 10.0.0.1; }");
    for (lines, expected) in rows {
        let (_, told) = read(first.clone() + &instance("a", 77, &format!("{lines}; {addresses}")));
        assert_eq!(told, [expected], "{lines}");
    }
}

#[test]
fn the_cluster_file_has_one_key_for_it() {
    let file = |lines: &str| {
        let text = format!(
            "[cluster]\nname = \"c\"\n[node.one]\nnetworks = {{ lan = \"10.0.0.1\" }}\n[node.two]\nnetworks = {{ lan = \"10.0.0.2\" }}\n\
             [vip.v]\naddress = \"10.0.0.9\"\nrouter_id = 77\nvirtual_mac = true\n{lines}"
        );
        let loaded = load(vec![Source { path: "outlast.toml".to_owned(), text }]);
        let told: Vec<String> = loaded.diagnostics.into_iter().map(|it| it.message).collect();
        let interface = |_| Some("eth0".to_owned());
        let vips = effective_vips(loaded.cluster.as_ref(), None, Some(0), false, &interface);
        (placed(&vips.unwrap()[0]), told)
    };
    let on_it = "10.0.0.9 vrrp.77, vrrp.77@eth0 00:00:5e:00:01:4d";
    assert_eq!(file(""), (format!("{on_it}, 00:00:5e:00:01:4d"), vec![]));
    assert_eq!(file("unicast = true\n"), (format!("{on_it}, plain"), vec![]));
    let (_, told) = file("lease = true\n");
    let refused = "`v` has a vip lease, which the kernel ends on the device of the network";
    assert!(told.iter().any(|message| message == refused), "{told:?}");
}
