//! Virtual IPs that are held together: `vrrp_sync_group`, and `sync_group` of the cluster file.

use expect_test::{Expect, expect};
use outlast_config::vip::Vip;
use outlast_config::{Source, effective_vips, keepalived, load, render};

/// Two instances with what they and their group track.
fn file(of_a: &str, of_group: &str) -> String {
    let instance = |name: &str, id: u8, more: &str| {
        format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {id}\n virtual_ipaddress {{\n 10.0.0.{id}\n }}\n{more}}}\n"
        )
    };
    let script = |name: &str, weight: i16| {
        format!("vrrp_script {name} {{\n script \"/bin/true\"\n weight {weight}\n}}\n")
    };
    [
        script("plain", 0),
        script("heavy", 5),
        instance("a", 7, of_a),
        instance("b", 8, ""),
        format!("vrrp_sync_group router {{\n{of_group}}}\n"),
    ]
    .concat()
}

fn read(text: String, expected: Expect) -> Vec<Vip> {
    let source = Source { path: "keepalived.conf".to_owned(), text };
    let (read, findings) = keepalived::parse(&source, 0);
    expected.assert_eq(&render(&[source], &findings));
    effective_vips(None, Some(&read), None, false, &|_| None).unwrap()
}

/// Scripts with their weights, interfaces that take the address away, and those that weigh.
fn tracked(vip: &Vip) -> (Vec<(&str, i16)>, Vec<&str>, Vec<&str>) {
    let scripts = vip.track_scripts.iter().map(|script| (script.name.as_str(), script.weight));
    let weighed = vip.weighed_interfaces.iter().map(|weighed| weighed.name.as_str());
    let fatal = vip.track_interfaces.iter().map(String::as_str);
    (scripts.collect(), fatal.collect(), weighed.collect())
}

const OF_A: &str =
    " track_script {\n plain\n heavy\n }\n track_interface {\n eth1\n eth2 weight 3\n }\n";

#[test]
fn what_a_group_tracks_is_of_all_its_instances_and_their_own_weights_do_not_count() {
    let group = "group {\n a\n b\n}\ntrack_script {\n plain weight 9\n}\ntrack_interface {\n eth3\n eth4 weight 6\n}\n";
    let vips = read(
        file(OF_A, group),
        expect![[r#"
        warning[sync-group]: `heavy` has a weight, and `a` is in the sync group `router`: the script is not looked at
          --> keepalived.conf:17:2
           |
        17 |  heavy
           |  ^^^^^
           = help: write it in the group, or `sync_group_tracking_weight` there

        warning[sync-group]: `eth2` has a weight, and `a` is in the sync group `router`: the address goes with its carrier
          --> keepalived.conf:21:2
           |
        21 |  eth2 weight 3
           |  ^^^^
           = help: write it in the group, or `sync_group_tracking_weight` there

        2 warnings
    "#]],
    );
    assert!(vips.iter().all(|vip| vip.sync_group.as_deref() == Some("router")));
    let of_group = (vec![("plain", 9)], vec!["eth3"], vec!["eth4"]);
    assert_eq!(tracked(&vips[1]), of_group);
    // What it tracks already is its own: keepalived does not make it weigh.
    assert_eq!(tracked(&vips[0]), (vec![("plain", 0)], vec!["eth1", "eth2", "eth3"], vec!["eth4"]));
    let group = "group {\n a\n b\n}\nsync_group_tracking_weight\n";
    let vips = read(file(OF_A, group), expect![[""]]);
    assert_eq!(tracked(&vips[0]), (vec![("plain", 0), ("heavy", 5)], vec!["eth1"], vec!["eth2"]));
}

#[test]
fn a_group_of_nothing_of_one_and_of_what_is_elsewhere_are_told() {
    read(
        file("", ""),
        expect![[r#"
        error[missing-key]: sync group `router` has no instances
          --> keepalived.conf:23:17
           |
        23 | vrrp_sync_group router {
           |                 ^^^^^^
           = help: add `group {`, the names of instances and `}`

        1 error
    "#]],
    );
    read(
        file("", "group {\n a\n}\n"),
        expect![[r#"
        warning[sync-group]: sync group `router` has one instance: there is nothing to hold together
          --> keepalived.conf:23:17
           |
        23 | vrrp_sync_group router {
           |                 ^^^^^^

        1 warning
    "#]],
    );
    read(
        file("", "group {\n a\n bb\n a\n}\ntrack_script {\n plane\n}\n"),
        expect![[r#"
        error[unknown-name]: there is no `vrrp_instance bb`
          --> keepalived.conf:26:2
           |
        26 |  bb
           |  ^^
           = help: did you mean `b`?

        error[duplicate-name]: `a` is in the sync group `router` already
          --> keepalived.conf:27:2
           |
        27 |  a
           |  ^

        error[unknown-name]: there is no `vrrp_script plane`
          --> keepalived.conf:30:2
           |
        30 |  plane
           |  ^^^^^
           = help: did you mean `plain`?

        3 errors
    "#]],
    );
    let two = "group {\n a\n b\n}\n}\nvrrp_sync_group other {\ngroup {\n b\n a\n}\nsmtp_alert\n";
    read(
        file("", two),
        expect![[r#"
        note[not-run-yet]: `smtp_alert` is not run yet
          --> keepalived.conf:34:1
           |
        34 | smtp_alert
           | ^^^^^^^^^^

        error[duplicate-name]: `b` is in the sync group `router` already
          --> keepalived.conf:31:2
           |
        31 |  b
           |  ^

        error[duplicate-name]: `a` is in the sync group `router` already
          --> keepalived.conf:32:2
           |
        32 |  a
           |  ^

        2 errors, 1 note
    "#]],
    );
}

#[test]
fn pipes_are_told_of_priorities_as_the_instance_its_group_or_the_file_says() {
    let says = |of_a: &str, of_group: &str| {
        let text = file(of_a, &format!("group {{\n a\n b\n}}\n{of_group}"));
        let vips = read(text, expect![[""]]);
        vips.iter().map(|vip| vip.notify.priority_changes).collect::<Vec<_>>()
    };
    assert_eq!(says("", ""), [false, false]);
    assert_eq!(says("", "notify_priority_changes\n"), [true, true]);
    assert_eq!(says(" notify_priority_changes off\n", "notify_priority_changes\n"), [false, true]);
}

fn cluster(one: &str, two: &str, expected: Expect) -> Vec<Option<String>> {
    let vip = |name: &str, id: u8, keys: &str| {
        format!("[vip.{name}]\naddress = \"10.0.0.{id}\"\nrouter_id = {id}\n{keys}\n")
    };
    let text = format!(
        "[cluster]\nname = \"c\"\nsecret_file = \"s\"\n[node.a]\nnetworks = {{ m = \"10.0.0.1\" }}\n[node.b]\nnetworks = {{ m = \"10.0.0.2\" }}\n[node.c]\nnetworks = {{ m = \"10.0.0.3\" }}\n{}{}",
        vip("one", 7, one),
        vip("two", 8, two)
    );
    let loaded = load(vec![Source { path: "outlast.toml".to_owned(), text }]);
    expected.assert_eq(&render(&loaded.sources, &loaded.diagnostics));
    let vips = loaded.cluster.map(|cluster| cluster.vips).unwrap_or_default();
    vips.into_iter().map(|vip| vip.sync_group).collect()
}

#[test]
fn the_cluster_file_names_a_group_in_each_of_its_virtual_ips() {
    let key = "sync_group = \"router\"";
    let read = cluster(key, key, expect![[""]]);
    assert_eq!(read, [Some("router".to_owned()), Some("router".to_owned())]);
    cluster(
        key,
        "",
        expect![[r#"
        warning[sync-group]: `one` is alone in the sync group `router`
          --> outlast.toml:10:6
           |
        10 | [vip.one]
           |      ^^^

        1 warning
    "#]],
    );
    cluster(
        key,
        &format!("{key}\norder = [\"b\", \"a\"]"),
        expect![[r#"
        error[sync-group]: `one` and `two` of the sync group `router` have another `order`: no node is the first for both
          --> outlast.toml:14:6
           |
        14 | [vip.two]
           |      ^^^
           = help: write the same `order` for all of a group

        1 error
    "#]],
    );
    cluster(
        &format!("{key}\nlease = true"),
        key,
        expect![[r#"
        error[sync-group]: `one` and `two` of the sync group `router`: one has a vip lease, the other is held by VRRP
          --> outlast.toml:15:6
           |
        15 | [vip.two]
           |      ^^^
           = help: write `lease` for all of a group, or for none

        1 error
    "#]],
    );
}

/// As scripts and interfaces of a group; what one tracks of its own is its own.
#[test]
fn processes_files_and_ways_of_a_group_are_of_all_its_instances() {
    let tracked = "vrrp_track_process p {\n process haproxy\n}\nvrrp_track_file f {\n file /run/f\n}\nbfd_instance w {\n neighbor_ip 10.0.0.1\n}\n";
    let group = "group {\n a\n b\n}\ntrack_process {\n p weight 3\n}\ntrack_file {\n f\n}\ntrack_bfd {\n w\n}\n";
    let of_a = " track_process {\n p weight 7\n }\n";
    let vips = read(tracked.to_owned() + &file(of_a, group), expect![[""]]);
    for (vip, weight) in vips.iter().zip([7, 3]) {
        let processes: Vec<i16> = vip.track_processes.iter().map(|it| it.weight).collect();
        let all = (processes, vip.track_files.len(), vip.track_bfds.len());
        assert_eq!(all, (vec![weight], 1, 1), "{}", vip.name);
    }
    let unknown = "group {\n a\n b\n}\ntrack_file {\n g\n}\n";
    let text = tracked.to_owned() + &file("", unknown);
    let source = Source { path: "keepalived.conf".to_owned(), text };
    let (_, found) = keepalived::parse(&source, 0);
    assert_eq!(found.len(), 1, "{found:?}");
}

/// As keepalived 2.2.7: the weight 1 of a file is no weight, with another one it is not looked at, and no way that weighs is;
/// weights of processes count.
#[test]
fn own_weights_of_files_and_ways_do_not_count_in_a_group_and_those_of_processes_do() {
    let tracked = "vrrp_track_process p {\n process haproxy\n}\nvrrp_track_file one {\n file /run/one\n}\n\
                   vrrp_track_file two {\n file /run/two\n weight 2\n}\nvrrp_track_file none {\n file /run/none\n weight 0\n}\n\
                   bfd_instance w {\n neighbor_ip 10.0.0.1\n}\nbfd_instance x {\n neighbor_ip 10.0.0.2\n weight 5\n}\n";
    let of_a = " track_process {\n p weight 7\n }\n track_file {\n one\n two\n none weight 0 reverse\n }\n track_bfd {\n w\n x\n }\n";
    let group = "group {\n a\n b\n}\ntrack_file {\n two\n}\n";
    let of = |of_a: &str, group: &str| {
        let text = tracked.to_owned() + &file(of_a, group);
        let source = Source { path: "keepalived.conf".to_owned(), text };
        let (read, findings) = keepalived::parse(&source, 0);
        let vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
        let a = &vips[0];
        let files = a.track_files.iter().map(|it| (it.name.clone(), it.weight, it.reversed));
        let ways = a.track_bfds.iter().map(|it| it.session.name.clone());
        let told: Vec<String> = findings.into_iter().map(|it| it.message).collect();
        let processes: Vec<i16> = a.track_processes.iter().map(|it| it.weight).collect();
        (files.collect::<Vec<_>>(), ways.collect::<Vec<_>>(), processes, told)
    };
    let name = |name: &str, weight: i32, reversed: bool| (name.to_owned(), weight, reversed);
    let (files, ways, processes, told) = of(of_a, group);
    // The group's own weight counts, of what the instance does not track itself any more.
    assert_eq!(files, [name("one", 0, false), name("none", 0, true), name("two", 2, false)]);
    assert_eq!((ways, processes), (vec!["w".to_owned()], vec![7]));
    let why = "has a weight, and `a` is in the sync group `router`";
    assert_eq!(
        told,
        [
            format!("`one` {why}: any number but 0 takes the address"),
            format!("`two` {why}: the file is not looked at"),
            format!("`x` {why}: the way is not looked at"),
        ]
    );
    let (files, ways, _, told) = of(of_a, &format!("{group}sync_group_tracking_weight\n"));
    assert_eq!(files, [name("one", 1, false), name("two", 2, false), name("none", 0, true)]);
    assert_eq!((ways.len(), told), (2, vec![]));
    // So it is with the owner of an address, who has no weights at all.
    let owner = format!(" priority 255\n{of_a}");
    let (files, ways, ..) = of(&owner, "group {\n b\n}\n");
    assert_eq!(files, [name("one", 0, false), name("none", 0, true)]);
    assert_eq!(ways, ["w"]);
}
