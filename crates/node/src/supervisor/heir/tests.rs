use super::*;

/// Two addresses that are held by votes, each in that sync group if in any.
fn vips(groups: [Option<&str>; 2]) -> Vec<Vip> {
    let node =
        |name: &str, at: u8| format!("[node.{name}]\nnetworks = {{ lan = \"10.0.0.{at}\" }}\n");
    let nodes = node("a", 1) + &node("b", 2) + &node("c", 3);
    let vip = |(at, group): (u8, Option<&str>)| {
        let group = group.map_or_else(String::new, |group| format!("sync_group = \"{group}\"\n"));
        format!(
            "[vip.v{at}]\naddress = \"10.0.0.{at}\"\nnetwork = \"lan\"\nrouter_id = {at}\nlease = true\n{group}"
        )
    };
    let vips: String = (8..).zip(groups).map(vip).collect();
    let text = format!("[cluster]\nname = \"cloud\"\nsecret_file = \"s\"\n{nodes}{vips}");
    let source = config::Source { path: String::new(), text };
    let (cluster, findings) = config::cluster::parse(&source, 0);
    let cluster = cluster.unwrap_or_else(|| panic!("{findings:?}"));
    let device = |_| Some("eth0".to_owned());
    config::effective_vips(Some(&cluster), None, Some(0), false, &device).unwrap()
}

#[test]
fn addresses_that_are_held_together_from_now_on_are_claimed_anew_and_left_to_nobody() {
    let (apart, together) = (vips([None, None]), vips([Some("g"), Some("g")]));
    assert!(!by_votes(&apart).eq(by_votes(&together)));
    assert!(!by_votes(&together).eq(by_votes(&apart)));
    let renamed = vips([Some("other"), Some("other")]);
    assert!(by_votes(&together).eq(by_votes(&renamed)), "the same ones together");
}
