//! `[store]` of `outlast.toml`.

use expect_test::expect;

use crate::cluster::{check, read};

#[test]
fn members_of_the_store_are_checked() {
    let node =
        |name: &str, last: u8| format!("[node.{name}]\nnetworks = {{ m = \"10.0.0.{last}\" }}\n");
    let nodes = node("a", 1) + &node("b", 2) + &node("c", 3) + &node("d", 4);
    let head = format!("[cluster]\nname = \"c\"\ntrust_dir = \"t\"\n{nodes}[store]\n");
    check(&format!("{head}members = [\"a\", \"b\", \"c\"]\n"), expect![[""]]);
    check(
        &format!("{head}members = [\"a\", \"bb\", \"b\"]\nport = 80\n"),
        expect![[r#"
        error[unknown-name]: there is no node `bb`
          --> outlast.toml:13:17
           |
        13 | members = ["a", "bb", "b"]
           |                 ^^^^
           = help: did you mean `b`?

        error[bad-value]: expected a port from 1024 to 65535, found 80
          --> outlast.toml:14:8
           |
        14 | port = 80
           |        ^^
           = help: write `port = 7414`

        2 errors
    "#]],
    );
    check(
        &format!("{head}members = [\"a\", \"b\"]\n"),
        expect![[r#"
        error[two-voters]: two members of the store cannot lose any: with one gone the other has no majority
          --> outlast.toml:13:11
           |
        13 | members = ["a", "b"]
           |           ^^^^^^^^^^
           = help: name a third node, it may run nothing else; or one, if this is a test

        1 error
    "#]],
    );
    check(
        &head,
        expect![[r#"
        warning[even-members]: 4 members outlive no more losses than 3
          --> outlast.toml:12:2
           |
        12 | [store]
           |  ^^^^^
           = help: name one less

        1 warning
    "#]],
    );
    let open = head.replace("trust_dir = \"t\"\n", "");
    check(
        &format!("{open}members = [\"a\", \"b\", \"c\"]\n"),
        expect![[r#"
        error[missing-key]: without certificates members of the store cannot prove who they are
          --> outlast.toml:12:11
           |
        12 | members = ["a", "b", "c"]
           |           ^^^^^^^^^^^^^^^
           = help: add `trust_dir = "/var/lib/outlast/trust"` to [cluster], after `outlast init` and `join`

        1 error
    "#]],
    );
    let apart =
        open.replace("10.0.0.", "127.0.0.").replace("c]\nnetworks = { m", "c]\nnetworks = { n");
    check(
        &format!("{apart}members = [\"a\", \"b\", \"c\"]\n"),
        expect![[r#"
        error[no-network]: there is no network on which all members of the store are
          --> outlast.toml:12:11
           |
        12 | members = ["a", "b", "c"]
           |           ^^^^^^^^^^^^^^^
           = help: give each of them an address on one network

        1 error
    "#]],
    );
    let alone = read(&format!("{open}members = \"b\"\n")).0.unwrap();
    let store = alone.store.unwrap();
    assert_eq!((store.members, store.port), (vec![1], 7414));
}

#[test]
fn an_etcd_is_checked_and_its_keys_go_with_its_engine() {
    let head = "[cluster]\nname = \"c\"\n[node.a]\nnetworks = { m = \"10.0.0.1\" }\n\
        [node.b]\nnetworks = { m = \"10.0.0.2\" }\n[store]\nengine = \"etcd\"\n";
    check(
        head,
        expect![[r#"
        error[missing-key]: nobody says where etcd is
         --> outlast.toml:7:2
          |
        7 | [store]
          |  ^^^^^
          = help: add `endpoints = ["https://10.79.0.51:2379"]`

        1 error
    "#]],
    );
    let wrong = "endpoints = [\"http://10.0.0.9:2379\", \"10.0.0.9\", \"https://e:2379\"]\nport = 7000\n\
        cert_file = \"c\"\nuser = \"u\"\n";
    check(
        &format!("{head}{wrong}"),
        expect![[r#"
        error[missing-key]: nobody says which authority signed the certificates of etcd
         --> outlast.toml:7:2
          |
        7 | [store]
          |  ^^^^^
          = help: add `ca_file = "/etc/outlast/etcd-ca.pem"`

        error[missing-key]: a certificate without its key proves nothing
         --> outlast.toml:7:2
          |
        7 | [store]
          |  ^^^^^
          = help: add `key_file`

        error[missing-key]: an account needs its password
         --> outlast.toml:7:2
          |
        7 | [store]
          |  ^^^^^
          = help: add `password_file = "/etc/outlast/etcd-password"`

        error[no-encryption]: anybody on the way could read and change what is in the store
         --> outlast.toml:9:14
          |
        9 | endpoints = ["http://10.0.0.9:2379", "10.0.0.9", "https://e:2379"]
          |              ^^^^^^^^^^^^^^^^^^^^^^
          = help: write `https://…`; `http` only on loopback

        error[bad-value]: expected https://HOST:PORT, found "10.0.0.9"
         --> outlast.toml:9:38
          |
        9 | endpoints = ["http://10.0.0.9:2379", "10.0.0.9", "https://e:2379"]
          |                                      ^^^^^^^^^^

        error[unused-key]: `port` is of the store inside, and this one is etcd
          --> outlast.toml:10:8
           |
        10 | port = 7000
           |        ^^^^
           = help: remove it

        6 errors
    "#]],
    );
    let inside = head.replace("engine = \"etcd\"\n", "members = \"a\"\nuser = \"u\"\n");
    check(
        &inside,
        expect![[r#"
        error[unused-key]: `user` is of etcd, and the store is the one inside
         --> outlast.toml:9:8
          |
        9 | user = "u"
          |        ^^^
          = help: add `engine = "etcd"` to [store], or remove it

        1 error
    "#]],
    );
    check(
        &head.replace("etcd", "consul"),
        expect![[r#"
        error[two-voters]: two members of the store cannot lose any: with one gone the other has no majority
         --> outlast.toml:7:2
          |
        7 | [store]
          |  ^^^^^
          = help: name a third node, it may run nothing else; or one, if this is a test

        error[missing-key]: without certificates members of the store cannot prove who they are
         --> outlast.toml:7:2
          |
        7 | [store]
          |  ^^^^^
          = help: add `trust_dir = "/var/lib/outlast/trust"` to [cluster], after `outlast init` and `join`

        error[bad-value]: expected "embedded" or "etcd", found "consul"
         --> outlast.toml:8:10
          |
        8 | engine = "consul"
          |          ^^^^^^^^
          = help: write `engine = "etcd"`

        3 errors
    "#]],
    );
    let right = "endpoints = \"https://[::1]:2379\"\nca_file = \"ca\"\ncert_file = \"c\"\nkey_file = \"k\"\n\
        user = \"u\"\npassword_file = \"p\"\n";
    check(&format!("{head}{right}"), expect![[""]]);
    let store = read(&format!("{head}{right}")).0.unwrap().store.unwrap();
    let etcd = store.etcd.unwrap();
    // Two may ask it: they do not vote.
    assert_eq!((store.members, etcd.prefix.as_str()), (vec![0, 1], "outlast/c/"));
    assert_eq!(etcd.user, Some(("u".to_owned(), "p".into())));
}
