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
