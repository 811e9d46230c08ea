//! What is surely meant otherwise is repaired, and nothing else.

use expect_test::expect;
use outlast_config::{Around, Repair, Severity, Source, load, repair};

use crate::documents::document;

fn repaired(files: &[(&str, &str)], script: Option<&str>) -> Repair {
    let source =
        |(path, text): &(&str, &str)| Source { path: (*path).to_owned(), text: (*text).to_owned() };
    let script = |_: &str| script.map(str::to_owned);
    repair(files.iter().map(source).collect(), Around { script: &script, ..Around::default() })
}

/// As a list of changed lines.
fn shown(repair: &Repair) -> String {
    let mut text = String::new();
    for change in &repair.changes {
        text.push_str(&format!("{}:{} {}\n", change.path, change.line, change.reasons.join("; ")));
        text.push_str(&format!("-{}\n+{}\n", change.before, change.after.replace('\n', "\n+")));
    }
    text
}

fn errors(repair: &Repair) -> Vec<&str> {
    let wrong = repair.loaded.diagnostics.iter().filter(|f| f.severity == Severity::Error);
    wrong.map(|finding| finding.message.as_str()).collect()
}

const TIMEOUTS: &str = " timeout client 1m\n timeout server 1m\n timeout connect 1s\n";

#[test]
fn words_units_and_old_names_are_repaired() {
    let text = format!(
        "global\n nbproc 2\ndefaults\n{TIMEOUTS} redispatch\n clitimeout 10sec\n\
         listen a 127.0.0.1:80\n mode htpp\n balanse source\n server x 127.0.0.1:1 chek inter 2sec\n \
         server y 127.0.0.1:2 check # kept\n"
    );
    let repair = repaired(&[("lb.cfg", &text)], None);
    expect![[r#"
        lb.cfg:2 `nbproc` is no longer supported by HAProxy
        - nbproc 2
        + # nbproc 2
        lb.cfg:7 `redispatch` is no longer supported by HAProxy
        - redispatch
        + option redispatch
        lb.cfg:8 `clitimeout` is no longer supported by HAProxy
        - clitimeout 10sec
        + timeout client 10sec
        lb.cfg:9 nothing is expected behind the name
        -listen a 127.0.0.1:80
        +listen a 
        +    bind 127.0.0.1:80
        lb.cfg:10 expected tcp or http, found `htpp`
        - mode htpp
        + mode http
        lb.cfg:11 `balanse` is no keyword in a `listen` section
        - balanse source
        + balance source
        lb.cfg:12 `chek` is no option of `server`; `2sec` is read as `2s`; HAProxy will refuse it one day
        - server x 127.0.0.1:1 chek inter 2sec
        + server x 127.0.0.1:1 check inter 2s
        lb.cfg:8 `10sec` is read as `10s`; HAProxy will refuse it one day
        - timeout client 10sec
        + timeout client 10s
    "#]].assert_eq(&shown(&repair));
    assert_eq!(errors(&repair), Vec::<&str>::new());
    assert_eq!(repair.files.len(), 1);
    assert!(repair.files[0].text.contains("check # kept\n"));
}

#[test]
fn what_could_be_meant_two_ways_is_left_alone() {
    let text = format!("defaults\n{TIMEOUTS}listen a\n bind 127.0.0.1:80\n log 127.0.0.1 local8\n");
    let repair = repaired(&[("lb.cfg", &text)], None);
    assert_eq!(shown(&repair), "");
    assert_eq!(errors(&repair), ["`local8` is no log facility"]);
    assert!(repair.files.is_empty());
}

const KEEPALIVED: &str = "vrrp_script alive {\n script /check.sh\n}\nvrrp_instance a {\n  \
    state BACKUP # everywhere\n  interface eth0\n  virtual_router_id 7\n  advert_int 1.5\n  \
    prioritty 100\n  authentication {\n   auth_type PASS\n   auth_pass \"123456789\"\n  }\n  \
    virtual_ipaddress {\n   10.0.0.9\n  }\n  track_script {\n   alive\n  }\n}\n";

const PROXIES: &str = "global\n stats socket /run/kolla/haproxy.sock\nlisten a\n \
    bind 10.0.0.9:80\n timeout client 1m\n timeout server 1m\n timeout connect 1s\n \
    server x 10.0.0.1:80\n server y 10.0.0.2:80\n";

#[test]
fn keepaliveds_file_and_the_check_script_are_repaired() {
    let script = "#!/bin/sh\necho show info | socat /run/kola/haproxy.sock stdio\n";
    let files = [("keepalived.conf", KEEPALIVED), ("lb.cfg", PROXIES)];
    let repair = repaired(&files, Some(script));
    expect![[r#"
        keepalived.conf:5 `a` goes back to the stronger node when it returns: a second interruption
        -  state BACKUP # everywhere
        +  nopreempt
        +  state BACKUP # everywhere
        keepalived.conf:8 VRRP version 2 counts whole seconds: this is 2 s
        -  advert_int 1.5
        +  advert_int 2
        keepalived.conf:9 `prioritty` is no keyword of `vrrp_instance`
        -  prioritty 100
        +  priority 100
        keepalived.conf:12 only 8 bytes of this password are used, not 9
        -   auth_pass "123456789"
        +   auth_pass "12345678"
        /check.sh:2 check `alive` asks /run/kola/haproxy.sock, which is not the balancer's socket
        -echo show info | socat /run/kola/haproxy.sock stdio
        +echo show info | socat /run/kolla/haproxy.sock stdio
    "#]]
    .assert_eq(&shown(&repair));
    let warnings: Vec<&str> = repair.loaded.diagnostics.iter().map(|f| f.code).collect();
    assert_eq!(warnings, Vec::<&str>::new());
    let paths: Vec<&str> = repair.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["keepalived.conf", "/check.sh"]);
}

#[test]
fn a_repair_is_repaired_no_further() {
    let files = [("keepalived.conf", KEEPALIVED), ("lb.cfg", PROXIES)];
    let first = repaired(&files, None);
    let again = repair(first.loaded.sources.clone(), Around::default());
    assert_eq!(shown(&again), "");
    assert_eq!(again.loaded.sources, first.loaded.sources);
}

#[test]
fn the_published_file_is_repaired_in_its_four_lines() {
    let test = "the_published_file_is_repaired_in_its_four_lines";
    let Some(source) = document(test, "seed003.verbatim.cfg") else { return };
    let repair = repair(vec![source], Around::default());
    expect![[r#"
        seed003.verbatim.cfg:6 `5140` is no log facility
        -log 100.2.30.41 5140 local1
        +log 100.2.30.41:5140 local1
        seed003.verbatim.cfg:131 `(NOTE):` is no keyword in a `listen` section
        -(NOTE): This defaults section deletes forwardfor as recommended by:
        +# (NOTE): This defaults section deletes forwardfor as recommended by:
        seed003.verbatim.cfg:133 `(NOTE):` is no keyword in a `listen` section
        -(NOTE): This defaults section deletes forwardfor as recommended by:
        +# (NOTE): This defaults section deletes forwardfor as recommended by:
        seed003.verbatim.cfg:134 `{+}` is no keyword in a `listen` section
        -{+}
        +# {+}
    "#]]
    .assert_eq(&shown(&repair));
    assert_eq!(errors(&repair), Vec::<&str>::new());
    assert_eq!(load(repair.files).diagnostics, repair.loaded.diagnostics);
}

#[test]
fn every_change_of_a_broken_file_makes_it_no_worse() {
    let cases = include_str!("haproxy_cases.txt").split("=== ").skip(1);
    for case in cases {
        let (name, text) = case.split_once('\n').unwrap();
        let source = Source { path: "lb.cfg".to_owned(), text: text.to_owned() };
        let count = |diagnostics: &[outlast_config::Diagnostic]| {
            diagnostics.iter().filter(|f| f.severity == Severity::Error).count()
        };
        let before = count(&load(vec![source.clone()]).diagnostics);
        let repair = repair(vec![source], Around::default());
        assert!(count(&repair.loaded.diagnostics) <= before, "{name}");
    }
}
