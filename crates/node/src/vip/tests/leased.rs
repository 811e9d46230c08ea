//! The driver of vip leases on a real device; the other voters are played by the test.

use engine::packet::MAX_BODY;
use engine::vip::lease::{self, BEAT, SPAN, Stand, View, VipLease, Voters};

use super::super::lease::seat;
use super::*;

const CLUSTER: &str = r#"
[cluster]
name = "test"
record_mb = 0
secret_file = "/none"
[node.one]
networks = { lan = "10.79.0.41" }
[node.two]
networks = { lan = "10.79.0.42" }
[node.three]
networks = { lan = "10.79.0.43" }
"#;
const VIPS: &str = "\
    [vip.first]\n\
    address = \"10.79.0.40\"\n\
    network = \"lan\"\n\
    router_id = 121\n\
    check = \"none\"\nlease = true\n\
    [vip.second]\n\
    address = \"10.79.0.39\"\n\
    network = \"lan\"\n\
    router_id = 122\n\
    check = \"none\"\nlease = true\n";
const LIFE: u64 = 7;
const BOTH: [usize; 2] = [0, 1];

fn texts() -> Texts {
    let source = Source { path: "outlast.toml".to_owned(), text: [CLUSTER, VIPS].concat() };
    Texts { cluster: Some(source), secret: Some(SECRET.to_vec()), ..Texts::default() }
}

/// Node one, and two others that vote and hold nothing: their cables are off.
struct Stage<'a> {
    driver: Driver<'a>,
    others: Vec<VipLease>,
    ready: Vec<Ready>,
}

impl<'a> Stage<'a> {
    fn new(channel: &'a Channel) -> Self {
        let driver = Driver::new(channel, &start(), &texts()).unwrap();
        let cluster = config::load(texts().sources()).cluster.unwrap();
        let other = |node| {
            let config = lease::Config {
                node,
                life: LIFE,
                closed: true,
                nodes: 3,
                voters: Voters::new(None, &[0, 1, 2]).unwrap(),
                beat: BEAT,
                span: SPAN,
                seats: driver.instances.iter().map(|it| seat(&it.vip, &cluster)).collect(),
            };
            VipLease::new(&config, sys::clock::now())
        };
        let others = [1, 2].map(other).into();
        Self { driver, others, ready: Vec::new() }
    }

    /// Until it is so, with what all say to each other.
    fn run_until(&mut self, what: &str, fits: impl Fn(&Driver<'_>) -> bool) {
        let end = sys::clock::now() + PATIENCE;
        while !fits(&self.driver) {
            assert!(sys::clock::now() < end, "in vain: {what}");
            self.driver.turn(&mut self.ready).unwrap();
            let (mut out, mut body) = (Buffer::new(), [0; MAX_BODY]);
            for (from, other) in (1..).zip(&mut self.others) {
                let machine = &self.driver.vip_leases.as_ref().unwrap().machine;
                let length = machine.beat(from, &mut body);
                let heard =
                    lease::Input::Beat { from: 0, life: start().life, body: &body[..length] };
                other.step(sys::clock::now(), heard, &mut out);
                out.clear();
                let length = other.beat(0, &mut body);
                self.driver.hear_beat(from, LIFE, &body[..length]);
            }
        }
    }
}

fn view(driver: &Driver<'_>, seat: usize) -> View {
    driver.vip_leases.as_ref().unwrap().machine.view(seat).unwrap()
}

#[test]
fn all_addresses_that_the_kernel_refuses_in_one_step_are_given_up() {
    let test = "all_addresses_that_the_kernel_refuses_in_one_step_are_given_up";
    if !may_make_networks(&format!("leased::{test}")) {
        return;
    }
    let network = Network::new();
    let (_supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut stage = Stage::new(&channel);
        stage.driver.begin(&start());
        for instance in &mut stage.driver.instances {
            // No kernel takes such an address.
            instance.vip.addresses[0].prefix = 33;
        }
        let refused = |driver: &Driver<'_>| {
            BOTH.iter().all(|seat| {
                let cause = view(driver, *seat).cause;
                let why = lease::Cause::Fact(engine::vip::Cause::Refused);
                view(driver, *seat).stand == Stand::Unfit && cause == Some(why)
            })
        };
        stage.run_until("both are given up", refused);
    });
    driven.unwrap();
}
