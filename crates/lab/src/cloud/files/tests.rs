use super::*;

const HAPROXY: &str = "global
chroot /var/lib/haproxy
user haproxy
log 192.0.2.11:514 local1
stats socket /run/haproxy.sock mode 600
defaults
mode http
timeout server 1m
listen stats
bind 192.0.2.11:1984
listen keystone # the first one
bind 192.0.2.10:5000
server a 192.0.2.11:5001 check
server b 192.0.2.12:5001 check
listen mariadb
mode tcp
timeout server 3600s
option mysql-check user haproxy post-41
bind 192.0.2.10:3306
server a 192.0.2.11:3306 check
server b 192.0.2.12:3306 check backup
";
const KEEPALIVED: &str = "vrrp_instance one {
    interface enp8s0f0
    priority 1
    virtual_ipaddress {
        192.0.2.10 dev enp8s0f0
    }
}
";

fn files(plain: bool) -> Files {
    Files::new(&Given::own(HAPROXY.into(), Some(KEEPALIVED.into())), plain).unwrap()
}

#[test]
fn addresses_of_the_users_files_become_those_of_the_demo_and_it_says_so() {
    assert_eq!(
        files(false).notes,
        [
            "192.0.2.11 -> 10.79.0.41 (node01)",
            "192.0.2.12 -> 10.79.0.42 (node02)",
            "192.0.2.10 -> 10.79.0.40 (virtual IP)",
        ]
    );
    let text = files(false).haproxy_of(Path::new("/n"), None);
    assert!(text.contains("log 10.79.0.41:514 local1"), "{text}");
    assert!(text.contains("server b 10.79.0.42:3306 check backup"), "{text}");
}

#[test]
fn ports_for_the_client_and_the_stand_ins_are_found() {
    let files = files(false);
    assert_eq!((files.api, files.database), (5000, 3306));
    assert_eq!((files.web_ports, files.database_ports), (vec![5001], vec![3306]));
    assert_eq!(files.log_ports, [514]);
}

#[test]
fn folders_are_the_nodes_own_and_a_plain_user_has_no_users() {
    let root = files(false).haproxy_of(Path::new("/n"), None);
    assert!(root.contains("chroot /n/chroot\nuser haproxy\n"), "{root}");
    assert!(root.contains("stats socket /n/haproxy.sock mode 600\n"), "{root}");
    let plain = files(true).haproxy_of(Path::new("/n"), None);
    assert!(!plain.contains("chroot") && !plain.contains("\nuser"), "{plain}");
}

#[test]
fn only_the_defaults_get_another_server_timeout() {
    let text = files(false).haproxy_of(Path::new("/n"), Some("5s"));
    assert!(text.contains("timeout server 5s\nlisten"), "{text}");
    assert!(text.contains("timeout server 3600s"), "{text}");
}

#[test]
fn every_node_has_its_device_script_and_priority() {
    let text = files(false).keepalived_of(Path::new("/n"), 2);
    for line in ["interface eth0", "priority 2", "10.79.0.40 dev eth0"] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn the_examples_fit_the_demo() {
    let files = Files::new(&Given::example(), false).unwrap();
    assert_eq!((files.api, files.database), (5000, 3306));
    assert!(files.web_ports.len() >= 14, "{:?}", files.web_ports);
}

#[test]
fn a_fourth_server_address_is_one_too_many() {
    let text =
        HAPROXY.replace("listen mariadb", "server c 192.0.2.13:1\nserver d 192.0.2.14:1\nlisten m");
    let error = Files::new(&Given::own(text, None), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the balancer file names 4 servers' addresses, the demo has 3 nodes"
    );
}
