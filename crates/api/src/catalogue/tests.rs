use super::*;

#[test]
fn events_stand_in_order_and_once() {
    let names: Vec<&str> = EVENTS.iter().map(|kind| kind.name).collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    assert_eq!(kind("vip-claimed").map(|kind| kind.about), Some("vip"));
    assert_eq!(kind("vip-claimd"), None);
}
