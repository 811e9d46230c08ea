use std::fs;

use expect_test::{Expect, expect};

use super::*;

/// A folder of this test alone, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("outlast-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind it only takes room.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn example(name: &str) -> String {
    let path = "../../examples/three-controllers";
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).join(name)).unwrap()
}

/// The example beside itself with `from` replaced in `file`: exit code, text, complaints.
fn replaced(name: &str, file: &str, from: &str, to: &str, json: bool) -> (u8, String, String) {
    let folder = Folder::new(name);
    for side in ["old", "new"] {
        for name in ["outlast.toml", "haproxy.cfg"] {
            folder.write(&format!("{side}/{name}"), &example(name));
        }
    }
    let text = example(file);
    assert!(text.contains(from), "{from}");
    folder.write(&format!("new/{file}"), &text.replacen(from, to, 1));
    let args = Args { old: folder.0.join("old"), new: folder.0.join("new/outlast.toml"), json };
    let (mut out, mut complaints) = (vec![], vec![]);
    let code = compared(&args, &mut out, &mut complaints).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let complaints = text(complaints).replace(&*folder.0.display().to_string(), "DIR");
    (code, text(out), complaints)
}

fn check(name: &str, (file, from, to): (&str, &str, &str), code: u8, expected: &Expect) {
    let (found, out, complaints) = replaced(name, file, from, to, false);
    assert_eq!(found, code, "{out}{complaints}");
    expected.assert_eq(&format!("{out}{complaints}"));
}

#[test]
fn the_difference_of_two_folders_names_items_and_what_they_take() {
    let vip = ("outlast.toml", "router_id = 121", "router_id = 121\nadvert_interval = \"2s\"");
    check(
        "diff-vip",
        vip,
        1,
        &expect![[r#"
        ~ vip/internal: a new vip process, addresses stay
            advert_interval: 1s -> 2s

        1 change. What that takes: a new vip process, addresses stay
    "#]],
    );
    let line = "server node02 10.79.0.42:15672 check inter 2000";
    let cfg = ("haproxy.cfg", line, "server node02 10.79.0.42:15672 backup check inter 3s");
    check(
        "diff-proxy",
        cfg,
        1,
        &expect![[r#"
            ~ server/rabbitmq_management/node02: a new proxy generation, the old one drains
                backup: - -> on
                inter: 2s -> 3s

            1 change. What that takes: a new proxy generation, the old one drains
        "#]],
    );
}

#[test]
fn items_that_change_in_the_same_way_are_one_entry() {
    let change = |object: &str, old: &str| Change {
        object: object.to_owned(),
        how: How::Altered(vec![Altered {
            field: "timeout connect",
            old: old.to_owned(),
            new: "5s".to_owned(),
            needs: Needs::Proxy,
        }]),
        needs: Needs::Proxy,
    };
    let gone =
        |object: &str| Change { object: object.to_owned(), how: How::Removed, needs: Needs::Proxy };
    let changes = [
        change("proxy/a", "10s"),
        change("proxy/b", "7s"),
        change("proxy/c", "10s"),
        change("proxy/d", "10s"),
        change("proxy/e", "10s"),
        change("proxy/f", "10s"),
        gone("proxy/x"),
        gone("proxy/y"),
    ];
    let mut out = vec![];
    write_text(&mut out, &changes).unwrap();
    expect![[r#"
        ~ proxy/a, proxy/c, proxy/d and 2 more: a new proxy generation, the old one drains
            timeout connect: 10s -> 5s
        ~ proxy/b: a new proxy generation, the old one drains
            timeout connect: 7s -> 5s
        - proxy/x: a new proxy generation, the old one drains
        - proxy/y: a new proxy generation, the old one drains

        8 changes. What that takes: a new proxy generation, the old one drains
    "#]]
    .assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn nothing_changes_is_said_and_is_success() {
    let same = ("outlast.toml", "[cluster]", "# a comment\n[cluster]");
    check(
        "diff-same",
        same,
        0,
        &expect![[r#"
        nothing changes
    "#]],
    );
}

#[test]
fn a_side_with_errors_is_no_configuration_to_compare() {
    let wrong = ("outlast.toml", "router_id = 121", "router_id = \"many\"");
    check(
        "diff-wrong",
        wrong,
        2,
        &expect![[r#"
        error[bad-value]: expected a number from 1 to 255, found "many"
          --> DIR/new/outlast.toml:22:13
           |
        22 | router_id = "many"
           |             ^^^^^^
           = help: write `router_id = 121`

        1 error
    "#]],
    );
    let missing = ("outlast.toml", "\"haproxy.cfg\"", "\"absent.cfg\"");
    check(
        "diff-missing",
        missing,
        2,
        &expect![[r#"
        error[unreadable]: cannot read DIR/new/absent.cfg: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn json_has_the_old_and_the_new_value_of_each_field() {
    let (code, out, _) = replaced("diff-json", "outlast.toml", "10.79.0.40", "10.79.0.44", true);
    assert_eq!(code, 1);
    expect![[r#"
        {
          "needs": [
            "move"
          ],
          "changes": [
            {
              "object": "vip/internal",
              "how": "altered",
              "needs": "move",
              "fields": [
                {
                  "field": "address",
                  "old": "10.79.0.40",
                  "new": "10.79.0.44",
                  "needs": "move"
                }
              ]
            }
          ]
        }
    "#]]
    .assert_eq(&out);
}
