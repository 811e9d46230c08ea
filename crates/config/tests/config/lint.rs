//! What several files together get wrong.

use expect_test::{Expect, expect};
use outlast_config::{Source, load, render};

fn check(files: &[(&str, &str)], expected: Expect) {
    let source =
        |(path, text): &(&str, &str)| Source { path: (*path).to_owned(), text: (*text).to_owned() };
    let loaded = load(files.iter().map(source).collect());
    expected.assert_eq(&render(&loaded.sources, &loaded.diagnostics));
}

const CLUSTER: &str = "[cluster]
name = \"c\"
haproxy = \"lb.cfg\"
[node.node01]
networks = { m = \"10.0.0.41\" }
[node.node02]
networks = { m = \"10.0.0.42\" }
[vip.internal]
address = \"10.0.0.40\"
network = \"m\"
router_id = 7
";

const PROXIES: &str = "global
 stats socket /run/lb.sock
defaults
 timeout client 1m
 timeout server 1m
 timeout connect 1s
listen api
 bind 10.0.0.40:5000
 server node01 10.0.0.41:5000 check
 server node02 10.0.0.42:5000 check
";

const KEEPALIVED: &str = "vrrp_script alive {
 script \"/bin/sh -c 'echo show info | socat /run/lb.sock stdio'\"
}
vrrp_instance internal {
 state BACKUP
 nopreempt
 interface eth0
 virtual_router_id 7
 priority 100
 virtual_ipaddress {
  10.0.0.40 dev eth0
 }
 track_script {
  alive
 }
}
";

#[test]
fn files_that_fit_say_nothing() {
    check(&[("outlast.toml", CLUSTER), ("lb.cfg", PROXIES)], expect![""]);
    check(&[("keepalived.conf", KEEPALIVED), ("lb.cfg", PROXIES)], expect![""]);
}

#[test]
fn a_check_that_asks_another_socket_is_told() {
    let other = KEEPALIVED.replace("/run/lb.sock", "/run/lp.sock");
    check(
        &[("keepalived.conf", &other), ("lb.cfg", PROXIES)],
        expect![[r#"
        warning[check-socket]: check `alive` asks /run/lp.sock, which is not the balancer's socket
         --> keepalived.conf:2:9
          |
        2 |  script "/bin/sh -c 'echo show info | socat /run/lp.sock stdio'"
          |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          = help: write /run/lb.sock

        1 warning
    "#]],
    );
}

#[test]
fn a_virtual_ip_that_nobody_binds_and_a_listener_that_nobody_holds_are_told() {
    let other = PROXIES.replace("bind 10.0.0.40", "bind 10.0.0.49");
    check(
        &[("outlast.toml", CLUSTER), ("lb.cfg", &other)],
        expect![[r#"
        warning[vip-not-bound]: nothing listens on the virtual IP 10.0.0.40
         --> outlast.toml:8:6
          |
        8 | [vip.internal]
          |      ^^^^^^^^
          = help: write `bind 10.0.0.40:PORT` in a proxy, or change the virtual IP

        warning[address-not-held]: `api` listens on 10.0.0.49, which nobody holds
         --> lb.cfg:8:2
          |
        8 |  bind 10.0.0.49:5000
          |  ^^^^^^^^^^^^^^^^^^^
          = help: the virtual IP is 10.0.0.40; write that, or a node's address

        2 warnings
    "#]],
    );
}

#[test]
fn the_order_that_one_shared_file_comes_to_is_told() {
    let nodes = CLUSTER.split("[vip").next().unwrap();
    check(
        &[("outlast.toml", nodes), ("keepalived.conf", KEEPALIVED), ("lb.cfg", PROXIES)],
        expect![[r#"
            note[vip-order]: the order of `internal` is node01 200, node02 150
             --> keepalived.conf:9:11
              |
            9 |  priority 100
              |           ^^^
              = help: every node reads 100 here; write `priority = ...` in [node.NAME] for another order

            1 note
        "#]],
    );
}

#[test]
fn equal_priorities_are_told() {
    let nodes = CLUSTER.split("[vip").next().unwrap();
    let nodes = nodes.replace("[node.node02]", "priority = 150\n[node.node02]\npriority = 150");
    check(
        &[("outlast.toml", &nodes), ("keepalived.conf", KEEPALIVED), ("lb.cfg", PROXIES)],
        expect![[r#"
            warning[priority-clash]: nodes node01 and node02 have the same priority 150
             --> keepalived.conf:9:11
              |
            9 |  priority 100
              |           ^^^
              = help: give each [node.NAME] its own `priority`

            1 warning
        "#]],
    );
}

#[test]
fn a_backup_that_preempts_is_told() {
    let other = KEEPALIVED.replace(" nopreempt\n", "");
    check(
        &[("keepalived.conf", &other)],
        expect![[r#"
        warning[no-nopreempt]: `internal` goes back to the stronger node when it returns: a second interruption
         --> keepalived.conf:5:8
          |
        5 |  state BACKUP
          |        ^^^^^^
          = help: add `nopreempt`

        1 warning
    "#]],
    );
}

#[test]
fn listeners_and_servers_that_come_twice_and_a_lonely_server_are_told() {
    let more = format!(
        "{PROXIES} server node03 10.0.0.42:5000 check\n\
         listen other\n bind 10.0.0.40:5000\n server node01 10.0.0.41:5000\n"
    );
    check(
        &[("lb.cfg", &more)],
        expect![[r#"
        warning[duplicate-server]: `api` has a server at 10.0.0.42:5000 already
          --> lb.cfg:11:2
           |
        11 |  server node03 10.0.0.42:5000 check
           |  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           = help: remove one of them

        warning[duplicate-listener]: `api` listens on 10.0.0.40 port 5000 already
          --> lb.cfg:13:2
           |
        13 |  bind 10.0.0.40:5000
           |  ^^^^^^^^^^^^^^^^^^^
           = help: give one of them another port

        warning[single-server]: `other` has only the server `node01`: nothing takes over from it
          --> lb.cfg:14:2
           |
        14 |  server node01 10.0.0.41:5000
           |  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           = help: add a second server

        3 warnings
    "#]],
    );
}

#[test]
fn a_service_of_no_proxy_is_an_error() {
    let more = format!("{CLUSTER}[service.database]\nproxy = \"appi\"\nkind = \"database\"\n");
    check(
        &[("outlast.toml", &more), ("lb.cfg", PROXIES)],
        expect![[r#"
        error[unknown-name]: there is no `listen` or `backend` named `appi`
          --> outlast.toml:13:9
           |
        13 | proxy = "appi"
           |         ^^^^^^
           = help: did you mean `api`?

        1 error
    "#]],
    );
}

#[test]
fn a_virtual_ip_in_two_files_is_an_error() {
    check(
        &[("outlast.toml", CLUSTER), ("keepalived.conf", KEEPALIVED), ("lb.cfg", PROXIES)],
        expect![[r#"
            note[vip-order]: the order of `internal` is node01 200, node02 150
             --> keepalived.conf:9:11
              |
            9 |  priority 100
              |           ^^^
              = help: every node reads 100 here; write `priority = ...` in [node.NAME] for another order

            error[duplicate-address]: 10.0.0.40 is held by [vip.internal] already
              --> keepalived.conf:11:3
               |
            11 |   10.0.0.40 dev eth0
               |   ^^^^^^^^^
               = help: keep one of the two

            1 error, 1 note
        "#]],
    );
}

#[test]
fn a_role_that_one_node_has_alone_is_told() {
    let alone = format!("{CLUSTER}order = [\"node02\"]\n");
    let proxies = PROXIES.replace("10.0.0.42:5000", "10.0.0.41:5001");
    check(
        &[("outlast.toml", &alone), ("lb.cfg", &proxies)],
        expect![[r#"
        warning[single-node]: only node02 may hold `internal`: nobody takes it over
         --> outlast.toml:8:6
          |
        8 | [vip.internal]
          |      ^^^^^^^^
          = help: name a second node in `order`, or leave `order` out

        warning[single-node]: all servers of `api` are on 10.0.0.41
         --> lb.cfg:7:1
          |
        7 | listen api
          | ^^^^^^^^^^
          = help: add a server on another machine

        2 warnings
    "#]],
    );
}

#[test]
fn a_message_queue_behind_the_balancer_is_advised_against() {
    let more = format!(
        "{PROXIES}listen rabbitmq\n mode tcp\n bind 10.0.0.40:5672\n \
         server node01 10.0.0.41:5672 check\n server node02 10.0.0.42:5672 check\n\
         listen rabbitmq_management\n mode http\n bind 10.0.0.40:15672\n \
         server node01 10.0.0.41:15672 check\n server node02 10.0.0.42:15672 check\n"
    );
    check(
        &[("lb.cfg", &more)],
        expect![[r#"
        note[amqp-balanced]: `rabbitmq` balances AMQP, which its clients do themselves
          --> lb.cfg:11:1
           |
        11 | listen rabbitmq
           | ^^^^^^^^^^^^^^^
           = help: name all brokers in the clients' `transport_url`: 10.0.0.41:5672, 10.0.0.42:5672; then remove this proxy

        1 note
    "#]],
    );
}
