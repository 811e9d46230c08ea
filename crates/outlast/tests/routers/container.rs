//! Neutron's agent in a container: other numbers of processes, other folders.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::host::{Agent, Host, PRIMARY, namespace};
use crate::lonely::{contained, kill, until};

/// What the agent starts there. `/run/inside` is a folder of the container alone.
fn script() -> String {
    let watch = format!(
        "/run/a/bin/neutron-keepalived-state-change --router_id=r1 --namespace=a-r1 --conf_dir=/run/inside/r1 \
         --monitor_interface=ha-1 --monitor_cidr={PRIMARY} --pid_file=/run/inside/r1/monitor.pid --state_path=/run/inside \
         --user=0 --group=0"
    );
    let router = "ip netns exec a-r1 /run/a/bin/keepalived -P -f /run/inside/r1/keepalived.conf -p /run/inside/r1/pid \
                  -r /run/inside/r1/pid-vrrp";
    format!("mount --bind /run/a /run/inside && {watch} && {router} && exec sleep 600")
}

#[test]
fn an_agent_in_a_container_with_folders_and_numbers_of_its_own_is_told_and_its_end_is_seen() {
    let test = "container::an_agent_in_a_container_with_folders_and_numbers_of_its_own_is_told_and_its_end_is_seen";
    contained(test, || {
        let mut host = Host::new("a");
        let agent = Agent::start(&host);
        host.start_desk();
        namespace("r1", 1);
        host.write("r1", "10.1.0.1/24");
        fs::create_dir("/run/inside").expect("a folder");
        let mut container = Command::new("unshare");
        container.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]);
        container.arg(script()).env("OUTLAST_ROUTERS", host.socket()).stdin(Stdio::null());
        let mut container = container.spawn().expect("unshare ran a moment ago");
        until("it is primary", || host.holds("r1"));
        until("neutron knows it", || agent.last("r1") == "primary");
        assert!(!Path::new("/run/inside/r1").exists(), "the folder is of the container alone");
        let state = || fs::read_to_string("/run/a/r1/state").unwrap_or_default();
        assert_eq!((state().as_str(), host.pid("r1") < 100), ("primary", true));
        // Another process finds the folders as well.
        let first = host.process();
        kill(first, "KILL");
        until("another one has adopted it", || host.log().contains("is adopted"));
        assert!(host.holds("r1"));
        container.kill().expect("it runs");
        container.wait().expect("a child");
        until("its routers end with it", || !host.holds("r1"));
    });
}
