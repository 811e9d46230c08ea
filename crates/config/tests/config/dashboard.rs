//! `[dashboard]`: where it answers, and how strangers are kept out.

use expect_test::expect;
use outlast_config::cluster::DashboardTls;

use crate::cluster::{check, read};

#[test]
fn a_dashboard_that_others_can_reach_needs_a_token() {
    let head = "[cluster]\nname = \"c\"\n[node.a]\nnetworks = { m = \"10.0.0.1\" }\n[dashboard]\n";
    check(
        &format!(
            "{head}listen = [\"127.0.0.1:80\", \"10.0.0.1:7412\", \"10.0.0.1\", \"[::1]:80\"]\n"
        ),
        expect![[r#"
            error[missing-key]: without a token the dashboard is not shown on 10.0.0.1:7412
             --> outlast.toml:6:27
              |
            6 | listen = ["127.0.0.1:80", "10.0.0.1:7412", "10.0.0.1", "[::1]:80"]
              |                           ^^^^^^^^^^^^^^^
              = help: add `token_file = "/etc/outlast/token"`

            error[no-tls]: without a certificate the dashboard is not shown on 10.0.0.1:7412
             --> outlast.toml:6:27
              |
            6 | listen = ["127.0.0.1:80", "10.0.0.1:7412", "10.0.0.1", "[::1]:80"]
              |                           ^^^^^^^^^^^^^^^
              = help: add `tls_cert` and `tls_key`, or `trust_dir` to [cluster] after `outlast init`; `insecure = true` shows it in the clear

            error[bad-value]: `10.0.0.1` is no address with a port, nor a network of this file
             --> outlast.toml:6:44
              |
            6 | listen = ["127.0.0.1:80", "10.0.0.1:7412", "10.0.0.1", "[::1]:80"]
              |                                            ^^^^^^^^^^
              = help: write `listen = "127.0.0.1:7412"`, or one of m and a port

            3 errors
        "#]],
    );
    let own = "tls_cert = \"c\"\ntls_key = \"k\"\n";
    check(&format!("{head}listen = \"m:7412\"\ntoken_file = \"token\"\n{own}"), expect![[""]]);
    check(
        &format!("{head}listen = [\"m\", \"m:7412\", \"mm:80\"]\n"),
        expect![[r#"
            error[missing-key]: without a token the dashboard is not shown on m
             --> outlast.toml:6:11
              |
            6 | listen = ["m", "m:7412", "mm:80"]
              |           ^^^
              = help: add `token_file = "/etc/outlast/token"`

            error[no-tls]: without a certificate the dashboard is not shown on m
             --> outlast.toml:6:11
              |
            6 | listen = ["m", "m:7412", "mm:80"]
              |           ^^^
              = help: add `tls_cert` and `tls_key`, or `trust_dir` to [cluster] after `outlast init`; `insecure = true` shows it in the clear

            error[duplicate-address]: m:7412 stands here twice
             --> outlast.toml:6:16
              |
            6 | listen = ["m", "m:7412", "mm:80"]
              |                ^^^^^^^^

            error[bad-value]: `mm:80` is no address with a port, nor a network of this file
             --> outlast.toml:6:26
              |
            6 | listen = ["m", "m:7412", "mm:80"]
              |                          ^^^^^^^
              = help: write `listen = "127.0.0.1:7412"`, or one of m and a port

            4 errors
        "#]],
    );
    check(&format!("{head}listen = \"none\"\n"), expect![[""]]);
}

#[test]
fn a_dashboard_that_others_can_reach_speaks_tls_or_the_operator_says_in_so_many_words_that_it_does_not()
 {
    let file = |more: &str, dashboard: &str| {
        format!(
            "[cluster]\nname = \"c\"\n{more}[node.a]\nnetworks = {{ m = \"10.0.0.1\" }}\n\
             [dashboard]\nlisten = [\"m:7412\", \"127.0.0.1:80\"]\n{dashboard}"
        )
    };
    check(&file("trust_dir = \"trust\"\n", ""), expect![[""]]);
    check(
        &file("", "token_file = \"t\"\n"),
        expect![[r#"
        error[no-tls]: without a certificate the dashboard is not shown on m:7412
         --> outlast.toml:6:11
          |
        6 | listen = ["m:7412", "127.0.0.1:80"]
          |           ^^^^^^^^
          = help: add `tls_cert` and `tls_key`, or `trust_dir` to [cluster] after `outlast init`; `insecure = true` shows it in the clear

        1 error
    "#]],
    );
    check(
        &file("", "token_file = \"t\"\ninsecure = true\n"),
        expect![[r#"
        note[no-tls]: whoever hears the network of m:7412 reads the pages and the token
         --> outlast.toml:6:11
          |
        6 | listen = ["m:7412", "127.0.0.1:80"]
          |           ^^^^^^^^
          = help: take `insecure = true` out once there is a certificate

        1 note
    "#]],
    );
    check(
        &file("trust_dir = \"trust\"\n", "insecure = true\n"),
        expect![[r#"
        error[missing-key]: without a token the dashboard is not shown on m:7412
         --> outlast.toml:7:11
          |
        7 | listen = ["m:7412", "127.0.0.1:80"]
          |           ^^^^^^^^
          = help: add `token_file = "/etc/outlast/token"`

        note[no-tls]: whoever hears the network of m:7412 reads the pages and the token
         --> outlast.toml:7:11
          |
        7 | listen = ["m:7412", "127.0.0.1:80"]
          |           ^^^^^^^^
          = help: take `insecure = true` out once there is a certificate

        1 error, 1 note
    "#]],
    );
    check(
        &file("", "token_file = \"t\"\ntls_cert = \"c\"\n"),
        expect![[r#"
        error[no-tls]: without a certificate the dashboard is not shown on m:7412
         --> outlast.toml:6:11
          |
        6 | listen = ["m:7412", "127.0.0.1:80"]
          |           ^^^^^^^^
          = help: add `tls_cert` and `tls_key`, or `trust_dir` to [cluster] after `outlast init`; `insecure = true` shows it in the clear

        error[missing-key]: `tls_cert` needs `tls_key`
         --> outlast.toml:8:12
          |
        8 | tls_cert = "c"
          |            ^^^

        2 errors
    "#]],
    );
    check(
        &file("", "token_file = \"t\"\ntls_key = \"k\"\ninsecure = 1\n"),
        expect![[r#"
        error[no-tls]: without a certificate the dashboard is not shown on m:7412
         --> outlast.toml:6:11
          |
        6 | listen = ["m:7412", "127.0.0.1:80"]
          |           ^^^^^^^^
          = help: add `tls_cert` and `tls_key`, or `trust_dir` to [cluster] after `outlast init`; `insecure = true` shows it in the clear

        error[missing-key]: `tls_key` needs `tls_cert`
         --> outlast.toml:8:11
          |
        8 | tls_key = "k"
          |           ^^^

        error[bad-value]: expected true or false, found 1
         --> outlast.toml:9:12
          |
        9 | insecure = 1
          |            ^
          = help: write `insecure = true`

        3 errors
    "#]],
    );
    let all = "token_file = \"t\"\ntls_cert = \"c\"\ntls_key = \"k\"\ninsecure = true\n";
    check(
        &file("", all),
        expect![[r#"
        note[no-tls]: whoever hears the network of m:7412 reads the pages and the token
         --> outlast.toml:6:11
          |
        6 | listen = ["m:7412", "127.0.0.1:80"]
          |           ^^^^^^^^
          = help: take `insecure = true` out once there is a certificate

        error[bad-value]: either `tls_cert` and `tls_key`, or `insecure = true`
          --> outlast.toml:10:12
           |
        10 | insecure = true
           |            ^^^^

        1 error, 1 note
    "#]],
    );
    let tls = |more: &str, dashboard: &str| read(&file(more, dashboard)).0.unwrap().dashboard.tls;
    let files = DashboardTls::Files { certificate: "c".into(), key: "k".into() };
    assert_eq!(tls("trust_dir = \"trust\"\n", ""), DashboardTls::Node);
    assert_eq!(tls("trust_dir = \"trust\"\n", "tls_cert = \"c\"\ntls_key = \"k\"\n"), files);
    assert_eq!(tls("trust_dir = \"trust\"\n", "insecure = true\n"), DashboardTls::None);
}

#[test]
fn the_dashboard_answers_on_loopback_or_where_the_file_says() {
    let places = |text: &str| {
        let head = "[cluster]\nname = \"c\"\n[node.a]\nnetworks = { m = \"10.0.0.1\" }\n";
        let cluster = read(&format!("{head}[dashboard]\n{text}")).0.unwrap();
        let addresses = cluster.dashboard.addresses(cluster.nodes.first());
        let listen: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        (listen.join(" "), cluster.dashboard.is_asked_for)
    };
    assert_eq!(places(""), ("127.0.0.1:7412".to_owned(), false));
    assert_eq!(places("listen = \"none\"\n"), (String::new(), true));
    assert_eq!(places("listen = \"[::1]:80\"\n"), ("[::1]:80".to_owned(), true));
    let own = "listen = \"m:80\"\ntoken_file = \"t\"\n";
    assert_eq!(places(own), ("10.0.0.1:80".to_owned(), true));
}
