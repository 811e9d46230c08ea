//! The published files of source document 003.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use expect_test::expect;
use outlast_config::haproxy::{
    Action, Balance, BindAddress, CheckKind, Condition, Haproxy, LogFormat, Mode, Redispatch,
};
use outlast_config::{Source, haproxy, render};

use crate::skip;

pub(crate) fn document(test: &str, name: &str) -> Option<Source> {
    let path = skip::shared(test)?.join("data").join(name);
    Some(Source { path: name.to_owned(), text: fs::read_to_string(path).unwrap() })
}

fn parsed(source: &Source) -> Haproxy {
    let (haproxy, findings) = haproxy::parse(std::slice::from_ref(source), 0);
    assert_eq!(findings, []);
    haproxy
}

#[test]
fn the_published_file_is_refused_in_four_lines_with_what_to_write() {
    let test = "the_published_file_is_refused_in_four_lines_with_what_to_write";
    let Some(source) = document(test, "seed003.verbatim.cfg") else { return };
    let findings = haproxy::parse(std::slice::from_ref(&source), 0).1;
    expect![[r#"
        error[bad-value]: `5140` is no log facility
         --> seed003.verbatim.cfg:6:17
          |
        6 | log 100.2.30.41 5140 local1
          |                 ^^^^
          = help: the port follows the address directly: write `log 100.2.30.41:5140 local1`

        error[unknown-keyword]: `(NOTE):` is no keyword in a `listen` section
           --> seed003.verbatim.cfg:131:1
            |
        131 | (NOTE): This defaults section deletes forwardfor as recommended by:
            | ^^^^^^^
            = help: a comment starts with `#`: write `# (NOTE): This defaults section deletes forwardfor as recommended by:`

        error[unknown-keyword]: `(NOTE):` is no keyword in a `listen` section
           --> seed003.verbatim.cfg:133:1
            |
        133 | (NOTE): This defaults section deletes forwardfor as recommended by:
            | ^^^^^^^
            = help: a comment starts with `#`: write `# (NOTE): This defaults section deletes forwardfor as recommended by:`

        error[unknown-keyword]: `{+}` is no keyword in a `listen` section
           --> seed003.verbatim.cfg:134:1
            |
        134 | {+}
            | ^^^
            = help: a comment starts with `#`: write `# {+}`

        4 errors
    "#]].assert_eq(&render(&[source], &findings));
}

#[test]
fn the_corrected_file_is_parsed_completely() {
    let test = "the_corrected_file_is_parsed_completely";
    let Some(source) = document(test, "seed003.cfg") else { return };
    let read = parsed(&source);
    let global = &read.global;
    assert_eq!(global.chroot.as_deref(), Some("./run/chroot".as_ref()));
    assert_eq!(
        (global.user.as_deref(), global.group.as_deref()),
        (Some("haproxy"), Some("haproxy"))
    );
    assert!(global.daemon);
    assert_eq!(global.maxconn, Some(4000));
    assert_eq!(global.stats_sockets[0].address, BindAddress::Unix("./run/haproxy.sock".into()));
    expect![[r#"
        [
            LogTarget {
                to: Udp(
                    127.10.0.41:5140,
                ),
                facility: 17,
                level: 7,
                min_level: 0,
            },
        ]
    "#]]
    .assert_debug_eq(&global.logs);

    assert_eq!(read.proxies.len(), 16);
    assert_eq!(read.proxies.iter().map(|proxy| proxy.servers.len()).sum::<usize>(), 45);
    for proxy in &read.proxies {
        assert_eq!(proxy.binds.len(), 1, "{}", proxy.name);
        assert_eq!(proxy.logs, global.logs, "{}", proxy.name);
        assert_eq!(proxy.redispatch, Redispatch::BeforeLast(1), "{}", proxy.name);
        assert_eq!(proxy.retries, 3, "{}", proxy.name);
    }
    let horizon = read.proxies.iter().find(|proxy| proxy.name == "horizon").unwrap();
    assert_eq!(horizon.balance, Balance::Source);
    assert_eq!(horizon.servers[0].check.as_ref().unwrap().fall, 2);
    expect![[r#"
        Some(
            StatsPage {
                uri: "/",
                refresh: Some(
                    15s,
                ),
                realm: "Haproxy Stats",
                auth: [
                    (
                        "openstack",
                        "RgRyfTrTKTm1VpgJ9Yh7R9hRAwapT4ZOVGEjwdMD",
                    ),
                ],
                admin: false,
                hide_version: false,
                scope: [],
                legends: false,
                node: None,
                description: None,
            },
        )
    "#]]
    .assert_debug_eq(&read.proxies[0].stats);
    expect![[r#"
        Proxy {
            name: "rabbitmq_management",
            kind: Listen,
            file: 0,
            span: Span {
                start: 1172,
                end: 1198,
            },
            mode: Http,
            binds: [
                Bind {
                    address: Tcp(
                        127.10.0.40:15672,
                    ),
                    maxconn: None,
                    backlog: None,
                    interface: None,
                    name: None,
                    transparent: false,
                    mode: None,
                    user: None,
                    group: None,
                    span: Span {
                        start: 1199,
                        end: 1221,
                    },
                },
            ],
            servers: [
                Server {
                    name: "node01",
                    address: 127.10.0.41:15672,
                    backup: false,
                    disabled: false,
                    weight: 1,
                    maxconn: None,
                    check: Some(
                        Check {
                            interval: 2s,
                            fast_interval: None,
                            down_interval: None,
                            rise: 2,
                            fall: 5,
                            address: None,
                            port: None,
                        },
                    ),
                    rise: 2,
                    span: Span {
                        start: 1222,
                        end: 1284,
                    },
                },
                Server {
                    name: "node02",
                    address: 127.10.0.42:15672,
                    backup: false,
                    disabled: false,
                    weight: 1,
                    maxconn: None,
                    check: Some(
                        Check {
                            interval: 2s,
                            fast_interval: None,
                            down_interval: None,
                            rise: 2,
                            fall: 5,
                            address: None,
                            port: None,
                        },
                    ),
                    rise: 2,
                    span: Span {
                        start: 1354,
                        end: 1416,
                    },
                },
                Server {
                    name: "node03",
                    address: 127.10.0.43:15672,
                    backup: false,
                    disabled: false,
                    weight: 1,
                    maxconn: None,
                    check: Some(
                        Check {
                            interval: 2s,
                            fast_interval: None,
                            down_interval: None,
                            rise: 2,
                            fall: 5,
                            address: None,
                            port: None,
                        },
                    ),
                    rise: 2,
                    span: Span {
                        start: 1417,
                        end: 1479,
                    },
                },
            ],
            default_backend: None,
            balance: RoundRobin,
            all_backups: false,
            redispatch: BeforeLast(
                1,
            ),
            retries: 3,
            timeouts: Timeouts {
                client: Some(
                    60s,
                ),
                server: Some(
                    60s,
                ),
                connect: Some(
                    10s,
                ),
                queue: Some(
                    60s,
                ),
                http_request: Some(
                    10s,
                ),
                http_keep_alive: None,
                check: Some(
                    10s,
                ),
                tunnel: None,
                client_fin: None,
                server_fin: None,
            },
            forward_for: Some(
                ForwardFor {
                    header: "X-Forwarded-For",
                    except: None,
                    if_none: false,
                },
            ),
            request_rules: [],
            response_rules: [],
            logs: [
                LogTarget {
                    to: Udp(
                        127.10.0.41:5140,
                    ),
                    facility: 17,
                    level: 7,
                    min_level: 0,
                },
            ],
            log_format: Http,
            no_log_null: false,
            no_log_normal: false,
            client_keepalive: false,
            server_keepalive: false,
            maxconn: None,
            check: Tcp,
            stats: None,
            monitor_uri: None,
            disabled: false,
            http_close: false,
            http_server_close: false,
            abort_on_close: false,
            description: None,
            log_tag: None,
            backlog: None,
            log_health_checks: false,
        }
    "#]]
    .assert_debug_eq(&read.proxies[1]);
}

#[test]
fn the_published_rules_keep_their_conditions() {
    let test = "the_published_rules_keep_their_conditions";
    let Some(source) = document(test, "seed003.cfg") else { return };
    let read = parsed(&source);
    let rules = |name: &str| {
        let proxy = read.proxies.iter().find(|proxy| proxy.name == name).unwrap();
        let rules = proxy.request_rules.iter();
        rules.map(|rule| (rule.action.clone(), rule.condition)).collect::<Vec<_>>()
    };
    let name = || "X-Forwarded-Proto".to_owned();
    let delete = Action::DeleteHeader(name());
    let tls = Some(Condition::SslFrontend);
    assert_eq!(rules("keystone_internal"), [(delete.clone(), tls)]);
    assert_eq!(rules("placement_api"), [(delete.clone(), None)]);
    let set = Action::SetHeader(name(), "https".to_owned());
    assert_eq!(rules("nova_novncproxy"), [(delete, tls), (set, tls)]);
}

#[test]
fn the_published_database_is_tcp_with_backups_and_without_forwardfor() {
    let test = "the_published_database_is_tcp_with_backups_and_without_forwardfor";
    let Some(source) = document(test, "seed003.cfg") else { return };
    let read = parsed(&source);
    let proxy = read.proxies.last().unwrap();
    assert_eq!((proxy.name.as_str(), proxy.mode), ("mariadb", Mode::Tcp));
    assert_eq!(proxy.log_format, LogFormat::Tcp);
    assert_eq!(proxy.forward_for, None);
    assert!(proxy.client_keepalive && proxy.server_keepalive);
    assert_eq!(proxy.timeouts.client, Some(Duration::from_secs(3600)));
    assert_eq!(proxy.timeouts.queue, Some(Duration::from_secs(60)));
    let CheckKind::Mysql(check) = &proxy.check else { panic!("{:?}", proxy.check) };
    assert_eq!((check.user.as_deref(), check.pre_41), (Some("haproxy"), false));
    let servers: Vec<(SocketAddr, bool)> =
        proxy.servers.iter().map(|server| (server.address, server.backup)).collect();
    let at = |ip: &str| ip.parse().unwrap();
    assert_eq!(
        servers,
        [
            (at("127.10.0.41:3306"), false),
            (at("127.10.0.42:3306"), true),
            (at("127.10.0.43:3306"), true)
        ]
    );
}
