//! The file that all nodes of a cluster have.

use super::{Plan, TRUST, address, small};

/// The cluster file: nodes and networks, no balancer, and nothing that `lines` does not say. Compute
/// nodes share no secret with controllers.
pub(super) fn of(plan: &Plan) -> String {
    let lines = &plan.lines;
    let keys = match plan.has_trust() {
        false => "secret_file = \"secret\"".to_owned(),
        true => format!("trust_dir = \"{TRUST}\""),
    };
    let mut text = format!("[cluster]\nname = \"lab\"\n{keys}\n{lines}\n");
    for (number, name) in plan.names.iter().enumerate() {
        let addresses = plan.networks.iter().enumerate().map(|(network, name)| {
            format!("{name} = \"{}\"", address(small(number), small(network)))
        });
        let addresses = addresses.collect::<Vec<_>>().join(", ");
        let is_compute = number + plan.computes >= plan.names.len();
        let role = if is_compute { "role = \"compute\"\n" } else { "" };
        text.push_str(&format!("[node.{name}]\n{role}networks = {{ {addresses} }}\n"));
    }
    if lines.contains("[dashboard]") { text } else { text + "[dashboard]\nlisten = \"none\"\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_cluster_of_agents_is_one_that_is_run() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let plan = Plan {
            names: words(&["ctl1", "ctl2", "cmp01"]),
            networks: words(&["mgmt", "storage"]),
            lines: String::new(),
            computes: 1,
        };
        let source = config::Source { path: "outlast.toml".to_owned(), text: of(&plan) };
        let loaded = config::load(vec![source]);
        assert!(config::refused(&loaded).is_none(), "{:?}", loaded.diagnostics);
        let cluster = loaded.cluster.expect("it is a cluster file");
        assert_eq!(cluster.networks, ["mgmt", "storage"]);
        let last = cluster.nodes.last().expect("it has nodes");
        assert_eq!(last.addresses[1], Some([10, 80, 0, 43].into()));
        assert!(cluster.is_compute(2) && !cluster.is_compute(1));
    }
}
