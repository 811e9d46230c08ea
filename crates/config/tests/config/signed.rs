//! What signs adverts (`auth_hmac`), in both languages.

use expect_test::{Expect, expect};
use outlast_config::vip::{Hmac, KeyValue, Mode, Replay};
use outlast_config::{Loaded, Source, effective_vips, load, render};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn keepalived(block: &str, more: &str) -> Loaded {
    let text = format!(
        "vrrp_instance one {{\n interface eth0\n virtual_router_id 51\n advert_int 4\n{more}\n \
         virtual_ipaddress {{\n  10.0.0.9\n }}\n auth_hmac {{\n{block}\n }}\n}}\n"
    );
    load(vec![Source { path: "keepalived.conf".to_owned(), text }])
}

fn cluster(lines: &str) -> Loaded {
    let text = format!(
        "[cluster]\nname = \"c\"\n[node.a]\nnetworks = {{ m = \"10.0.0.1\" }}\n[vip.v]\n\
         address = \"10.0.0.9\"\nrouter_id = 7\n{lines}\n"
    );
    load(vec![Source { path: "outlast.toml".to_owned(), text }])
}

fn hmac(loaded: &Loaded) -> Hmac {
    assert!(!loaded.has_errors(), "{}", render(&loaded.sources, &loaded.diagnostics));
    let (cluster, file) = (loaded.cluster.as_ref(), loaded.keepalived.as_ref());
    let node = cluster.map(|_| 0);
    let vips = effective_vips(cluster, file, node, false, &|_| Some("eth0".to_owned()));
    vips.expect("complete").remove(0).hmac.expect("it signs")
}

#[test]
fn what_signs_adverts_is_read_in_both_languages() {
    let written = format!("  key 1 hex:{KEY}\n  key 7 file:/etc/key\n  active_key 7");
    let read = hmac(&keepalived(&written, ""));
    assert_eq!(read.keys[0].value, KeyValue::Bytes((0..32).collect()));
    assert_eq!((read.keys[1].id, read.active), (7, 7));
    assert_eq!(read.keys[1].value, KeyValue::File("/etc/key".to_owned()));
    // Three adverts of 4 s.
    assert_eq!((read.replay, read.mode), (Replay::Time { window: 12 }, Mode::Enforce));
    let more = format!("{written}\n  anti_replay monotonic\n  mode receive-only\n  time_window 9");
    let read = hmac(&keepalived(&more, ""));
    assert_eq!((read.replay, read.mode), (Replay::Monotonic, Mode::ReceiveOnly));
    let timed = hmac(&keepalived(&format!("{written}\n  time_window 300\n mode permissive"), ""));
    assert_eq!((timed.replay, timed.mode), (Replay::Time { window: 300 }, Mode::Permissive));

    let read = hmac(&cluster("hmac_keys = { 9 = \"vip.key\" }"));
    assert_eq!(read.keys[0].value, KeyValue::File("vip.key".to_owned()));
    assert_eq!((read.active, read.replay), (9, Replay::Time { window: 5 }));
    let two = "hmac_keys = { 9 = \"vip.key\", 2 = \"new.key\" }\nhmac_active = 2\n";
    let read = hmac(&cluster(&format!("{two}hmac_replay = \"monotonic\"")));
    assert_eq!((read.active, read.replay), (2, Replay::Monotonic));
    let read = hmac(&cluster(&format!("{two}hmac_window = \"7s\"\nhmac_mode = \"permissive\"")));
    assert_eq!((read.mode, read.replay), (Mode::Permissive, Replay::Time { window: 7 }));
}

fn check(loaded: &Loaded, expected: &Expect) {
    let told = render(&loaded.sources, &loaded.diagnostics);
    assert!(!told.contains("0102030405"), "{told}");
    expected.assert_eq(&told);
}

#[test]
fn a_mistake_in_what_signs_adverts_is_told_and_no_key_is_shown() {
    let written = format!(
        "  key 1 hex:{KEY}00f\n  key 300 hex:{KEY}\n  key 2 hex:{}\n  kee 3 hex:{KEY}\n  active_key 1\n  \
         anti_replay never\n  time_window 301\n  mode loose\n  key 4",
        &KEY[..20]
    );
    check(
        &keepalived(&written, ""),
        &expect![[r#"
            warning[no-nopreempt]: `one` goes back to the stronger node when it returns: a second interruption
             --> keepalived.conf:1:15
              |
            1 | vrrp_instance one {
              |               ^^^
              = help: add `nopreempt`

            error[bad-value]: there is no whole hexadecimal number behind hex:
              --> keepalived.conf:10:9
               |
            10 |   key 1 (secret)
               |         ^^^^^^^^
               = help: write hex: and what openssl rand -hex 32 says, or file: and a path

            error[bad-value]: expected the id of a key from 1 to 255, found `300`
              --> keepalived.conf:11:7
               |
            11 |   key 300 hex:(secret)
               |       ^^^

            error[bad-value]: a key has 32 to 64 bytes, this one has 10
              --> keepalived.conf:12:9
               |
            12 |   key 2 (secret)
               |         ^^^^^^^^
               = help: write hex: and what openssl rand -hex 32 says, or file: and a path

            error[unknown-keyword]: `kee` is no keyword of `auth_hmac`
              --> keepalived.conf:13:3
               |
            13 |   kee 3 hex:(secret)
               |   ^^^
               = help: did you mean `key`?

            error[auth-hmac]: `auth_hmac` does not say which of its keys signs
              --> keepalived.conf:14:14
               |
            14 |   active_key 1
               |              ^
               = help: write `active_key` with the id of a `key`

            error[bad-value]: expected time or monotonic, found `never`
              --> keepalived.conf:15:15
               |
            15 |   anti_replay never
               |               ^^^^^

            error[bad-value]: expected seconds from 1 to 300, found `301`
              --> keepalived.conf:16:15
               |
            16 |   time_window 301
               |               ^^^

            error[bad-value]: expected enforce, permissive or receive-only, found `loose`
              --> keepalived.conf:17:8
               |
            17 |   mode loose
               |        ^^^^^

            error[missing-word]: expected an id and a key behind `key`
              --> keepalived.conf:18:3
               |
            18 |   key 4
               |   ^^^

            9 errors, 1 warning
        "#]],
    );
    let password = " authentication {\n  auth_type PASS\n  auth_pass sesame\n }";
    check(
        &keepalived(&format!("  key 1 hex:{KEY}\n  active_key 2"), password),
        &expect![[r#"
        warning[no-nopreempt]: `one` goes back to the stronger node when it returns: a second interruption
         --> keepalived.conf:1:15
          |
        1 | vrrp_instance one {
          |               ^^^
          = help: add `nopreempt`

        error[auth-hmac]: a password does not go with `auth_hmac`
         --> keepalived.conf:7:13
          |
        7 |   auth_pass (secret)
          |             ^^^^^^^^
          = help: remove `authentication`

        error[auth-hmac]: `auth_hmac` does not say which of its keys signs
          --> keepalived.conf:14:14
           |
        14 |   active_key 2
           |              ^
           = help: write `active_key` with the id of a `key`

        2 errors, 1 warning
    "#]],
    );
    check(
        &cluster(
            "hmac_keys = { 0 = \"a\" }\nhmac_active = 0\nhmac_window = \"500ms\"\nhmac_mode = \"x\"\nhmac_replay = 1",
        ),
        &expect![[r#"
            warning[single-node]: only a may hold `v`: nobody takes it over
             --> outlast.toml:5:6
              |
            5 | [vip.v]
              |      ^
              = help: add a second [node.NAME]

            error[bad-value]: expected the id of a key from 1 to 255, found `0`
             --> outlast.toml:8:15
              |
            8 | hmac_keys = { 0 = "a" }
              |               ^
              = help: write `hmac_keys = { 1 = "/etc/outlast/vip-1.key" }`

            error[bad-value]: expected the id of a key from 1 to 255, found 0
             --> outlast.toml:9:15
              |
            9 | hmac_active = 0
              |               ^
              = help: write `hmac_active = 1`

            error[bad-value]: expected whole seconds up to "300s", found "500ms"
              --> outlast.toml:10:15
               |
            10 | hmac_window = "500ms"
               |               ^^^^^^^
               = help: write `hmac_window = "5s"`

            error[bad-value]: expected "enforce", "permissive" or "receive-only", found "x"
              --> outlast.toml:11:13
               |
            11 | hmac_mode = "x"
               |             ^^^
               = help: write `hmac_mode = "receive-only"`

            error[bad-value]: expected "time" or "monotonic", found 1
              --> outlast.toml:12:15
               |
            12 | hmac_replay = 1
               |               ^
               = help: write `hmac_replay = "monotonic"`

            5 errors, 1 warning
        "#]],
    );
    check(
        &cluster("hmac_keys = { 1 = \"a\", 2 = \"b\" }\npassword = \"sesame\""),
        &expect![[r#"
            warning[single-node]: only a may hold `v`: nobody takes it over
             --> outlast.toml:5:6
              |
            5 | [vip.v]
              |      ^
              = help: add a second [node.NAME]

            error[auth-hmac]: which of `hmac_keys` signs is not said
             --> outlast.toml:8:13
              |
            8 | hmac_keys = { 1 = "a", 2 = "b" }
              |             ^^^^^^^^^^^^^^^^^^^^
              = help: write `hmac_active` with the id of one of them

            error[auth-hmac]: a password does not go with `hmac_keys`
             --> outlast.toml:9:12
              |
            9 | password = (secret)
              |            ^^^^^^^^
              = help: remove `password`

            2 errors, 1 warning
        "#]],
    );
    check(
        &cluster(&format!("hmac_keys = {{ 1 = \"hex:{KEY}\" }}")),
        &expect![[r#"
        warning[single-node]: only a may hold `v`: nobody takes it over
         --> outlast.toml:5:6
          |
        5 | [vip.v]
          |      ^
          = help: add a second [node.NAME]

        error[bad-value]: expected the path of a file that holds the key, found "hex:(secret)"
         --> outlast.toml:8:19
          |
        8 | hmac_keys = { 1 = "hex:(secret)
          |                   ^^^^^^^^^^^^^
          = help: write `(secret)`

        1 error, 1 warning
    "#]],
    );
    check(
        &cluster("hmac_window = \"5s\""),
        &expect![[r#"
        warning[single-node]: only a may hold `v`: nobody takes it over
         --> outlast.toml:5:6
          |
        5 | [vip.v]
          |      ^
          = help: add a second [node.NAME]

        error[auth-hmac]: without `hmac_keys` nothing is signed
         --> outlast.toml:8:15
          |
        8 | hmac_window = "5s"
          |               ^^^^
          = help: add them, or remove this

        1 error, 1 warning
    "#]],
    );
    check(
        &cluster("hmac_replay = \"monotonic\""),
        &expect![[r#"
        warning[single-node]: only a may hold `v`: nobody takes it over
         --> outlast.toml:5:6
          |
        5 | [vip.v]
          |      ^
          = help: add a second [node.NAME]

        error[auth-hmac]: without `hmac_keys` nothing is signed
         --> outlast.toml:8:15
          |
        8 | hmac_replay = "monotonic"
          |               ^^^^^^^^^^^
          = help: add them, or remove this

        1 error, 1 warning
    "#]],
    );
    let both = "hmac_keys = { 1 = \"a\" }\nhmac_replay = \"monotonic\"\nhmac_window = \"5s\"";
    check(
        &cluster(both),
        &expect![[r#"
        warning[single-node]: only a may hold `v`: nobody takes it over
         --> outlast.toml:5:6
          |
        5 | [vip.v]
          |      ^
          = help: add a second [node.NAME]

        error[auth-hmac]: `hmac_replay = "monotonic"` asks no clock, so it has no window
          --> outlast.toml:10:15
           |
        10 | hmac_window = "5s"
           |               ^^^^
           = help: remove one of the two

        1 error, 1 warning
    "#]],
    );
}
