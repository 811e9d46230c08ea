//! A virtual IP does not change between VRRP and votes in place: every node refuses such a generation, so it is not
//! committed.

use std::collections::BTreeMap;

use ::config::diff::{Change, How};
use api::generation::Content;

use super::GenerationError;
use super::collect::{self, Group};
use super::shelf::Shelf;

/// Nothing of it changes on any node, as the newest generation and those that nodes still run have it.
///
/// # Errors
/// When one does, with the way that works; or when what nodes run cannot be asked.
pub(super) fn stay(
    shelf: &Shelf,
    groups: &[Group],
    content: &Content,
    newest: Option<u64>,
) -> Result<(), GenerationError> {
    if let Some(vip) = groups.iter().find_map(|group| changed(&group.changes)) {
        return Err(GenerationError::Wrong(in_place(vip)));
    }
    let Some(newest) = newest else { return Ok(()) };
    let mut behind: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for line in shelf.standing()?.1 {
        if let Some(runs) = line.applied.and_then(|applied| applied.runs).filter(|it| *it != newest)
        {
            behind.entry(runs).or_default().push(line.node);
        }
    }
    for (runs, nodes) in behind {
        // Of one that is kept no more nothing is known: the nodes themselves refuse what they cannot do.
        let before = match shelf.generation(runs) {
            Err(GenerationError::Unknown(_)) => continue,
            found => found?.1,
        };
        let groups = collect::groups(&before, content)?;
        let is_theirs = |group: &&Group| group.nodes.iter().any(|node| nodes.contains(node));
        let vip = groups.iter().filter(is_theirs).find_map(|group| changed(&group.changes));
        if let Some(vip) = vip {
            return Err(GenerationError::Wrong(behind_text(vip, &nodes, (runs, newest))));
        }
    }
    Ok(())
}

/// The first virtual IP that is held in another way from then on.
fn changed(changes: &[Change]) -> Option<&str> {
    let is_it = |change: &&Change| match &change.how {
        How::Altered(fields) => fields.iter().any(|field| field.field == "lease"),
        How::Added | How::Removed => false,
    };
    changes.iter().filter(is_it).find_map(|change| change.object.strip_prefix("vip/"))
}

fn in_place(vip: &str) -> String {
    format!(
        "vip/{vip} does not change between VRRP and votes in place, as nodes that changed first would hold it beside \
         the others; nothing was committed: apply a file without {vip}, and this one when every node runs that. Where \
         it is the only virtual IP, restart outlast on every node after each of the two"
    )
}

fn behind_text(vip: &str, nodes: &[String], (runs, newest): (u64, u64)) -> String {
    let (nodes, verb) = (nodes.join(", "), if nodes.len() == 1 { "runs" } else { "run" });
    format!(
        "{nodes} still {verb} generation {runs}, where vip/{vip} is held in the other way, and would refuse this; nothing \
         was committed: restart outlast there, so that generation {newest} is in force (`outlast config status`), then \
         apply again"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(old: &str, new: &str) -> Vec<Change> {
        let loaded = |vip: &str| {
            let text = format!(
                "[cluster]\nname = \"c\"\ntrust_dir = \"trust\"\n[node]\n\
                 a = {{ networks = {{ m = \"10.0.0.1\" }} }}\nb = {{ networks = {{ m = \"10.0.0.2\" }} }}\n\
                 c = {{ networks = {{ m = \"10.0.0.3\" }} }}\n{vip}"
            );
            ::config::load(vec![::config::Source { path: "outlast.toml".to_owned(), text }])
        };
        ::config::diff::diff(&loaded(old), &loaded(new))
    }

    #[test]
    fn what_is_held_in_another_way_is_found_and_what_comes_or_goes_is_not() {
        let vip = "[vip.v]\naddress = \"10.0.0.9\"\nrouter_id = 7\n";
        let voted = format!("{vip}lease = true\n");
        assert_eq!(changed(&changes(vip, &voted)), Some("v"));
        assert_eq!(changed(&changes(&voted, vip)), Some("v"));
        for (old, new) in [("", &voted[..]), (vip, ""), (&voted, ""), (vip, vip)] {
            assert_eq!(changed(&changes(old, new)), None, "{old} {new}");
        }
    }
}
