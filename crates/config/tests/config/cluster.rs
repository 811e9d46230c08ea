//! `outlast.toml`: what is read, and every mistake at once.

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};
use outlast_config::cluster::{Cluster, ServiceKind, VipCheck, parse};
use outlast_config::{Source, render};

pub(crate) fn read(text: &str) -> (Option<Cluster>, String) {
    let source = Source { path: "outlast.toml".to_owned(), text: text.to_owned() };
    let (cluster, findings) = parse(&source, 0);
    (cluster, render(&[source], &findings))
}

pub(crate) fn check(text: &str, expected: Expect) {
    expected.assert_eq(&read(text).1);
}

#[test]
fn the_example_says_what_it_means() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/three-controllers");
    let text = fs::read_to_string(example.join("outlast.toml")).unwrap();
    let (cluster, findings) = read(&text);
    assert_eq!(findings, "");
    let cluster = cluster.unwrap();
    assert_eq!(cluster.networks, ["management", "storage"]);
    assert_eq!(cluster.nodes.len(), 3);
    assert_eq!(cluster.nodes[2].addresses[1], Some("10.80.0.43".parse().unwrap()));
    assert_eq!(cluster.port, 7411);
    assert_eq!(cluster.run_dir, Path::new("/run/outlast/cloud"));
    let vip = &cluster.vips[0];
    assert_eq!((vip.router_id, vip.prefix, vip.network), (121, 32, 0));
    assert_eq!(vip.order, [0, 1, 2]);
    assert_eq!(vip.check, VipCheck::Balancer);
    assert_eq!(cluster.services[0].kind, ServiceKind::Database);
}

#[test]
fn people_and_their_roles_are_read_by_name_and_number() {
    use outlast_config::cluster::Person::{Gid, Group, Uid, User};
    let head = "[cluster]\nname = \"c\"\n[node.a]\nnetworks = { m = \"10.0.0.1\" }\n[access]\n";
    let (cluster, findings) = read(&format!(
        "{head}admin = \"alice\"\noperator = [\"@ops\", \"1000\", \"@7\"]\nviewer = []\n"
    ));
    assert_eq!(findings, "");
    let access = cluster.unwrap().access;
    assert_eq!(access.admin, [User("alice".to_owned())]);
    assert_eq!(access.operator, [Group("ops".to_owned()), Uid(1000), Gid(7)]);
    assert_eq!(access.viewer, Some(vec![]), "nobody, which is not the same as no list");
    assert_eq!(read(head).0.unwrap().access.viewer, None);
    for wrong in ["@", "a b", "99999999999", "a:b", "alice\\n"] {
        let (_, findings) = read(&format!("{head}operator = [\"{wrong}\"]\n"));
        assert!(findings.contains("is no name of a user or of a group"), "{wrong}: {findings}");
    }
    let (_, findings) = read(&format!("{head}operators = [\"@ops\"]\n"));
    assert!(findings.contains("`operator`"), "{findings}");
}

#[test]
fn a_virtual_ip_with_a_check_takes_at_most_six_lines() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/three-controllers");
    let text = fs::read_to_string(example.join("outlast.toml")).unwrap();
    let section = text.split_once("[vip.").unwrap().1;
    let lines = section.lines().take_while(|line| !line.is_empty()).count();
    assert!(lines <= 6, "{lines}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    check(
        "[cluster]
name = \"my cloud\"
secretfile = \"x\"
port = 70000

[node.node01]
networks = { m = \"10.0.0.1\" }
priority = \"high\"
[node.node02]
network = { m = \"10.0.0.2\" }

[vip.internal]
address = \"10.0.0.40/24\"
network = \"n\"
router_id = 256
order = [\"node01\", \"node3\"]
check = \"balancing\"

[servcie.x]
",
        expect![[r#"
            error[bad-value]: expected a name of letters, digits and - _ ., found "my cloud"
             --> outlast.toml:2:8
              |
            2 | name = "my cloud"
              |        ^^^^^^^^^^
              = help: write `name = "cloud"`

            error[unknown-keyword]: `secretfile` is no key of [cluster]
             --> outlast.toml:3:1
              |
            3 | secretfile = "x"
              | ^^^^^^^^^^
              = help: did you mean `secret_file`?

            error[bad-value]: expected a port from 1 to 65534, found 70000
             --> outlast.toml:4:8
              |
            4 | port = 70000
              |        ^^^^^
              = help: write `port = 7411`

            error[bad-value]: expected a priority from 1 to 254, found "high"
             --> outlast.toml:8:12
              |
            8 | priority = "high"
              |            ^^^^^^
              = help: write `priority = 100`

            error[missing-key]: [node.node02] has no `networks`
             --> outlast.toml:9:7
              |
            9 | [node.node02]
              |       ^^^^^^
              = help: add `networks = { management = "10.79.0.41", storage = "10.80.0.41" }`

            error[unknown-keyword]: `network` is no key of [node.node02]
              --> outlast.toml:10:1
               |
            10 | network = { m = "10.0.0.2" }
               | ^^^^^^^
               = help: did you mean `networks`?

            error[bad-value]: `10.0.0.40/24` is no IP address
              --> outlast.toml:13:11
               |
            13 | address = "10.0.0.40/24"
               |           ^^^^^^^^^^^^^^
               = help: write `address = "10.79.0.40"`; the length goes to `prefix`

            error[unknown-name]: there is no network `n`
              --> outlast.toml:14:11
               |
            14 | network = "n"
               |           ^^^
               = help: known are m

            error[bad-value]: expected a number from 1 to 255, found 256
              --> outlast.toml:15:13
               |
            15 | router_id = 256
               |             ^^^
               = help: write `router_id = 121`

            error[unknown-name]: there is no node `node3`
              --> outlast.toml:16:20
               |
            16 | order = ["node01", "node3"]
               |                    ^^^^^^^
               = help: did you mean `node01`?

            error[bad-value]: expected "balancer", "none" or { script = [...] }, found "balancing"
              --> outlast.toml:17:9
               |
            17 | check = "balancing"
               |         ^^^^^^^^^^^
               = help: write `check = "balancer"`

            error[unknown-keyword]: `servcie` is no key of outlast.toml
              --> outlast.toml:19:2
               |
            19 | [servcie.x]
               |  ^^^^^^^
               = help: did you mean `service`?

            12 errors
        "#]],
    );
}

#[test]
fn values_that_contradict_each_other_are_told() {
    check(
        "[cluster]
name = \"c\"
[node.a]
networks = { m = \"10.0.0.1\" }
[node.b]
networks = { m = \"10.0.0.1\", s = \"10.1.0.2\" }
[vip.one]
address = \"10.0.0.1\"
network = \"s\"
router_id = 7
check = \"balancer\"
[vip.two]
address = \"10.0.0.9\"
network = \"s\"
order = [\"b\", \"b\"]
router_id = 7
password = \"much too long\"
",
        expect![[r#"
            error[duplicate-address]: 10.0.0.1 is the address of node a already
             --> outlast.toml:6:18
              |
            6 | networks = { m = "10.0.0.1", s = "10.1.0.2" }
              |                  ^^^^^^^^^^
              = help: give node b an address of its own

            error[duplicate-address]: 10.0.0.1 is the address of node a already
             --> outlast.toml:8:11
              |
            8 | address = "10.0.0.1"
              |           ^^^^^^^^^^
              = help: give vip one an address of its own

            error[unknown-name]: node a is not on the network of `one`
             --> outlast.toml:9:11
              |
            9 | network = "s"
              |           ^^^
              = help: add its address there, or leave it out of `order`

            error[no-balancer]: there is no balancer to check
              --> outlast.toml:11:9
               |
            11 | check = "balancer"
               |         ^^^^^^^^^^
               = help: write `haproxy = "haproxy.cfg"` in [cluster]

            error[duplicate-router-id]: vip one has router_id 7 on this network already
              --> outlast.toml:12:6
               |
            12 | [vip.two]
               |      ^^^
               = help: give each virtual IP of a network its own router_id

            error[duplicate-name]: node b stands here twice
              --> outlast.toml:15:15
               |
            15 | order = ["b", "b"]
               |               ^^^

            warning[password-cut]: only 8 bytes of this password are used, not 13
              --> outlast.toml:17:12
               |
            17 | password = (secret)
               |            ^^^^^^^^
               = help: it travels readable anyway; name a `secret_file` in outlast.toml instead

            6 errors, 1 warning
        "#]],
    );
}

#[test]
fn text_that_is_no_toml_is_told_with_its_place() {
    check(
        "[cluster]\nname = \"c\n[node.a]\nnetworks = { m = }\n",
        expect![[r#"
            error[toml]: invalid basic string, expected `"`
             --> outlast.toml:2:10
              |
            2 | name = "c
              |          ^

            error[toml]: invalid literal string, expected `'`
             --> outlast.toml:4:18
              |
            4 | networks = { m = }
              |                  ^

            2 errors
        "#]],
    );
}

#[test]
fn an_empty_file_says_what_is_missing() {
    check(
        "",
        expect![[r#"
        error[missing-section]: there is no [cluster]
         --> outlast.toml:1:1
          |
        1 | 
          | ^
          = help: add `[cluster]` and `name = "cloud"`

        1 error
    "#]],
    );
    check(
        "[cluster]\nname = \"c\"\n",
        expect![[r#"
        error[missing-section]: the cluster has no nodes
         --> outlast.toml:1:2
          |
        1 | [cluster]
          |  ^^^^^^^
          = help: add a section [node.NAME] for each node

        1 error
    "#]],
    );
}

/// A file with so many controllers, and a vip lease.
fn with_lease(head: &str, controllers: usize) -> String {
    let mut text = format!("[cluster]\nname = \"c\"\n{head}");
    for n in 1..=controllers {
        text += &format!("[node.n{n}]\nnetworks = {{ m = \"10.0.0.{n}\" }}\n");
    }
    text + "[vip.v]\naddress = \"10.0.0.99\"\nrouter_id = 7\nlease = true\n"
}

#[test]
fn a_vip_lease_needs_a_secret_and_three_to_nine_controllers() {
    let secret = "secret_file = \"secret\"\n";
    for (head, controllers, expected) in [
        (secret, 3, None),
        (secret, 9, None),
        ("trust_dir = \"trust\"\n", 3, None),
        ("", 3, Some("without a secret nobody can tell who grants it")),
        (secret, 2, Some("a majority of one or two controllers is all of them")),
        (secret, 10, Some("at most 9 controllers can grant it, and here are 10")),
    ] {
        let (cluster, findings) = read(&with_lease(head, controllers));
        let message = expected.map(|why| format!("`v` cannot have a vip lease: {why}"));
        match message {
            None => assert_eq!(findings, "", "{head} {controllers}"),
            Some(message) => assert!(findings.contains(&message), "{findings}"),
        }
        assert!(cluster.is_some_and(|cluster| cluster.vips[0].has_lease));
    }
    let (_, findings) = read(&with_lease("", 1).replace("lease = true", "lease = false"));
    assert_eq!(findings, "");
}

#[test]
fn who_is_not_in_the_order_of_a_vip_lease_votes_and_holds_nothing() {
    let secret = "secret_file = \"secret\"\n";
    let text = with_lease(secret, 3) + "order = [\"n1\", \"n3\"]\n";
    let (cluster, findings) = read(&text);
    assert_eq!(findings, "");
    let runs = |text: &str, node| {
        let cluster = read(text).0.unwrap();
        let vips =
            outlast_config::effective_vips(Some(&cluster), None, Some(node), false, &|_| None);
        vips.unwrap().into_iter().map(|vip| (vip.name, vip.votes_only)).collect::<Vec<_>>()
    };
    assert_eq!(cluster.unwrap().vips[0].order, [0, 2]);
    assert_eq!(runs(&text, 0), [("v".to_owned(), false)]);
    assert_eq!(runs(&text, 1), [("v".to_owned(), true)]);
    let by_vrrp = text.replace("lease = true", "lease = false");
    assert_eq!(runs(&by_vrrp, 1), [], "there is nothing to vote about");

    let voter = text.replace("[node.n2]\n", "[node.n2]\nrole = \"voter\"\n");
    let all = voter.replace("order = [\"n1\", \"n3\"]\n", "");
    let (cluster, findings) = read(&all);
    let cluster = cluster.unwrap();
    assert_eq!((findings.as_str(), &cluster.vips[0].order[..]), ("", &[0, 2][..]));
    assert_eq!(cluster.controllers().len(), 3);
    assert!(cluster.serves(0) && !cluster.serves(1));
    assert_eq!(runs(&all, 1), [("v".to_owned(), true)]);
    let (_, findings) = read(&voter.replace("\"n3\"", "\"n2\""));
    assert!(findings.contains("error[voter]: n2 is a voter: it holds no virtual IP"), "{findings}");
}

#[test]
fn after_what_an_address_moves_is_said_of_a_vip_lease_alone() {
    let secret = "secret_file = \"secret\"\n";
    let text = with_lease(secret, 3);
    for (line, needs_proof) in [("", false), ("silence", false), ("proven-dead", true)] {
        let line = if line.is_empty() { line.to_owned() } else { format!("after = \"{line}\"\n") };
        let (cluster, findings) = read(&(text.clone() + &line));
        assert_eq!((findings.as_str(), cluster.unwrap().vips[0].needs_proof), ("", needs_proof));
    }
    let (_, findings) = read(&(text.clone() + "after = \"a while\"\n"));
    assert!(findings.contains("expected \"silence\" or \"proven-dead\""), "{findings}");
    let (_, findings) = read(&(text.replace("lease = true", "after = \"proven-dead\"")));
    assert!(findings.contains("`after` is of a vip lease, and `v` is held by VRRP"), "{findings}");
}

#[test]
fn last_man_is_said_loudly_and_lets_two_controllers_do() {
    let secret = "secret_file = \"secret\"\n";
    let text = with_lease(secret, 3);
    let of = |text: &str| {
        let (cluster, findings) = read(text);
        let after = cluster.unwrap().vips[0].last_man;
        (after.map(|after| after.as_secs()), findings.contains("two of them may hold `v` at once"))
    };
    assert_eq!(of(&text), (None, false));
    for (written, expected) in [("deny", None), ("allow", Some(3)), ("10s", Some(10))] {
        let line = format!("last_man = \"{written}\"\n");
        assert_eq!(of(&(text.clone() + &line)), (expected, expected.is_some()), "{written}");
        assert_eq!(of(&with_lease(&(secret.to_owned() + &line), 3)).0, expected);
    }
    let both = with_lease(&format!("{secret}last_man = \"allow\"\n"), 3) + "last_man = \"deny\"\n";
    assert_eq!(of(&both), (None, false), "what an address says goes before what all say");
    let (_, findings) = read(&(text.clone() + "last_man = \"10ms\"\n"));
    assert!(findings.contains("expected \"deny\", \"allow\" or a time"), "{findings}");
    let (_, findings) = read(&(text.clone() + "last_man = \"allow\"\nafter = \"proven-dead\"\n"));
    assert!(findings.contains("error[last-man]: `v` asks for proof"), "{findings}");
    let (_, findings) = read(&(text.replace("lease = true", "last_man = \"allow\"")));
    assert!(findings.contains("`last_man` is of a vip lease"), "{findings}");
    let (_, findings) = read(&(with_lease(secret, 2) + "last_man = \"allow\"\n"));
    assert!(!findings.contains("error"), "{findings}");
}

#[test]
fn a_script_check_has_defaults() {
    let (cluster, findings) = read(
        "[cluster]\nname = \"c\"\n[node.a]\nnetworks = { m = \"10.0.0.1\" }\n[vip.v]\n\
         address = [\"10.0.0.9\", \"10.0.0.10\"]\nrouter_id = 7\n\
         check = { script = [\"/bin/check\", \"-x\"], interval = \"2s\", fall = 2, rise = 10 }\n",
    );
    assert_eq!(findings, "");
    expect![[r#"
        [
            Vip {
                name: "v",
                addresses: [
                    10.0.0.9,
                    10.0.0.10,
                ],
                prefix: 32,
                network: 0,
                router_id: 7,
                order: [
                    0,
                ],
                check: Script(
                    Script {
                        name: "v",
                        command: [
                            "/bin/check",
                            "-x",
                        ],
                        interval: 2s,
                        timeout: 2s,
                        fall: 2,
                        rise: 10,
                        weight: 0,
                        starts_failed: false,
                        user: None,
                        group: None,
                        secure: false,
                        reversed: false,
                    },
                ),
                password: None,
                hmac: None,
                unicast: false,
                interface: None,
                source: None,
                advert_interval: 1s,
                protocol: V2,
                track_interfaces: [],
                reversed_interfaces: [],
                weighed_interfaces: [],
                track_processes: [],
                track_files: [],
                sync_group: None,
                has_lease: false,
                needs_proof: false,
                last_man: None,
                has_virtual_mac: false,
                accepts: true,
                bfd: None,
                spread: None,
                apart_from: [],
                never_with: [],
                follows: false,
                notify: None,
                span: Span {
                    start: 65,
                    end: 66,
                },
            },
        ]
    "#]]
    .assert_debug_eq(&cluster.unwrap().vips);
}
