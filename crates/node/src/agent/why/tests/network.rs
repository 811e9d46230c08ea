//! Virtual IPs whose network is not there yet.

use super::*;

#[test]
fn a_virtual_ip_without_its_network_is_explained_by_the_address_that_is_missing() {
    let mut status = status();
    let vip = &mut status.vips[0];
    (vip.state.role, vip.state.holding) = (VipRole::Fault, false);
    vip.state.cause = Some(VipCause::NoNetwork);
    vip.interface = String::new();
    vip.holders = vec!["node02".to_owned()];
    check_in(
        &status,
        "vip/internal",
        expect![[r#"
            vip/internal: held by node02; node01 may not hold it
              saw the vip process of this node is in fault, because its network is not there yet (1500 ms ago)
              saw node02 says in its beats that it holds the address (120 ms ago)
              saw the balancer of this node serves (1500 ms ago)
              saw no interface has 10.79.0.41, this node's address there, yet; group 121, priority 200 here
              saw preferred order: node01, node02, node03
              rule without `interface` in the file the device is the one that has the node's address; nobody takes it back (no fail-back)
              then node01 stands by again when an interface has 10.79.0.41
        "#]],
    );
}
