//! Where a virtual IP is beside others: `spread`, `apart_from`, `follows`.

use expect_test::{Expect, expect};
use outlast_config::cluster::Vip;
use outlast_config::{Source, load, render};

const SECRET: &str = "secret_file = \"secret\"\n";

/// Three virtual IPs, of which the first two say more.
fn read(head: &str, one: &str, two: &str, expected: Expect) -> Vec<Vip> {
    let node = |n: u8| format!("[node.n{n}]\nnetworks = {{ m = \"10.0.0.{n}\" }}\n");
    let vip = |name: &str, id: u8, more: &str| {
        format!("[vip.{name}]\naddress = \"10.0.0.9{id}\"\nrouter_id = {id}\n{more}\n")
    };
    let text = [
        format!("[cluster]\nname = \"c\"\n{head}"),
        (1..4).map(node).collect(),
        vip("one", 1, one),
        vip("two", 2, two),
        vip("three", 3, ""),
    ]
    .concat();
    let loaded = load(vec![Source { path: "outlast.toml".to_owned(), text }]);
    expected.assert_eq(&render(&loaded.sources, &loaded.diagnostics));
    loaded.cluster.map(|cluster| cluster.vips).unwrap_or_default()
}

#[test]
fn addresses_are_spread_by_a_name_and_apart_by_theirs_and_one_follows_the_coordinator() {
    let spread = "lease = true\nspread = \"api\"";
    let vips = read(SECRET, spread, spread, expect![[""]]);
    assert!(vips[..2].iter().all(|vip| vip.spread.as_deref() == Some("api")));
    let apart = "lease = true\napart_from = [\"two\"]";
    let vips = read(SECRET, apart, "lease = true", expect![[""]]);
    assert_eq!((&vips[0].apart_from[..], &vips[1].apart_from[..]), (&[1][..], &[][..]));
    let never = "lease = true\nnever_with = [\"two\"]";
    let vips = read(SECRET, never, "lease = true", expect![[""]]);
    assert_eq!((&vips[0].never_with[..], &vips[1].never_with[..]), (&[1][..], &[][..]));
    let follows = "lease = true\nfollows = \"coordinator\"";
    let trust = "trust_dir = \"trust\"\n";
    let vips = read(trust, &format!("{follows}\n[store]"), "", expect![[""]]);
    assert!(vips[0].follows);
}

#[test]
fn what_cannot_be_done_about_a_place_is_told() {
    let spread = "lease = true\nspread = \"api\"";
    read(
        SECRET,
        spread,
        "spread = \"api\"",
        expect![[r#"
        error[vip-place]: `spread` is of a vip lease, and `two` is held by VRRP
          --> outlast.toml:18:10
           |
        18 | spread = "api"
           |          ^^^^^
           = help: add `lease = true`, or remove `spread`

        1 error
    "#]],
    );
    read(
        SECRET,
        spread,
        "lease = true\nspread = \"ap\"",
        expect![[r#"
        warning[vip-place]: `one` is alone in `api`: there is nothing to spread
          --> outlast.toml:10:6
           |
        10 | [vip.one]
           |      ^^^

        warning[vip-place]: `two` is alone in `ap`: there is nothing to spread
          --> outlast.toml:15:6
           |
        15 | [vip.two]
           |      ^^^

        2 warnings
    "#]],
    );
    read(
        SECRET,
        "lease = true\napart_from = [\"one\", \"three\", \"tow\"]",
        "",
        expect![[r#"
        error[vip-place]: `one` cannot be apart from itself
          --> outlast.toml:14:15
           |
        14 | apart_from = ["one", "three", "tow"]
           |               ^^^^^

        error[vip-place]: `three` is held by VRRP: where that is, does not move `one`
          --> outlast.toml:14:22
           |
        14 | apart_from = ["one", "three", "tow"]
           |                      ^^^^^^^
           = help: add `lease = true` to both

        error[unknown-name]: there is no virtual IP `tow`
          --> outlast.toml:14:31
           |
        14 | apart_from = ["one", "three", "tow"]
           |                               ^^^^^
           = help: did you mean `two`?

        3 errors
    "#]],
    );
    let follows = "lease = true\nfollows = \"coordinator\"";
    read(
        SECRET,
        follows,
        "lease = true\nfollows = \"leader\"",
        expect![[r#"
        error[vip-place]: `one` follows the coordinator, and without [store] there is none
          --> outlast.toml:10:6
           |
        10 | [vip.one]
           |      ^^^
           = help: add `[store]`, or remove `follows`

        error[bad-value]: expected "coordinator", found "leader"
          --> outlast.toml:19:11
           |
        19 | follows = "leader"
           |           ^^^^^^^^
           = help: write `follows = "coordinator"`

        2 errors
    "#]],
    );
    read(
        SECRET,
        &format!("{spread}\nfollows = \"coordinator\""),
        spread,
        expect![[r#"
        error[vip-place]: `one` follows the coordinator, and without [store] there is none
          --> outlast.toml:10:6
           |
        10 | [vip.one]
           |      ^^^
           = help: add `[store]`, or remove `follows`

        error[vip-place]: `one` cannot be spread and follow the coordinator
          --> outlast.toml:15:11
           |
        15 | follows = "coordinator"
           |           ^^^^^^^^^^^^^
           = help: remove one of the two

        2 errors
    "#]],
    );
}

#[test]
fn what_is_never_on_one_node_needs_a_node_each_and_votes() {
    read(
        SECRET,
        "lease = true\norder = [\"n1\"]\nnever_with = [\"two\"]",
        "never_with = [\"one\"]",
        expect![[r#"
            warning[single-node]: only n1 may hold `one`: nobody takes it over
              --> outlast.toml:10:6
               |
            10 | [vip.one]
               |      ^^^
               = help: name a second node in `order`, or leave `order` out

            error[vip-place]: `two` is held by VRRP: where that is, does not move `one`
              --> outlast.toml:15:15
               |
            15 | never_with = ["two"]
               |               ^^^^^
               = help: add `lease = true` to both

            error[vip-place]: `never_with` is of a vip lease, and `two` is held by VRRP
              --> outlast.toml:19:15
               |
            19 | never_with = ["one"]
               |               ^^^^^
               = help: add `lease = true`, or remove `never_with`

            2 errors, 1 warning
        "#]],
    );
    read(
        SECRET,
        "lease = true\norder = [\"n1\"]\nnever_with = [\"two\"]",
        "lease = true",
        expect![[r#"
            warning[vip-place]: `one` is never on one node with 1 others, and 1 may hold it: one of them may have no node
              --> outlast.toml:10:6
               |
            10 | [vip.one]
               |      ^^^
               = help: write `apart_from` where two may share a node that is the last one

            warning[single-node]: only n1 may hold `one`: nobody takes it over
              --> outlast.toml:10:6
               |
            10 | [vip.one]
               |      ^^^
               = help: name a second node in `order`, or leave `order` out

            2 warnings
        "#]],
    );
}

#[test]
fn addresses_of_a_sync_group_have_one_place() {
    let group = "lease = true\nsync_group = \"router\"\n";
    read(
        SECRET,
        &format!("{group}never_with = [\"two\"]"),
        &format!("{group}last_man = \"allow\""),
        expect![[r#"
            error[vip-place]: `one` and `two` are of one sync group: they are always on one node
              --> outlast.toml:15:15
               |
            15 | never_with = ["two"]
               |               ^^^^^

            error[sync-group]: `one` and `two` of the sync group `router` have another `last_man`, and one vip lease for both
              --> outlast.toml:16:6
               |
            16 | [vip.two]
               |      ^^^
               = help: write the same `last_man` for all of a group

            warning[last-man]: where nodes are cut from each other, two of them may hold `two` at once
              --> outlast.toml:21:12
               |
            21 | last_man = "allow"
               |            ^^^^^^^
               = help: that is what `last_man` allows; without it nobody holds it without a majority

            2 errors, 1 warning
        "#]],
    );
    let spread = format!("{group}spread = \"api\"");
    let vips = read(SECRET, &spread, &spread, expect![[""]]);
    assert!(vips[..2].iter().all(|vip| vip.sync_group.as_deref() == Some("router")));
}
