//! A process that makes way for the next one, in the turn in which it hears of it.

use api::Order;

use super::*;

/// Runs a process up to the turn in which an order and a hand-over wait for it: whether it holds the address at its
/// end, and its last word of that.
fn ends_with_a_hand_over(orders: &[Order]) -> (bool, bool) {
    let network = Network::new();
    let mut peer = Peer::new(&network);
    let (supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut driver = Driver::new(&channel, &start(), &texts()).unwrap();
        driver.begin(&start());
        let _begin = reports(&supervisor);
        peer.hand_over(7);
        let mut ready = Vec::new();
        let socket = loop {
            driver.poller.wait(&mut ready, Some(PATIENCE)).unwrap();
            assert!(!ready.is_empty(), "the hand-over did not come in time");
            if let Some(socket) = ready.iter().find(|event| event.token >= SOCKETS) {
                break socket.token;
            }
            driver.devices();
        };
        for order in orders {
            let mut bytes = Vec::new();
            api::encode(order, &mut bytes);
            supervisor.send(&bytes, &[]).unwrap();
        }
        driver.orders();
        driver.packets(socket);
        driver.pass_time();
        driver.serve().unwrap();
        let mut states = reports(&supervisor).into_iter().filter_map(|report| {
            if let Report::Vip(state) = report { Some(state.holding) } else { None }
        });
        states.next_back().expect("it says no last word")
    });
    (network.has(VIP), driven.unwrap())
}

#[test]
fn a_packet_in_the_turn_in_which_a_process_retires_moves_nothing() {
    let test = "retire::a_packet_in_the_turn_in_which_a_process_retires_moves_nothing";
    if !may_make_networks(test) {
        return;
    }
    assert_eq!(ends_with_a_hand_over(&[Order::Retire]), (false, false), "claimed for nobody");
    assert_eq!(ends_with_a_hand_over(&[Order::Retire, Order::Stop]), (false, false));
}

#[test]
fn a_process_that_retires_keeps_its_address_and_says_so_last() {
    if !may_make_networks("retire::a_process_that_retires_keeps_its_address_and_says_so_last") {
        return;
    }
    let network = Network::new();
    let (supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut driver = Driver::new(&channel, &start(), &texts()).unwrap();
        driver.begin(&start());
        driver.step(0, named(7));
        let _heard = reports(&supervisor);
        driver.end = Some(End::Retire);
        driver.serve().unwrap();
        reports(&supervisor)
    });
    let reports = driven.unwrap();
    assert!(matches!(&reports[..], [Report::Vip(VipState { holding: true, .. })]), "{reports:?}");
    assert!(network.has(VIP));
}
