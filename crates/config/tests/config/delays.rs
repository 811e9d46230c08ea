//! `interface_up_down_delays` and `promote_secondaries`.

use outlast_config::{Source, effective_vips, keepalived};

fn read(delays: &str, lines: &str) -> (Vec<(String, u128, u128)>, Vec<String>) {
    let text = format!(
        "interface_up_down_delays {{\n{}\n}}\nvrrp_instance a {{\n interface eth0\n virtual_router_id 7\n virtual_ipaddress {{\n 10.0.0.9\n }}\n promote_secondaries\n{lines}\n}}\n",
        delays.replace(';', "\n")
    );
    let source = Source { path: "keepalived.conf".to_owned(), text };
    let (read, findings) = keepalived::parse(&source, 0);
    let told = findings.into_iter().map(|finding| finding.message).collect();
    let vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
    assert!(vips[0].promotes_secondaries);
    let all = vips[0].interface_delays.iter();
    let all = all.map(|it| (it.name.clone(), it.down.as_micros(), it.up.as_micros()));
    (all.collect(), told)
}

#[test]
fn delays_of_devices_are_read_as_keepalived_reads_them() {
    let of = |name: &str, down, up| (name.to_owned(), down, up);
    let (all, told) = read("eth1 0.5; eth0 0.00001 1; eth1 2 3", "advert_int 2");
    assert_eq!(all, [of("eth0", 10, 1_000_000), of("eth1", 2_000_000, 3_000_000)]);
    assert_eq!(told, Vec::<String>::new());
    let (_, told) = read("eth0 2", "");
    let late = "the delays of `eth0` are not shorter than 2 adverts of `a`: others take the address before they are over";
    assert_eq!(told, [late]);
    for (line, expected) in [
        ("eth1", "expected seconds behind `eth1`"),
        ("eth1 256", "expected seconds from 0 to 255, found `256`"),
        ("eth1 1 x", "expected seconds from 0 to 255, found `x`"),
        ("eth1 1 1 1", "expected the end of the line, found `1`"),
    ] {
        assert_eq!(read(line, "").1, [expected], "{line}");
    }
}
