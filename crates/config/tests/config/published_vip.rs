//! The keepalived block of source document 003, alone and beside the HAProxy file.

use std::fs;

use expect_test::expect;
use outlast_config::{Around, Loaded, Severity, Source, effective_vips, load, render};

use crate::documents::document;
use crate::skip;

/// The keepalived block between the two headings of the document.
fn keepalived(test: &str) -> Option<Source> {
    let seeds = fs::read_dir(skip::shared(test)?.join("seeds")).unwrap();
    let mut paths = seeds.map(|entry| entry.unwrap().path());
    let path = paths.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("003"));
    let text = fs::read_to_string(path.unwrap()).unwrap();
    let block = text.split_once("Keepalived配置\n").unwrap().1.split_once("参数解释").unwrap().0;
    Some(Source { path: "keepalived.conf".to_owned(), text: block.to_owned() })
}

#[test]
fn the_published_keepalived_block_is_parsed_completely() {
    let test = "the_published_keepalived_block_is_parsed_completely";
    let Some(source) = keepalived(test) else { return };
    let loaded = load(vec![source]);
    expect![[r#"
        Some(
            Keepalived {
                global: Global {
                    router_id: None,
                    script_user: None,
                    script_group: None,
                    script_security: false,
                    multicast_group: None,
                    multicast_group_v6: None,
                    version: None,
                    checksum_as_v2: false,
                    startup_delay: 0ns,
                    default_interface: None,
                    startup: Hook {
                        program: None,
                        timeout: 0ns,
                    },
                    shutdown: Hook {
                        program: None,
                        timeout: 0ns,
                    },
                    net_namespace: None,
                    fifo: Fifo {
                        path: "",
                        user: None,
                        group: None,
                        reader: None,
                    },
                    vrrp_fifo: Fifo {
                        path: "",
                        user: None,
                        group: None,
                        reader: None,
                    },
                    says_states_on_reload: false,
                    says_priority: false,
                    strict: false,
                    down_timer_adverts: None,
                },
                scripts: [
                    ScriptBlock {
                        script: Script {
                            name: "check_alive",
                            command: [
                                "/check_alive.sh",
                            ],
                            interval: 2s,
                            timeout: 2s,
                            fall: 2,
                            rise: 10,
                            weight: 0,
                            starts_failed: false,
                            user: None,
                            group: None,
                            secure: false,
                            reversed: false,
                        },
                        text: "/check_alive.sh",
                        command_span: Span {
                            start: 39,
                            end: 56,
                        },
                        reverse: false,
                        span: Span {
                            start: 13,
                            end: 24,
                        },
                    },
                ],
                processes: [],
                files: [],
                bfds: [],
                delays: [],
                instances: [
                    Instance {
                        name: "kolla_internal_vip_121",
                        span: Span {
                            start: 131,
                            end: 153,
                        },
                        state: Backup,
                        state_span: Some(
                            Span {
                                start: 167,
                                end: 173,
                            },
                        ),
                        nopreempt: true,
                        preempt_delay: 0ns,
                        preempt_delay_span: None,
                        interface: "enp8s0f0",
                        router_id: 121,
                        priority: 1,
                        priority_span: Some(
                            Span {
                                start: 254,
                                end: 255,
                            },
                        ),
                        advert_interval: 1s,
                        down_timer_adverts: 3,
                        protocol: V2,
                        written: Written {
                            version: None,
                            checksum_as_v2: None,
                            down_timer_adverts: None,
                            old_checksum: None,
                            group: None,
                            accept: None,
                            strict: None,
                            native_ipv6: None,
                            interval: Some(
                                Span {
                                    start: 272,
                                    end: 273,
                                },
                            ),
                            hmac: None,
                        },
                        addresses: [
                            Address {
                                ip: 172.23.59.10,
                                prefix: 32,
                                device: Some(
                                    "enp8s0f0",
                                ),
                                label: None,
                                broadcast: None,
                                is_excluded: false,
                                scope: 0,
                                preferred: None,
                                uses_virtual_mac: false,
                            },
                        ],
                        address_spans: [
                            Span {
                                start: 308,
                                end: 320,
                            },
                        ],
                        excluded: [],
                        routes: [],
                        rules: [],
                        virtual_mac: VirtualMac {
                            at: None,
                            device: None,
                            mac: None,
                            elsewhere: false,
                            speaks_from_base: false,
                        },
                        accepts: true,
                        authentication: Some(
                            Authentication {
                                password: "yw8v4g4hT4hVFWHl35NE1zPsqlg9r2J7Vpw4Mh7T",
                                span: Span {
                                    start: 406,
                                    end: 446,
                                },
                            },
                        ),
                        hmac: None,
                        track_scripts: [
                            Track {
                                name: "check_alive",
                                weight: None,
                                reverse: None,
                                span: Span {
                                    start: 482,
                                    end: 493,
                                },
                            },
                        ],
                        track_interfaces: [],
                        track_processes: [],
                        track_files: [],
                        track_bfds: [],
                        promotes_secondaries: false,
                        dont_track_primary: false,
                        source: None,
                        unicast_peers: [],
                        travel: Travel {
                            group: None,
                            hops: 255,
                            routed: [],
                        },
                        notify: Notify {
                            every: None,
                            master: None,
                            backup: None,
                            fault: None,
                            stop: None,
                            deleted: None,
                            weaker_rival: None,
                            says_deleted: false,
                            priority_changes: false,
                        },
                        says_priority: None,
                    },
                ],
                sync_groups: [],
                fixed: FixedBlocks {
                    addresses: [],
                    routes: [],
                    rules: [],
                    groups: [],
                    followed: [],
                },
            },
        )
    "#]]
    .assert_debug_eq(&loaded.keepalived);
    expect![[r#"
        note[vip-order]: priority 1 is the lowest there is, and the larger number wins
          --> keepalived.conf:13:15
           |
        13 |      priority 1
           |               ^
           = help: if every node has it, the one with the highest address holds the virtual IP

        warning[password-cut]: only 8 bytes of this password are used, not 40
          --> keepalived.conf:20:20
           |
        20 |          auth_pass (secret)
           |                    ^^^^^^^^
           = help: it travels readable anyway; name a `secret_file` in outlast.toml instead

        1 warning, 1 note
    "#]]
    .assert_eq(&render(&loaded.sources, &loaded.diagnostics));
    let vips = effective_vips(None, loaded.keepalived.as_ref(), None, false, &|_| None).unwrap();
    assert_eq!(vips[0].password, Some(*b"yw8v4g4h"));
    assert!(!vips[0].preempt);
}

#[test]
fn the_published_files_together_do_not_fit() {
    let test = "the_published_files_together_do_not_fit";
    let (Some(vip), Some(proxies)) = (keepalived(test), document(test, "seed003.verbatim.cfg"))
    else {
        return;
    };
    // The document tells the command of its check: it asks another socket than the one configured.
    let command = "echo 'show info' | socat /var/lib/kola/haproxy/haproxy.sock stdio";
    let read = |path: &str| (path == "/check_alive.sh").then(|| command.to_owned());
    let loaded = outlast_config::load_with(
        vec![vip, proxies],
        Around { script: &read, ..Around::default() },
    );
    let codes = |loaded: &Loaded| -> Vec<&str> {
        let warnings = loaded.diagnostics.iter().filter(|f| f.severity == Severity::Warning);
        warnings.map(|finding| finding.code).collect()
    };
    assert_eq!(
        codes(&loaded),
        ["check-socket", "vip-not-bound", "password-cut", "address-not-held"]
    );
}
