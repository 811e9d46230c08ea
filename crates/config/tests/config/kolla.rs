//! What kolla-ansible renders.

use std::collections::BTreeSet;

use expect_test::expect;
use outlast_config::{haproxy, load, refusals};

use crate::documents::document;

#[test]
fn what_kolla_renders_is_accepted_and_what_we_do_not_run_is_named() {
    let test = "what_kolla_renders_is_accepted_and_what_we_do_not_run_is_named";
    let Some(source) = document(test, "kolla-rendered.cfg") else { return };
    let loaded = load(vec![source]);
    assert!(!loaded.has_errors());
    let mut told: Vec<&str> =
        refusals(&loaded).into_iter().map(|finding| finding.message.as_str()).collect();
    told.dedup();
    expect![[r#"
        [
            "`http-request use-service` is not run yet",
            "a condition other than `{ ssl_fc }` is not run yet",
        ]
    "#]]
    .assert_debug_eq(&told);
    let haproxy = loaded.haproxy.unwrap();
    let kinds = |is: fn(&haproxy::Proxy) -> bool| haproxy.proxies.iter().filter(|p| is(p)).count();
    assert_eq!((kinds(haproxy::Proxy::is_frontend), kinds(haproxy::Proxy::is_backend)), (57, 56));
    assert_eq!(haproxy.proxies.iter().map(|proxy| proxy.servers.len()).sum::<usize>(), 158);
    let checked = haproxy.proxies.iter().find(|proxy| proxy.name == "nova_api_back").unwrap();
    expect![[r#"
        Http(
            HttpCheck {
                method: "GET",
                uri: "/",
                version: "HTTP/1.0",
                headers: [],
                body: "",
                expect_status: [
                    (
                        200,
                        200,
                    ),
                ],
            },
        )
    "#]]
    .assert_debug_eq(&checked.check);
}

#[test]
fn what_kolla_renders_with_tls_is_accepted_and_what_we_do_not_run_is_named() {
    let test = "what_kolla_renders_with_tls_is_accepted_and_what_we_do_not_run_is_named";
    let Some(source) = document(test, "kolla-tls-rendered.cfg") else { return };
    let loaded = load(vec![source]);
    assert!(!loaded.has_errors());
    let mut told: Vec<&str> =
        refusals(&loaded).into_iter().map(|finding| finding.message.as_str()).collect();
    told.sort_unstable();
    told.dedup();
    expect![[r#"
        [
            "`alpn` of `bind` is not run yet",
            "`ca-file` of `server` is not run yet",
            "`check-ssl` of `server` is not run yet",
            "`crt` of `bind` is not run yet",
            "`http-request use-service` is not run yet",
            "`redirect` is not run yet",
            "`ssl` of `bind` is not run yet",
            "`ssl` of `server` is not run yet",
            "`verify` of `server` is not run yet",
            "a condition other than `{ ssl_fc }` is not run yet",
        ]
    "#]]
    .assert_debug_eq(&told);
}

/// Nothing is dropped in silence: every line of these kinds is in the model, or has a note.
#[test]
fn what_kolla_renders_is_in_the_model_or_named_line_by_line() {
    let test = "what_kolla_renders_is_in_the_model_or_named_line_by_line";
    for name in ["kolla-rendered.cfg", "kolla-tls-rendered.cfg"] {
        let Some(source) = document(test, name) else { return };
        let text = source.text.clone();
        let loaded = load(vec![source]);
        assert!(loaded.diagnostics.iter().all(|finding| finding.code != "too-many"));
        let line = |offset: usize| text[..offset].matches('\n').count();
        let noted: BTreeSet<usize> =
            refusals(&loaded).into_iter().map(|finding| line(finding.span.start)).collect();
        let proxies = &loaded.haproxy.as_ref().unwrap().proxies;
        let known: BTreeSet<usize> = proxies
            .iter()
            .flat_map(|proxy| {
                let binds = proxy.binds.iter().map(|bind| bind.span);
                let servers = proxy.servers.iter().map(|server| server.span);
                let requests = proxy.request_rules.iter().map(|rule| rule.span);
                let responses = proxy.response_rules.iter().map(|rule| rule.span);
                let all = binds.chain(servers).chain(requests).chain(responses);
                all.chain([proxy.span]).map(|span| line(span.start)).collect::<Vec<_>>()
            })
            .collect();
        let kinds = [
            "bind",
            "server",
            "http-request",
            "http-response",
            "redirect",
            "frontend",
            "backend",
            "listen",
        ];
        for (at, written) in text.lines().enumerate() {
            let word = written.split_whitespace().next().unwrap_or_default();
            if kinds.contains(&word) {
                assert!(known.contains(&at) || noted.contains(&at), "{name}:{}: {written}", at + 1);
            }
        }
    }
}
