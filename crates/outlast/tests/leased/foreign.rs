//! A keepalived in the group of an address with a vip lease.

use std::net::Ipv4Addr;
use std::process::{Child, Stdio};

use super::*;

const KEEPALIVED: &str = "/usr/sbin/keepalived";
/// Where it runs, and its address there.
const SWITCH: &str = "sw1";
const ITS_OWN: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 99);

/// Killed and forgotten with the test's namespaces.
struct Foreign(Child);

impl Foreign {
    fn start() -> Self {
        let folder = Path::new("/run/foreign");
        std::fs::create_dir_all(folder).expect("a folder of the test's own");
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let lines = format!(
            "vrrp_instance other {{\n  state MASTER\n  interface {SWITCH}\n  virtual_router_id 121\n  \
             priority 90\n  advert_int 1\n  virtual_ipaddress {{\n    {VIP}/24\n  }}\n}}\n"
        );
        std::fs::write(path("keepalived.conf"), lines).expect("it can be written");
        let mut command = Command::new(KEEPALIVED);
        command.args(["-n", "-l", "-P", "-f"]).arg(path("keepalived.conf"));
        command.arg("-p").arg(path("pid")).arg("-r").arg(path("vrrp.pid"));
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(quiet.spawn().expect("it starts"))
    }

    fn end(mut self) {
        kill(i32::try_from(self.0.id()).expect("it is a pid"), "TERM");
        self.0.wait().expect("it ends");
    }
}

#[test]
fn a_keepalived_that_holds_it_is_a_veto_with_its_address_and_takes_it_from_no_holder() {
    let name = "foreign::a_keepalived_that_holds_it_is_a_veto_with_its_address_and_takes_it_from_no_holder";
    contained(name, || {
        if !Path::new(KEEPALIVED).exists() {
            return lab::skip::note(&format!("outlast::{name}"), "keepalived is not installed");
        }
        let Some(mut stage) = Stage::new(name) else { return };
        on_device(SWITCH, |netlink, index| {
            netlink.add_address(index, ITS_OWN.into(), 24, AddressOptions::default()).map(drop)
        });
        // Started beside a holder: that one goes on, and all tell who it is.
        let holder = stage.holds();
        let since = sys::clock::now();
        let foreign = Foreign::start();
        until("all tell its address", || (0..NODES).all(|node| tells_of_it(&stage, node, since)));
        // Unless it stood still: then nobody follows it.
        until("the holder goes on", || {
            stage.vip(holder).is_some_and(|vip| vip.state.holding) || stage.was_lost(since)
        });

        // There before all of ours.
        for node in 0..NODES {
            stage.cluster.stop(node).expect("it can be stopped");
            stage.cluster.ended(node).expect("it ends");
        }
        let since = sys::clock::now();
        for node in 0..NODES {
            stage.cluster.start(node).expect("it can be started");
        }
        until("nobody stands beside it", || {
            let cause = |node| stage.vip(node).and_then(|vip| vip.state.cause);
            (0..NODES).all(|node| cause(node) == Some(VipCause::Foreign))
        });
        assert!((0..NODES).all(|node| stage.events(node, "vip-claimed", since).is_empty()));
        foreign.end();
        until("one of ours holds it when that one has gone", || {
            (0..NODES).any(|node| stage.vip(node).is_some_and(|vip| vip.state.holding))
        });
    });
}

fn tells_of_it(stage: &Stage, node: usize, since: Time) -> bool {
    let told = stage.events(node, "vip-adverts-refused", since);
    let its_own = ITS_OWN.to_string();
    told.iter().any(|event| event.evidence.contains(&its_own))
}
