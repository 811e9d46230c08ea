//! An address that is never on a node with two others, which have the two nodes that may hold it.

use super::*;

/// That of the third address.
const STORAGE: usize = 1;
/// Five seconds of calm, and again for a machine that stands still in them.
const MADE_WITHIN: Duration = Duration::from_secs(60);
const SAID: &str = "an address that is never on a node with it found none: it made room for that";

const MORE: &str = "order = [\"ctl1\", \"ctl2\"]\n\
    [vip.second]\naddress = \"10.79.0.50\"\nnetwork = \"mgmt\"\nrouter_id = 122\nlease = true\norder = [\"ctl2\", \"ctl1\"]\n\
    [vip.third]\naddress = \"10.80.0.50\"\nnetwork = \"storage\"\nrouter_id = 123\nlease = true\norder = [\"ctl1\", \"ctl2\"]\n\
    never_with = [\"internal\", \"second\"]\n";

impl Stage {
    /// Who holds each of the three, as they say themselves.
    fn three(&self) -> [Option<usize>; 3] {
        let lines: Vec<_> = (0..2)
            .map(|node| self.cluster.status(node).map(|status| status.vips).unwrap_or_default())
            .collect();
        let holds = |node: usize, vip| {
            let line: Option<&VipLine> = lines[node].get(vip);
            line.is_some_and(|line| line.state.holding)
        };
        std::array::from_fn(|vip| (0..2).find(|node| holds(*node, vip)))
    }

    /// None of the two has a carrier where clients of the third one are, or both have.
    fn carries(&self, up: bool) {
        for node in 0..2 {
            self.cluster.set_carrier(node, STORAGE, up).expect("it has that network");
        }
    }
}

#[test]
fn one_of_two_addresses_makes_room_for_a_third_one_that_is_never_with_them() {
    let name = "room::one_of_two_addresses_makes_room_for_a_third_one_that_is_never_with_them";
    contained(name, || {
        let Some(stage) = Stage::laid_out(name, &format!("{LINES}{MORE}")) else { return };
        stage.carries(false);
        until("nobody can hold the third one", || stage.three()[2].is_none());
        // Each of the others at a node of its own, by nobody's word.
        let mut said = String::new();
        until("they are apart", || {
            let [Some(first), Some(second), None] = stage.three() else { return false };
            if first == second {
                let other = stage.cluster.name(1 - second);
                said = stage.types(second, &["move", "vip/second", other]);
            }
            first != second
        });
        (0..2).for_each(|node| drop(stage.types(node, &["move", "vip/second", "--anywhere"])));
        stage.carries(true);
        let end = sys::clock::now() + MADE_WITHIN;
        while stage.three().iter().any(Option::is_none) {
            let seen = stage.three();
            assert!(sys::clock::now() < end, "{seen:?}; {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let [first, second, third] = stage.three();
        assert_eq!(first, second, "two nodes for three");
        assert_ne!(first, third, "they are never on one node");
        let told = (0..2).any(|node| stage.types(node, &["events"]).contains(SAID));
        assert!(told, "nobody says why it moved");
        stage.never_two();
    });
}
