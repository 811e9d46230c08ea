//! Expressions, conditions and texts against messages, as HAProxy 2.6 would have them.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use base::Time;
use config::Source;
use config::haproxy::{Action, Haproxy};

use super::*;
use crate::http::head;

const FILE: &str = "defaults\n mode http\n timeout client 1m\n timeout connect 1m\n timeout server 1m\n\
    listen web\n bind :80\n server one 127.0.0.3:1\n";

fn parsed(lines: &str) -> Haproxy {
    let source = Source { path: "haproxy.cfg".to_owned(), text: format!("{FILE}{lines}") };
    let (read, findings) = config::haproxy::parse(&[source], 0);
    let told: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert!(told.is_empty(), "{told:?}");
    read
}

const HEAD: &[u8] = b"GET /a/B.png?x=1&y=%41;z HTTP/1.1\r\nHost: Www.Example.COM:8080\r\n\
    X-List: one, two ,\"three, four\"\r\nX-List: five\r\nCookie: s=1; t=abc; s=2\r\n\
    X-Forwarded-For: 10.1.2.3\r\n\r\n";

/// Runs `look` with the file's first rules and this request.
fn with<T>(lines: &str, look: impl FnOnce(&Haproxy, &Scene<'_>) -> T) -> T {
    let config = parsed(lines);
    let now = Time::from_nanos(1_000_000_000);
    let view: Arc<View> = View::new(config, api::Mode::Strict, "node01", 1, 1000, now, 0);
    let mut space = head::space();
    let request = head::request(HEAD, &mut space).unwrap().unwrap();
    let message = Message::of_request(&request);
    let scene = Scene {
        view: &view,
        backends: &[],
        host: "node01",
        peer: Some("192.0.2.7:4711".parse().unwrap()),
        client: None,
        front: 0,
        back: None,
        server: None,
        http: true,
        is_first: true,
        line: b"GET /a/B.png?x=1&y=%41;z HTTP/1.1",
        status: None,
        request: Some(&message),
        response: None,
        variables: &RefCell::default(),
        dice: &Cell::new(7),
        wall: 1_795_478_700,
    };
    look(&view.config, &scene)
}

/// The value of a header that a rule sets.
fn text(format: &str) -> String {
    with(&format!(" http-request set-header X \"{format}\"\n"), |config, scene| {
        let Action::SetHeader(_, format) = &config.proxies[0].request_rules[0].action else {
            panic!("{config:?}")
        };
        let mut out = Vec::new();
        write(format, scene, &mut out);
        String::from_utf8(out).unwrap()
    })
}

fn condition(text: &str) -> bool {
    with(&format!(" http-request deny {text}\n"), |config, scene| {
        let proxy = &config.proxies[0];
        holds(proxy.request_rules[0].condition.as_ref(), &proxy.acls, scene)
    })
}

#[test]
fn fetches_find_what_haproxy_finds() {
    for (format, wanted) in [
        (
            "%[path]|%[pathq]|%[query]|%[url]",
            "/a/B.png|/a/B.png?x=1&y=%41;z|x=1&y=%41;z|/a/B.png?x=1&y=%41;z",
        ),
        ("%[base]", "Www.Example.COM:8080/a/B.png"),
        ("%[method] %[req.ver]", "GET 1.1"),
        ("%[req.hdr(x-list)]", "five"),
        (
            "%[req.hdr(x-list,1)]|%[req.hdr(x-list,3)]|%[req.hdr(x-list,-2)]",
            "one|\"three, four\"|\"three, four\"",
        ),
        ("%[req.fhdr(x-list,1)]", "one, two ,\"three, four\""),
        ("%[req.hdr_cnt(x-list)] %[req.fhdr_cnt(x-list)] %[req.hdr_cnt(none)]", "4 2 0"),
        ("%[req.hdr(none)]", ""),
        ("%[req.cook(t)] %[req.cook(s)] %[req.cook_cnt(s)]", "abc 2 2"),
        ("%[urlp(y)] %[urlp(y),url_dec] %[urlp(z)]", "%41 A "),
        ("%[src] %[src_port]", "192.0.2.7 4711"),
        ("%[hdr_ip(x-forwarded-for)]", "10.1.2.3"),
        ("%[ssl_fc] %[always_true] %[int(-5)] %[str(a b)] %[bin(00ff)]", "0 1 -5 a b 00FF"),
        ("%[fe_name] %[hostname] %ci:%cp %HM %HP", "web node01 192.0.2.7:4711 GET /a/B.png"),
        ("%[http_first_req] %[req.proto_http]", "1 1"),
        ("%[date] %[date(-700)]", "1795478700 1795478000"),
        ("100%% %{+Q}[path]", "100% \"/a/B.png\""),
    ] {
        assert_eq!(text(format), wanted, "{format}");
    }
}

#[test]
fn converters_do_what_haproxy_does() {
    for (format, wanted) in [
        ("%[req.hdr(host),lower,host_only]", "www.example.com"),
        ("%[req.hdr(host),port_only] %[path,upper] %[path,length]", "8080 /A/B.PNG 8"),
        ("%[req.hdr(host),field(2,.)] %[path,field(-1,.)] %[path,word(1,/)]", "Example png a"),
        ("%[str(a.b.c.d),field(2,.,2)] %[str(a.b.c.d),field(2,.,0)]", "b.c b.c.d"),
        ("%[str(abc),base64] %[str(YWJj),b64dec] %[str(abc),hex]", "YWJj 616263 616263"),
        ("%[int(7),add(3),mul(2),sub(1),div(4),mod(3)]", "1"),
        (
            "%[int(6),and(3)] %[int(6),or(1)] %[int(6),xor(3)] %[int(0),not] %[int(0),cpl]",
            "2 7 5 1 -1",
        ),
        ("%[str(ff),hex2i] %[int(3),odd] %[int(3),even] %[int(3),neg]", "255 1 0 -3"),
        ("%[src,ipmask(24)]", "192.0.2.0"),
        ("%[path,regsub(^/a,/b)] %[str(aXa),regsub(a,b,g)]", "/b/B.png bXb"),
        ("%[str(x),concat(<,,>)] %[ssl_fc,iif(https,http)]", "x<> http"),
        ("%[str(abcdef),bytes(1,2)]", "6263"),
        ("%[str(xxaxx),ltrim(x)] %[str(xxaxx),rtrim(x)]", "axx xxa"),
        ("%[str(a b),url_enc]", "a%20b"),
        (
            "%[path,set-var(txn.p)]%[var(txn.p)] %[str(/a/B.png),strcmp(txn.p)]",
            "/a/B.png/a/B.png 0",
        ),
    ] {
        assert_eq!(text(format), wanted, "{format}");
    }
}

#[test]
fn no_value_ends_the_line_that_it_stands_in() {
    assert_eq!(text("%[str(a%0d%0aX: b),url_dec]"), "a%0D%0AX: b");
}

#[test]
fn conditions_hold_as_in_haproxy() {
    for (text, wanted) in [
        ("if { path_beg /a }", true),
        ("if { path_beg -i /A/b }", true),
        ("if { path -m end .png } !{ src 10.0.0.0/8 }", true),
        ("if { path_end .jpg } or METH_GET", true),
        ("unless METH_GET", false),
        ("if { hdr(x-list) two }", true),
        ("if { hdr(x-list) -m beg \\\"three }", true),
        ("if { hdr(x-list) none }", false),
        ("if { hdr_dom(host) -i example }", true),
        ("if { hdr_reg(host) -i ^www\\.example\\. }", true),
        ("if { hdr_cnt(x-list) gt 3 }", true),
        ("if { hdr_cnt(x-list) lt 4 }", false),
        ("if { hdr_len(x-list) 3 }", true),
        ("if { req.hdr(none) -m found }", false),
        ("if !{ req.hdr(none) -m found }", true),
        ("if { src 192.0.2.0/24 }", true),
        ("if { src_port 4000:5000 }", true),
        ("if { req.cook(s) 1 }", true),
        ("if { urlp(x) -m int 1 }", true),
        ("if { ssl_fc }", false),
        ("if { var(txn.none) -m str x }", false),
        ("if LOCALHOST || HTTP_1.1 HTTP_URL_SLASH", true),
        ("if { path_sub B } { path_dir a } !HTTP_CONTENT", true),
        ("if { method POST GET }", true),
        ("if { req.hdr(host),lower,field(1,:) www.example.com }", true),
    ] {
        assert_eq!(condition(text), wanted, "{text}");
    }
}

#[test]
fn several_lines_of_one_name_are_one_acl() {
    let lines = " acl a path_beg /x\n acl a src 192.0.2.7\n http-request deny if a\n";
    let holds = with(lines, |config, scene| {
        let proxy = &config.proxies[0];
        holds(proxy.request_rules[0].condition.as_ref(), &proxy.acls, scene)
    });
    assert!(holds);
}

#[test]
fn maps_give_the_value_of_the_key_that_fits() {
    let file = std::env::temp_dir().join(format!("outlast-map-{}", std::process::id()));
    let lines = "# names\nexample.com main\nwww first\n/a short\n/a/B long\n\n10.0.0.0/8 net\n10.1.0.0/16 narrow\n";
    std::fs::write(&file, lines).unwrap();
    let path = file.display();
    for (expr, wanted) in [
        (format!("%[req.hdr(host),lower,map_dom({path},none)]"), "main"),
        (format!("%[str(www),map({path},none)] %[str(ww),map({path},none)]"), "first none"),
        (format!("%[path,map_beg({path})]"), "long"),
        (format!("%[path,map_sub({path})]"), "short"),
        (format!("%[str(x),map({path})]"), ""),
    ] {
        assert_eq!(text(&expr), wanted, "{expr}");
    }
    std::fs::write(&file, "10.0.0.0/8 net\n10.1.0.0/16 narrow\n").unwrap();
    assert_eq!(text(&format!("%[hdr_ip(x-forwarded-for),map_ip({path})]")), "narrow");
    std::fs::remove_file(&file).unwrap();
}
