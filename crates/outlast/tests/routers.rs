//! Routers of neutron in one process: started, signalled, watched and ended as neutron's L3 agent does it with keepalived.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[path = "routers/container.rs"]
mod container;
#[path = "routers/host.rs"]
mod host;
#[path = "routers/l3.rs"]
mod l3;
#[path = "routers/lost.rs"]
mod lost;
#[path = "routers/reread.rs"]
mod reread;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use host::{Agent, Host, PRIMARY, Watched, cable, first_private_kb, namespace};
use lonely::{contained, kill, runs, until};

#[test]
fn routers_of_neutron_share_one_process_and_each_ends_by_itself() {
    let test = "routers_of_neutron_share_one_process_and_each_ends_by_itself";
    contained(test, || {
        let mut host = Host::new("a");
        let agent = Agent::start(&host);
        host.start_desk();
        for router in ["r1", "r2"] {
            namespace(router, 1);
            host.write(router, "10.1.0.1/24");
            host.watch(router);
            host.start(router);
        }
        until("both are primary", || host.holds("r1") && host.holds("r2"));
        until("neutron knows it", || {
            agent.last("r1") == "primary" && agent.last("r2") == "primary"
        });
        let pid = host.pid("r1");
        assert_eq!(Some(pid), host.number("r1", "pid-vrrp"), "neutron looks for both");
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("it runs");
        assert!(
            words.contains("/r1/keepalived.conf"),
            "by this neutron knows whose it is: {words}"
        );
        assert!(first_private_kb(pid) <= 40, "{} kB", first_private_kb(pid));

        // Another address of a tenant, then a mistake.
        host.write("r1", "10.1.0.7/24");
        kill(pid, "HUP");
        until("the new address is there", || host.has("r1", "10.1.0.7/24"));
        assert!(host.holds("r1") && !host.has("r1", "10.1.0.1/24"));
        host.write("r1", "10.1.0.300/24");
        kill(pid, "HUP");
        until("the mistake is told", || host.log().contains("goes on with the file before"));
        assert!(host.holds("r1") && host.has("r1", "10.1.0.7/24") && runs(pid), "{}", host.log());

        each_writes_files_of_its_own(&host);
        assert!(host.holds("r1") && host.holds("r2"));

        // A second one for the same file would be a second holder.
        host.write("r1", "10.1.0.7/24");
        let second = host.command("r1").output().expect("it runs");
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        assert!(!second.status.success() && said.contains("it runs already as pid"), "{said}");

        kill(pid, "KILL");
        until("nothing of it answers", || {
            !host.has("r1", PRIMARY) && !host.has("r1", "10.1.0.7/24")
        });
        until("neutron knows it", || agent.last("r1") == "backup");
        assert!(host.holds("r2"));
        // Neutron starts it again.
        host.write("r1", "10.1.0.1/24");
        host.start("r1");
        until("it is primary again", || host.holds("r1"));

        let pids = [host.pid("r1"), host.pid("r2")];
        pids.iter().for_each(|pid| kill(*pid, "TERM"));
        until("both have ended", || !pids.iter().any(|pid| runs(*pid)));
        assert!(!host.has("r1", PRIMARY) && !host.has("r2", PRIMARY), "{}", host.log());
        assert_eq!(host.number("r2", "pid"), None, "its file is gone");
        until("neutron knows it", || agent.last("r2") == "backup");
        assert_eq!(agent.all("r2"), ["backup", "primary", "backup"]);
    });
}

/// Where keepalived has one for all of a host.
fn each_writes_files_of_its_own(host: &Host) {
    let asks = |router: &str, signal: &str, file: &str, part: &str| {
        let mut text = String::new();
        until("it writes that down", || {
            kill(host.pid(router), signal);
            text = fs::read_to_string(host.path(router, file)).unwrap_or_default();
            text.contains(part)
        });
        text
    };
    let data = |router: &str| asks(router, "USR1", "keepalived.data", "State = MASTER");
    assert!(data("r1").contains("10.1.0.7/24") && data("r2").contains("10.1.0.1/24"));
    until("that of the last one is there as well", || {
        kill(host.pid("r2"), "USR1");
        let last = fs::read_to_string(host.temporary().join("keepalived.data"));
        last.is_ok_and(|text| text.contains("10.1.0.1/24"))
    });
    asks("r1", "USR2", "keepalived.stats", "Became master: ");
    // Counting begins anew; the address stays.
    asks("r1", "63", "keepalived.stats", "Became master: 0");
}

#[test]
fn the_process_of_routers_and_its_desk_are_killed_and_no_address_moves() {
    contained("the_process_of_routers_and_its_desk_are_killed_and_no_address_moves", || {
        let mut host = Host::new("a");
        let agent = Agent::start(&host);
        host.start_desk();
        for router in ["r1", "r2", "r3"] {
            namespace(router, 1);
            host.write(router, "10.1.0.1/24");
            host.watch(router);
            host.start(router);
        }
        let all = ["r1", "r2", "r3"];
        until("all are primary", || all.iter().all(|router| host.holds(router)));
        until("neutron knows it", || all.iter().all(|router| agent.last(router) == "primary"));
        let watched: Vec<Watched> = all.iter().map(|router| Watched::start(router)).collect();
        let first = host.process();
        kill(first, "KILL");
        until("another one has adopted them", || {
            host.log().matches("is adopted").count() == 3 && host.process() != first
        });
        assert_eq!(host.listed().len(), 3);
        // It hangs: it is ended, and replaced in the same way.
        kill(host.process(), "STOP");
        until("another one has adopted them", || host.log().matches("is adopted").count() == 6);
        for router in all {
            assert_eq!(agent.all(router), ["backup", "primary"], "it was told nothing else");
        }
        // What its file says now cannot be run: it joins with what was accepted.
        host.write("r3", "10.1.0.300/24");
        host.kill_desk();
        until("a stand-in has started another desk", || host.listed().len() == 3);
        // A signal reaches the one that does the work now.
        host.write("r1", "10.1.0.7/24");
        kill(host.pid("r1"), "HUP");
        until("the new address is there", || host.has("r1", "10.1.0.7/24"));
        watched.into_iter().for_each(Watched::end);
        for router in all {
            let mut told = agent.all(router);
            told.dedup();
            assert_eq!(told, ["backup", "primary"], "another desk tells the same again at most");
        }
        kill(host.pid("r2"), "KILL");
        until("nothing of it answers", || !host.has("r2", PRIMARY));
        assert!(host.holds("r1") && host.holds("r3"));
    });
}

#[test]
fn where_no_desk_comes_back_the_addresses_are_taken_off() {
    contained("where_no_desk_comes_back_the_addresses_are_taken_off", || {
        let mut host = Host::new("a");
        host.start_desk();
        for router in ["r1", "r2"] {
            namespace(router, 1);
            host.write(router, "10.1.0.1/24");
            host.start(router);
        }
        until("both are primary", || host.holds("r1") && host.holds("r2"));
        let pids = [host.pid("r1"), host.pid("r2")];
        // Nobody can listen there.
        host.kill_desk_and_its_place();
        let began = sys::clock::now();
        until("both have ended", || !pids.iter().any(|pid| runs(*pid)));
        assert!(sys::clock::now().since(began) < Duration::from_secs(6));
        assert!(!host.has("r1", PRIMARY) && !host.has("r2", "10.1.0.1/24"));
        // By itself, as before there was a desk.
        host.start("r1");
        until("it is primary", || host.holds("r1"));
        kill(host.pid("r1"), "TERM");
        until("it has let go", || !host.has("r1", PRIMARY));
    });
}

#[test]
fn three_routers_move_between_this_host_and_one_with_keepalived() {
    let test = "three_routers_move_between_this_host_and_one_with_keepalived";
    contained(test, || {
        if Command::new("keepalived").arg("--version").output().is_err() {
            let test = "outlast::three_routers_move_between_this_host_and_one_with_keepalived";
            return lab::skip::note(test, "keepalived is not installed");
        }
        let (mut ours, theirs) = (Host::new("a"), Host::of_keepalived("b"));
        ours.start_desk();
        let all = ["r1", "r2", "r3"];
        for router in all {
            cable(router);
            ours.write(router, "10.1.0.1/24");
            theirs.write(router, "10.1.0.1/24");
            ours.start(router);
        }
        let held = |host: &Host| all.iter().filter(|router| host.holds(router)).count();
        until("this host has all", || held(&ours) == 3);
        all.iter().for_each(|router| theirs.start(router));
        // Longer than it takes keepalived to claim what nobody speaks for.
        sleep(Duration::from_secs(5));
        assert_eq!((held(&ours), held(&theirs)), (3, 0));
        all.iter().for_each(|router| kill(ours.pid(router), "KILL"));
        until("keepalived has all", || held(&theirs) == 3);
        assert_eq!(held(&ours), 0);
        all.iter().for_each(|router| ours.start(router));
        until("all are served", || ours.listed().len() == 3);
        assert_eq!((held(&ours), held(&theirs)), (0, 3), "who comes takes nothing");
        all.iter().for_each(|router| kill(theirs.pid(router), "TERM"));
        until("this host has all", || held(&ours) == 3);
        until("keepalived has none", || held(&theirs) == 0);
    });
}

#[test]
fn a_router_that_is_flooded_or_loses_its_devices_costs_no_other_one_its_address() {
    let test = "a_router_that_is_flooded_or_loses_its_devices_costs_no_other_one_its_address";
    contained(test, || {
        let mut host = Host::new("a");
        host.start_desk();
        for router in ["r1", "r2", "r3"] {
            namespace(router, 1);
            host.write(router, "10.1.0.1/24");
            host.start(router);
        }
        until("all are primary", || ["r1", "r2", "r3"].iter().all(|router| host.holds(router)));
        let watched = Watched::start("r3");
        let adverts = host::Adverts::start("r3");
        let flood = host::Flood::start("r1");
        host::ip(&["-n", "a-r2", "link", "delete", "ha-1"]);
        host::ip(&["netns", "delete", "a-r2"]);
        sleep(Duration::from_secs(4));
        let sent = flood.end();
        assert!(sent > 10_000, "{sent} is no flood");
        watched.end();
        let longest = adverts.end();
        // An advert a second: others wait for more than three.
        assert!(longest < Duration::from_millis(2000), "no advert for {longest:?}");
        assert_eq!(host.listed().len(), 3);
    });
}

#[test]
fn a_monitor_that_has_to_tell_conntrackd_is_neutrons_own() {
    let folder = std::env::temp_dir().join(format!("outlast-conntrackd-{}", std::process::id()));
    let (ours, theirs) = (folder.join("ours"), folder.join("theirs"));
    let name = "neutron-keepalived-state-change";
    for folder in [&ours, &theirs] {
        fs::create_dir_all(folder).expect("a folder");
    }
    symlink(lonely::OUTLAST, ours.join(name)).expect("a name");
    fs::write(theirs.join(name), "#!/bin/sh\necho neutron was called with \"$@\"\n")
        .expect("a file");
    fs::set_permissions(theirs.join(name), fs::Permissions::from_mode(0o755)).expect("a mode");
    let said = |folders: &[&Path]| {
        let path =
            std::env::join_paths(folders.iter().chain(&[Path::new("/bin")])).expect("a path");
        let mut command = Command::new(ours.join(name));
        command.args(["--router_id=r1", "--enable_conntrackd"]).env("PATH", path);
        let output = command.output().expect("it runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert_eq!(
        said(&[&ours, &theirs]),
        "neutron was called with --router_id=r1 --enable_conntrackd\n"
    );
    assert!(said(&[&ours]).contains("--enable_conntrackd is not run here"));
    fs::remove_dir_all(folder).expect("it was made here");
}
