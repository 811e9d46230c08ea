//! What is known and not run, or run only in part.

use outlast_config::{Loaded, Source, load};

fn loaded(text: &str) -> Loaded {
    let common = "defaults\n mode http\n timeout client 1m\n timeout server 1m\n \
                  timeout connect 1s\n";
    let source = Source { path: "lb.cfg".to_owned(), text: format!("{common}{text}") };
    load(vec![source])
}

fn told(loaded: &Loaded) -> Vec<&str> {
    loaded.diagnostics.iter().map(|finding| finding.message.as_str()).collect()
}

#[test]
fn variables_of_checks_are_known_and_told_not_to_be_run() {
    let found = loaded(
        "backend a\n option httpchk\n http-check set-var(check.server) srv_name\n \
         http-check set-var-fmt(check.where) %[srv_name]\n http-check unset-var(check.where)\n",
    );
    assert_eq!(
        told(&found),
        [
            "`http-check set-var(check.server)` is not run yet",
            "`http-check set-var-fmt(check.where)` is not run yet",
            "`http-check unset-var(check.where)` is not run yet",
        ]
    );
    assert!(found.haproxy.is_some());
}

#[test]
fn the_first_use_backend_that_always_holds_comes_before_default_backend() {
    let backends = "backend a\n server x 127.0.0.1:1\nbackend b\n server x 127.0.0.1:1\n\
                    backend c\n server x 127.0.0.1:1\n";
    let rows: [(&str, &str, usize); 5] = [
        ("default_backend a\n use_backend b\n use_backend c", "b", 0),
        ("use_backend b if TRUE\n default_backend a", "b", 0),
        ("use_backend c", "c", 0),
        ("use_backend b if { src 10.0.0.1 }\n use_backend c\n default_backend a", "c", 1),
        ("use_backend %[path,lower]\n use_backend b if { ssl_fc }\n default_backend a", "a", 2),
    ];
    for (lines, expected, not_run) in rows {
        let found = loaded(&format!("frontend f\n bind 127.0.0.1:1\n {lines}\n{backends}"));
        let proxies = &found.haproxy.as_ref().unwrap().proxies;
        assert_eq!(proxies[0].default_backend.as_deref(), Some(expected), "{lines}");
        let starts = |message: &&str| message.starts_with("`use_backend");
        assert_eq!(told(&found).into_iter().filter(starts).count(), not_run, "{lines}");
    }
}
