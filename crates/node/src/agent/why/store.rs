//! What this node's part of the store says: for its process, and for nodes that are members.

use api::{Evidence, Standing, StoreDisk, StoreState};

use super::{Ground, count};

/// Everything, for `process/store`.
pub(super) fn evidence(ground: &Ground<'_>) -> Vec<Evidence> {
    let Some(store) = &ground.status.store else { return vec![] };
    let mut words = vec![leader(store)];
    words.extend(store.trouble.iter().map(|trouble| format!("it says: {trouble}")));
    let voters: Vec<_> = store.voters().collect();
    if !voters.is_empty() {
        let (needed, of) = (voters.len() / 2 + 1, voters.len());
        words.push(format!("{needed} of {of} make a majority: {}", voters.join(", ")));
    }
    words.extend(store.learners().map(|node| format!("{node} is filled up and does not vote yet")));
    words.extend(lags(ground, store));
    words.extend(disk(store.disk));
    words.into_iter().map(|word| ground.heard(word, "store")).collect()
}

/// What keeps this node from reading and writing.
pub(super) fn trouble(ground: &Ground<'_>) -> Option<Evidence> {
    let store = ground.status.store.as_ref().filter(|store| !store.is_well())?;
    let words = match &store.trouble {
        Some(trouble) => format!("its store: {trouble}"),
        None if store.leader.is_none() => "its store has no leader: what needs it waits".to_owned(),
        None => format!("its store: {}", disk(store.disk).unwrap_or_default()),
    };
    Some(ground.heard(words, "store"))
}

/// What the store is to another node.
pub(super) fn member(ground: &Ground<'_>, name: &str) -> Option<Evidence> {
    let store = ground.status.store.as_ref()?;
    let member = store.members.iter().find(|member| member.node == name)?;
    let part = match (store.leader.as_deref() == Some(name), member.votes) {
        (true, _) => "it leads the store",
        (false, true) => "it votes in the store",
        (false, false) => "it is filled up by the store and does not vote yet",
    };
    let lag = store.lags(&ground.status.node).find(|(node, lag)| *node == name && *lag > 0);
    let lag = lag.map_or_else(String::new, |(_, lag)| {
        format!(", {} behind", count(lag, "entry", "entries"))
    });
    Some(ground.heard(format!("{part}{lag}"), "store"))
}

fn leader(store: &StoreState) -> String {
    match &store.leader {
        Some(leader) => format!("{leader} leads the store, term {}", store.term),
        None => "the store has no leader as seen from here: reads and writes wait".to_owned(),
    }
}

/// What gives it a leader again, where it has none.
pub(super) fn would_lead(ground: &Ground<'_>) -> Option<String> {
    let store = ground.status.store.as_ref().filter(|store| store.leader.is_none())?;
    let voters: Vec<_> = store.voters().collect();
    if voters.is_empty() {
        return None;
    }
    let is_missing = |name: &&&str| {
        let line = ground.status.nodes.iter().find(|line| line.state.node == **name);
        line.is_some_and(|line| line.state.standing != Standing::Alive)
    };
    let missing: Vec<&str> = voters.iter().filter(is_missing).copied().collect();
    let needed = voters.len() / 2 + 1;
    let lacks = needed.saturating_sub(voters.len() - missing.len());
    let missing = missing.join(", ");
    let back = match lacks {
        0 if missing.is_empty() => "all are heard here".to_owned(),
        0 => format!("not heard here: {missing}"),
        lacks => format!("not heard here: {missing}, of which {lacks} must come back at least"),
    };
    Some(format!("a leader is elected when {needed} of {} hear each other ({back})", voters.len()))
}

fn lags(ground: &Ground<'_>, store: &StoreState) -> Vec<String> {
    let behind = store.lags(&ground.status.node).filter(|(_, lag)| *lag > 0);
    behind
        .map(|(node, lag)| format!("{node} is {} behind", count(lag, "entry", "entries")))
        .collect()
}

fn disk(disk: StoreDisk) -> Option<String> {
    let until = |upto: u64| format!("does not count until it is filled up to entry {upto}");
    match disk {
        StoreDisk::Whole => None,
        StoreDisk::FillsUp { upto } => Some(format!("its disk lacks entries, and {}", until(upto))),
        StoreDisk::WentBack { upto: Some(upto) } => {
            Some(format!("its disk went back in time, and {}", until(upto)))
        }
        StoreDisk::WentBack { upto: None } => {
            Some("its disk went back in time, and was filled up since".to_owned())
        }
    }
}
