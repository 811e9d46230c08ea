//! What a virtual IP of the cluster file needs, or weighs by.

use std::time::Duration;

use outlast_config::vip::{Matching, TrackedFile, TrackedProcess, Vip, Weighed};
use outlast_config::{Source, effective_vips, load};

fn read(lines: &str) -> (Vip, Vec<String>) {
    let nodes: String =
        (1..4).map(|n| format!("[node.n{n}]\nnetworks = {{ lan = \"10.0.0.{n}\" }}\n")).collect();
    let text = format!(
        "[cluster]\nname = \"c\"\nsecret_file = \"s\"\n{nodes}[vip.v]\naddress = \"10.0.0.9\"\nrouter_id = 7\n{lines}\n"
    );
    let loaded = load(vec![Source { path: "outlast.toml".to_owned(), text }]);
    let told: Vec<String> = loaded.diagnostics.into_iter().map(|it| it.message).collect();
    let vips = effective_vips(loaded.cluster.as_ref(), None, Some(0), false, &|_| None);
    (vips.unwrap().remove(0), told)
}

#[test]
fn interfaces_processes_and_files_take_the_address_or_weigh() {
    let (vip, told) = read(
        "track_interfaces = [\"eth1\", { name = \"eth2\", weight = 7, reverse = true }, { name = \"eth3\", reverse = true }]\n\
         track_processes = [\"/usr/sbin/haproxy\", { process = [\"/bin/a\", \"-x\"], least = 2, most = 4, up_delay = \"1s\", \
         down_delay = \"500ms\", weight = -9, name = \"router\" }, { process = \"b\", match = \"program\", reverse = true }]\n\
         track_files = [\"/run/drain\", { file = \"/run/load\", weight = -2, reverse = true, name = \"load\" }]\n\
         check = { script = [\"/bin/check\"], weight = 5, fall = 2, rise = 3, reverse = true }",
    );
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(vip.track_interfaces, ["eth1", "eth3"]);
    assert_eq!(vip.reversed_interfaces, ["eth3"]);
    let eth2 = Weighed { name: "eth2".to_owned(), weight: -7, reversed: true };
    assert_eq!(vip.weighed_interfaces, [eth2]);
    let plain = |name: &str, command: &[&str]| TrackedProcess {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        weight: 0,
        ..TrackedProcess::plain(name)
    };
    let router = TrackedProcess {
        matching: Matching::Exact,
        least: 2,
        most: Some(4),
        fork_delay: Duration::from_secs(1),
        terminate_delay: Duration::from_millis(500),
        weight: -9,
        ..plain("router", &["/bin/a", "-x"])
    };
    let b = TrackedProcess { matching: Matching::Program, reversed: true, ..plain("b", &["b"]) };
    assert_eq!(vip.track_processes, [plain("haproxy", &["/usr/sbin/haproxy"]), router, b]);
    let file = |name: &str, path: &str, weight, reversed| {
        let (name, path) = (name.to_owned(), path.to_owned());
        TrackedFile { name, path, weight, reversed }
    };
    let drain = file("/run/drain", "/run/drain", 0, false);
    assert_eq!(vip.track_files, [drain, file("load", "/run/load", -2, true)]);
    let script = &vip.track_scripts[0];
    assert_eq!((script.weight, script.fall, script.rise, script.reversed), (-5, 3, 2, true));
    // One alone needs no list.
    let (vip, _) = read("track_processes = \"nginx\"\ntrack_files = { file = \"/f\" }");
    assert_eq!((vip.track_processes.len(), vip.track_files.len()), (1, 1));
}

#[test]
fn a_mistake_in_what_is_tracked_is_told() {
    for (lines, expected) in [
        ("track_processes = [{ least = 2 }]", "`track_processes` has no `process`"),
        (
            "track_processes = [{ process = \"a\", match = \"some\" }]",
            "expected \"name\", \"program\", \"exact\", \"initial\" or \"partial\", found \"some\"",
        ),
        (
            "track_processes = [{ process = \"a\", weight = 300 }]",
            "expected a weight from -253 to 253, found 300",
        ),
        ("track_processes = [7]", "expected the name of a process, or a table, found 7"),
        ("track_files = [{ weight = 2 }]", "`track_files` has no `file`"),
        ("track_interfaces = [{ weight = 2 }]", "`track_interfaces` has no `name`"),
        ("track_interfaces = [{ nam = \"eth1\" }]", "`nam` is no key of `track_interfaces`"),
        (
            "lease = true\ntrack_files = [{ file = \"/f\", weight = 2 }]",
            "`v` has a vip lease, which knows no priorities to weigh",
        ),
    ] {
        let (_, told) = read(lines);
        assert!(told.iter().any(|message| message == expected), "{lines}: {told:?}");
    }
    let weighed =
        "lease = true\ncheck = [{ script = [\"/c\"] }, { script = [\"/d\"], weight = -5 }]";
    assert_eq!(read(weighed).1, ["`v` has a vip lease, which knows no priorities to weigh"]);
    let (vip, told) = read("lease = true\ntrack_files = [\"/f\"]\ntrack_processes = [\"a\"]");
    assert_eq!((told, vip.track_files.len(), vip.track_processes.len()), (vec![], 1, 1));
}
