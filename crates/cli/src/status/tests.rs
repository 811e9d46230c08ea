use expect_test::expect;

use super::*;
use crate::example;

#[test]
fn what_was_not_believed_has_its_age_and_is_left_out_when_that_is_long_ago() {
    let said = |ago_ms: u64, all| {
        let mut out = vec![];
        let packets = api::RefusedPackets {
            forged: 2,
            last_at_ms: Some(1_000_000),
            ..api::RefusedPackets::default()
        };
        refused(&mut out, "vip", packets, (1_000_000 + ago_ms, all)).unwrap();
        String::from_utf8(out).unwrap()
    };
    let line =
        "  datagrams to the vip that were not believed: 2 forged since it started, the last ";
    assert_eq!(said(41_000, false), format!("{line}41.0 s ago\n"));
    assert_eq!(said(600_001, false), "");
    assert_eq!(said(600_001, true), format!("{line}10 min ago\n"));
}

#[test]
fn holder_next_loads_and_what_is_down_are_on_one_page() {
    let mut out = vec![];
    print(&mut out, &example::status(), false).unwrap();
    expect![[r#"
        node02 of cloud, adaptive, configuration 1, outlast 0.1.0
          dashboard at http://127.0.0.1:7412/
          vip        running, pid 21, started 1 time(s)
          agent      running, pid 22, started 1 time(s)
          proxy      running, pid 23, started 1 time(s)

        VIP       ADDRESSES   HOLDER  NEXT    HERE           WHY
        internal  10.79.0.40  node02  node01  master, holds  named by the holder

        NODE    VERDICT      management    storage      CPU   MEMORY  FIBRE  HOLDS     WHY
        node01  alive        up 120 ms     up 95 ms     12 %  40 %    2/2    -         its first beat came
        node02  alive        up 0 ms       up 0 ms      12 %  40 %    2/2    internal  this node
        node03  UNREACHABLE  silent 3.2 s  never heard  -     -       -      -         silent-everywhere: silent on every network for 1000 ms

        balancer serving, 5 of 7 servers up
          mariadb: one writer, node01 (choice 1)

        PROXY     SERVER  STATE        WHY
        keystone  node03  DOWN         Layer4 connection problem, info: "Connection refused"
        mariadb   node03  up, suspect  its node is silent
    "#]].assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn servers_of_a_dead_node_are_one_line_and_each_with_all() {
    let mut status = example::status();
    let gone = status.servers.pop().unwrap();
    for proxy in ["mariadb", "rabbitmq", "heat"] {
        status.servers.push(ServerState { proxy: proxy.to_owned(), ..gone.clone() });
    }
    let lines = |all| {
        let mut out = vec![];
        servers(&mut out, &status, all).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().filter(|line| line.contains("node03")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(false),
        [
            r#"keystone            node03  DOWN         Layer4 connection problem, info: "Connection refused""#,
            "mariadb and 2 more  node03  up, suspect  its node is silent",
        ]
    );
    assert_eq!(lines(true).len(), 4);
}

#[test]
fn a_backup_is_told_to_whom_the_votes_went() {
    let mut vip = example::status().vips.swap_remove(0);
    vip.state.vip_lease =
        Some(api::LeaseState { holder: Some(0), votes: true, ..Default::default() });
    (vip.state.role, vip.state.cause) = (VipRole::Backup, Some(VipCause::Majority));
    vip.holders = vec!["node01".to_owned()];
    assert_eq!(why(&vip, &node_name), "granted to node01");
    vip.holders.clear();
    assert_eq!(why(&vip, &node_name), "no majority granted it");
}

fn node_name(node: u16) -> Option<&'static str> {
    ["node01", "node02"].get(usize::from(node)).copied()
}

#[test]
fn who_waits_for_proof_is_told_of_whom_and_what_to_type() {
    let mut status = example::status();
    let vip = &mut status.vips[0];
    vip.state.vip_lease =
        Some(api::LeaseState { awaits: Some(1), votes: true, ..Default::default() });
    (vip.state.role, vip.state.cause) = (VipRole::Backup, Some(VipCause::Unproven));
    let told = "waits for proof that node02 is dead: outlast node confirm-off node02 --i-know-it-is-off --reason WHY";
    assert_eq!(why(vip, &node_name), told);
    vip.state.vip_lease = Some(api::LeaseState { votes_only: true, ..Default::default() });
    vip.state.holding = false;
    assert_eq!(super::vip(vip, &node_name)[4], "votes, vip lease");
    vip.state.vip_lease = Some(api::LeaseState { alone: true, ..Default::default() });
    (vip.state.role, vip.state.holding) = (VipRole::Master, true);
    assert_eq!(super::vip(vip, &node_name)[4], "master, holds, without a majority");
}

#[test]
fn of_a_vip_lease_that_is_held_here_it_is_shown_how_much_is_left() {
    let mut status = example::status();
    let vip = &mut status.vips[0];
    vip.state.vip_lease = Some(api::LeaseState { votes: true, ..Default::default() });
    (vip.state.role, vip.state.holding) = (VipRole::Master, true);
    let left = api::LeaseLeft {
        instance: vip.state.instance,
        left_us: 28_310,
        least_us: 21_004,
        lapses: 0,
        lapsed_us: 0,
    };
    status.vip_process = Some(api::VipProcess { left: vec![left], ..Default::default() });
    let mut out = vec![];
    print(&mut out, &status, false).unwrap();
    let shown = String::from_utf8(out).unwrap();
    assert!(shown.contains("master, holds, vip lease, 28.31 ms left"), "{shown}");
}

#[test]
fn samples_in_the_papers_have_the_columns_of_today() {
    let mut out = vec![];
    print(&mut out, &example::status(), false).unwrap();
    let printed = String::from_utf8(out).unwrap();
    let begins = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let heading = printed.lines().find(|line| line.starts_with("NODE ")).map(begins);
    for page in ["README.md", "docs/operate/status.md"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
        let text = std::fs::read_to_string(path).unwrap();
        let shown = text.lines().find(|line| line.starts_with("NODE ")).map(begins);
        assert_eq!(shown, heading, "{page}");
    }
}

#[test]
fn a_balancer_that_never_served_is_shown_and_not_well() {
    let mut status = example::status();
    status.nodes.truncate(2);
    (status.servers, status.choices) = (vec![], vec![]);
    let balancer_of = |status: &Status| {
        let mut out = vec![];
        print(&mut out, status, false).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().find(|line| line.starts_with("balancer")).map(ToOwned::to_owned)
    };
    status.balancer = BalancerState::Failed;
    assert_eq!(balancer_of(&status).unwrap(), "balancer FAILED, no server is known");
    assert!(!words::is_well(&status));
    status.balancer = BalancerState::Absent;
    assert_eq!(balancer_of(&status), None);
    assert!(words::is_well(&status));
}

#[test]
fn a_node_without_a_majority_says_what_freezes() {
    let told = |status: &Status| {
        let mut out = vec![];
        majority(&mut out, status).unwrap();
        String::from_utf8(out).unwrap()
    };
    let mut status = example::status();
    assert_eq!(told(&status), "", "two of three");
    assert!(quorum::has_majority(2, 3) && !quorum::has_majority(1, 3));
    status.nodes[0].state.standing = api::Standing::Suspect;
    expect![[r#"

        WITHOUT A MAJORITY: 1 of 3 nodes reached
          serves  virtual IPs by VRRP: held, announced and taken over as ever; after a heal the stronger holder keeps it
          releases virtual IPs with `lease = true`: let go as the vip lease ends, and nobody answers until a majority is back (`last_man` excepted)
          serves  balancer: requests go to servers as their own checks say; suspects come last, not never
          serves  database choice: the database in use stays in use; it changes only when its own checks fail
          freezes verdicts: in doubt, never unreachable: nobody is accused by a minority
          freezes compute nodes: in doubt, never unreachable: what gossip says of them is confirmed by nobody
          freezes planned moves and standby: refused, and nothing is done; `--local` puts a node itself on standby. Without [store]: as ever
          serves  reload of the local files: SIGHUP works as ever
          freezes store: what is not committed by a majority is not applied and not told
          freezes intents: none is begun, none goes a step further; the step under way ends at its receiver
          freezes generations of the configuration: `config apply` and `rollback` are refused; what each node runs, it goes on running
          freezes maintenance windows: none is begun or ended by command; what is known ends by its own time
          freezes proofs of death, members of the store: `confirm-off`, `node replace` and `store members` are refused
          releases roles held by a token: stopped two seconds before the store may give them to another
          serves  joins, revocations, certificates: the node with the authority lets in, shuts out and renews as ever
          serves  status, events, dashboard, metrics: what this node knows, with its age, and that it has no majority
    "#]].assert_eq(&told(&status));
    status.limits.push("no secret_file: no beats, no hand-over between nodes".to_owned());
    assert_eq!(told(&status), "", "nobody is missed where nobody speaks");
}

#[test]
fn a_store_says_whom_it_follows_and_who_votes_and_without_a_leader_nobody_sleeps() {
    let mut status = example::status();
    let member = |node: &str, votes, has| {
        let node = node.to_owned();
        api::StoreMember { node, votes, has }
    };
    status.store = Some(Box::new(api::StoreState {
        engine: "embedded".to_owned(),
        leader: Some("node02".to_owned()),
        term: 4,
        last: 812,
        committed: 812,
        applied: 812,
        members: vec![
            member("node01", true, Some(812)),
            member("node02", true, None),
            member("node04", false, Some(40)),
        ],
        ..api::StoreState::default()
    }));
    status.coordinator = Some(Box::new(api::Coordinator {
        node: "node02".to_owned(),
        token: 31,
        since_ms: 1_700_000_000_000,
        stale_orders: 1,
    }));
    let told = |status: &Status| {
        let mut out = vec![];
        store(&mut out, status).unwrap();
        String::from_utf8(out).unwrap()
    };
    expect![[r#"

        store (embedded) leader node02, term 4, entry 812, voters node01 node02
          without a vote yet: node04
          node04 is 772 entries behind
          node02 coordinates under token 31, seen here since 2023-11-14 22:13:20.000
          orders of former coordinators that were refused here: 1
    "#]]
    .assert_eq(&told(&status));
    status.nodes.truncate(2);
    status.servers.retain(words::is_up);
    assert!(words::is_well(&status));
    let state = status.store.as_mut().unwrap();
    state.leader = None;
    status.coordinator = Some(Box::default());
    state.trouble = Some("waits for node01 (no answer)".to_owned());
    state.disk = StoreDisk::WentBack { upto: Some(900) };
    expect![[r#"

        store (embedded) NO LEADER, entry 812, voters node01 node02
          without one: commands, intents, generations and windows are refused, roles held by a token are released; addresses, balancer and verdicts go on
          without a vote yet: node04
          node04 is 772 entries behind
          its disk does not count until it is filled up to entry 900
          waits for node01 (no answer)
          nobody coordinates now: commands wait
    "#]]
    .assert_eq(&told(&status));
    assert!(!words::is_well(&status));
}

#[test]
fn two_holders_are_not_well() {
    let mut status = example::status();
    status.nodes.truncate(2);
    status.servers.retain(words::is_up);
    assert!(words::is_well(&status));
    status.vips[0].holders.push("node03".to_owned());
    assert!(!words::is_well(&status));
}

#[test]
fn a_script_that_is_not_run_stands_beside_the_cause() {
    let mut vip = example::status().vips.remove(0);
    vip.state.disabled_scripts.push("alive".to_owned());
    assert_eq!(why(&vip, &node_name), "named by the holder; script alive disabled");
    vip.state.cause = None;
    assert_eq!(why(&vip, &node_name), "script alive disabled");
    let not_enforced = Some("no right".to_owned());
    vip.state.vip_lease = Some(api::LeaseState { votes: true, not_enforced, ..Default::default() });
    assert_eq!(
        why(&vip, &node_name),
        "script alive disabled; its vip lease is not enforced: no right"
    );
}
