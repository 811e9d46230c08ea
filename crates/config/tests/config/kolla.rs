//! What kolla-ansible renders.

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
