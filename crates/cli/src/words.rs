//! The words of the operator's tool: the same state is called the same in every subcommand.

use std::time::Duration;

use api::{
    BalancerState, Cell, Duty, Mode, NodeLine, NodeState, Role, ServerCheck, ServerState, Standing,
    Status,
};
use api::{Verdict, VipCause, VipLine, VipRole};

pub(crate) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Strict => "strict (as haproxy)",
        Mode::Rfc => "rfc (as keepalived)",
        Mode::Adaptive => "adaptive",
    }
}

pub(crate) const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Unknown => "unknown",
        Standing::Alive => "alive",
        Standing::Suspect => "SUSPECT",
        Standing::Left => "left",
    }
}

/// A node that takes on no work.
pub(crate) const fn duty(duty: Duty) -> Option<&'static str> {
    match duty {
        Duty::On => None,
        Duty::Standby => Some("on standby"),
        Duty::Draining => Some("being drained"),
    }
}

/// The verdict on a node with its duty.
/// A verdict by itself, as it was once.
pub(crate) const fn concluded(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unknown => "unknown",
        Verdict::Alive => "alive",
        Verdict::Suspect => "suspect",
        Verdict::CutOff => "cut off",
        Verdict::Unreachable => "unreachable",
        Verdict::Leaving => "left",
        Verdict::ProvenDead => "proven dead",
    }
}

pub(crate) fn opinion(node: &NodeState) -> String {
    let verdict = verdict(node);
    match duty(node.duty) {
        Some(duty) => format!("{verdict}, {duty}"),
        None => verdict,
    }
}

/// The verdict on a node; its standing where nothing judges.
fn verdict(node: &NodeState) -> String {
    match node.opinion.verdict {
        Verdict::Unknown => standing(node.standing).to_owned(),
        Verdict::Alive if node.standing == Standing::Suspect => "alive, not heard here".to_owned(),
        Verdict::Alive => "alive".to_owned(),
        Verdict::Suspect => "SUSPECT".to_owned(),
        Verdict::CutOff => format!("CUT OFF {}", node.opinion.networks.join(" ")),
        Verdict::Unreachable => "UNREACHABLE".to_owned(),
        Verdict::Leaving => "left".to_owned(),
        Verdict::ProvenDead => "DEAD (proven)".to_owned(),
    }
}

/// Why, or the name of the rule that decided if something is not well; what is known beside it is of the silence alone.
pub(crate) fn why(node: &NodeState) -> String {
    match node.opinion.rule.as_str() {
        "" | "alive" | "goodbye" | "never-heard" => node.why.clone(),
        rule @ ("silent-here" | "silent-everywhere" | "unanswered") if !node.why.is_empty() => {
            format!("{rule}: {}", node.why)
        }
        rule => match sentence(rule) {
            Some(sentence) => format!("{rule}: {sentence}"),
            None => rule.to_owned(),
        },
    }
}

/// A rule of `engine::verdict` in short, and whose word it is; `outlast why` has it at length.
fn sentence(rule: &str) -> Option<&'static str> {
    let text = match rule {
        "proven-dead" => "an operator confirmed that it is off, by `outlast node confirm-off`",
        "own-timers" => "this node was woken late, and accuses nobody yet",
        "own-links" => "this node has no carrier towards it, and accuses nobody",
        "own-reference" => "no reference point answers this node, which accuses nobody",
        "own-quorum" => "this node reaches no majority, and only doubts",
        "unanswered" => "the controllers asked it, and it answered none of them",
        "declared" => "the members of its networks declare it gone",
        "agent-gone" => "its machine says that nothing of outlast listens there",
        "quarantine" => "it came and went too often",
        "heard-outside" => "it is heard, and is not among those who all reach each other",
        "cut-off" => "the others all reach each other there, and it is not among them",
        "heard-elsewhere" => "others hear it, this node does not",
        "ailing" => "it says so itself",
        "not-serving" => "it beats, and all of its servers fail checks or requests",
        _ => return None,
    };
    Some(text)
}

pub(crate) const fn vip_role(role: VipRole) -> &'static str {
    match role {
        VipRole::Backup => "backup",
        VipRole::Master => "master",
        VipRole::Fault => "FAULT",
    }
}

/// A cause in words, for tables and events.
pub(crate) const fn cause(cause: VipCause) -> &'static str {
    match cause {
        VipCause::Silence => "nobody advertised",
        VipCause::Goodbye => "the holder said goodbye",
        VipCause::Named => "named by the holder",
        VipCause::Stronger => "a stronger node advertises",
        VipCause::Stalled => "this process was not run for too long",
        VipCause::Script => "its check script fails",
        VipCause::Process => "its processes do not run as they have to",
        VipCause::File => "the number in a tracked file takes it",
        VipCause::Way => "a tracked way fails",
        VipCause::Carrier => "no carrier",
        VipCause::NoDevice => "no device",
        VipCause::NoNetwork => "no network yet",
        VipCause::Balancer => "the balancer does not serve",
        VipCause::Refused => "the kernel did not take the address",
        VipCause::Stopping => "stopping",
        VipCause::Adopted => "kept over a restart",
        VipCause::Standby => "on standby, as an operator asked",
        VipCause::ProvenDead => "an operator confirmed that this node is off",
        VipCause::InUse => "somebody else has the address",
        VipCause::Together => "goes with its sync group",
        VipCause::Moved => "moved away by an operator",
        VipCause::Expired => "what it had granted another ended",
        VipCause::Majority => "no majority granted it",
        VipCause::Unheard => "not heard where its clients are",
        VipCause::Unreached => "no reference point answers it",
        VipCause::Foreign => "a router that does not vote holds it",
        VipCause::LastMan => "no other controller is heard (last_man): AT A CUT TWO HOLD IT",
        VipCause::Granted => "granted by a majority again",
        VipCause::Unproven => "waits for proof",
        VipCause::Spread => "spread: moved to a node that holds fewer",
        VipCause::Apart => "moved apart from another address",
        VipCause::Room => "made room for another address",
        VipCause::Follows => "another node coordinates",
        VipCause::Barred => "never beside an address that this node holds",
    }
}

pub(crate) const fn balancer(state: BalancerState) -> &'static str {
    match state {
        BalancerState::Serving => "serving",
        BalancerState::Replacing => "being replaced",
        BalancerState::Failed => "FAILED",
        BalancerState::Absent => "none",
    }
}

pub(crate) const fn server(server: &ServerState) -> &'static str {
    match server.check {
        ServerCheck::Unchecked if server.suspect => "not checked, suspect",
        ServerCheck::Unchecked if server.resting => "not checked, its node rests",
        ServerCheck::Up if server.resting && !server.suspect => "up, its node rests",
        ServerCheck::Unchecked => "not checked",
        ServerCheck::Up if server.suspect => "up, suspect",
        ServerCheck::Up => "up",
        ServerCheck::Down => "DOWN",
        ServerCheck::Drain => "drain",
        ServerCheck::Maintenance => "maintenance",
    }
}

pub(crate) const fn process(role: Role) -> &'static str {
    match role {
        Role::Supervisor => "supervisor",
        Role::Vip => "vip",
        Role::Agent => "agent",
        Role::Proxy => "proxy",
        Role::Spare => "spare",
        Role::Services => "services",
        Role::Store => "store",
    }
}

/// Whether a server gets requests as it should.
pub(crate) const fn is_up(server: &ServerState) -> bool {
    matches!(server.check, ServerCheck::Up | ServerCheck::Unchecked) && !server.suspect
}

/// Why a server is as it is, without ages: they were true when it changed, and would be read as
/// those of now. `outlast why` has the true ones.
pub(crate) fn server_why(server: &ServerState) -> String {
    let mut text = String::new();
    let mut rest = server.why.as_str();
    while let Some((before, after)) = rest.split_once(" (") {
        let aged = after.split_once(" s ago)").filter(|(number, _)| number.parse::<f64>().is_ok());
        text.push_str(before);
        rest = if let Some((_, after)) = aged {
            after
        } else {
            text.push_str(" (");
            after
        };
    }
    text + rest
}

/// Whether an operator may go on sleeping.
pub(crate) fn is_well(status: &Status) -> bool {
    let balancer = matches!(status.balancer, BalancerState::Serving | BalancerState::Absent);
    balancer
        && status.vips.iter().all(|vip| {
            let is_meant = vip.state.cause == Some(VipCause::Standby);
            (vip.state.role != VipRole::Fault || is_meant) && vip.holders.len() < 2
        })
        && status
            .nodes
            .iter()
            .all(|node| !is_amiss(&node.state) || status.plan_of(&node.state.node).is_some())
        && status.servers.iter().all(|server| is_up(server) || status.is_planned(server))
        && status.store.as_ref().is_none_or(|store| store.is_well())
}

/// Whether something is wrong with a node, by what all conclude or by what this one hears. Who left did so on purpose, and
/// who was never heard may not be there yet.
const fn is_amiss(node: &NodeState) -> bool {
    match node.opinion.verdict {
        Verdict::Suspect | Verdict::CutOff | Verdict::Unreachable | Verdict::ProvenDead => true,
        Verdict::Unknown | Verdict::Alive | Verdict::Leaving => {
            matches!(node.standing, Standing::Suspect)
        }
    }
}

/// `5 of 7 servers up`
pub(crate) fn servers_up(status: &Status) -> String {
    if status.servers.is_empty() {
        return "no server is known".to_owned();
    }
    let up = status.servers.iter().filter(|server| is_up(server)).count();
    format!("{up} of {} servers up", status.servers.len())
}

/// Who holds a virtual IP, as far as anybody says so.
pub(crate) fn holders(vip: &VipLine) -> String {
    match &vip.holders[..] {
        [] => "nobody known".to_owned(),
        [one] => one.clone(),
        several => format!("TWO: {}", several.join(" ")),
    }
}

/// Who takes a virtual IP over when its holder goes.
pub(crate) fn next(vip: &VipLine) -> String {
    vip.successor.clone().unwrap_or_else(|| "-".to_owned())
}

/// `120 ms`, `3.2 s`, `12 min`.
pub(crate) fn age(age: Duration) -> String {
    let ms = age.as_millis();
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..100_000 => format!("{}.{} s", ms / 1000, ms / 100 % 10),
        100_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// The age of a proof in a cell, `later` after the answer it came with.
pub(crate) fn cell_age(cell: &Cell, later: Duration) -> Option<String> {
    cell.age_ms.map(|ms| age(Duration::from_millis(ms) + later))
}

/// `up 120 ms`, `silent 3.2 s`, `never heard`: the age is that of the last proof. A compute node hears few others itself:
/// what it is told of the rest has no age.
pub(crate) fn cell(cell: &Cell) -> String {
    match (cell.alive, cell_age(cell, Duration::ZERO)) {
        (true, Some(age)) => format!("up {age}"),
        (false, Some(age)) => format!("silent {age}"),
        (true, None) => "up, told".to_owned(),
        (false, None) => "never heard".to_owned(),
    }
}

/// `12 %`, `40 %`, `2/2` of what a node said of its load: processor, memory, fibre channel ports. What a node said that is
/// silent now, or gone, is not so now.
pub(crate) fn load(line: &NodeLine) -> [String; 3] {
    let is_heard = line.state.cells.is_empty() || line.state.cells.iter().any(|cell| cell.alive);
    let Some(load) = line.load.filter(|_| is_heard) else {
        return ["-".to_owned(), "-".to_owned(), "-".to_owned()];
    };
    let fibre = match load.fibre_ports {
        0 => "none".to_owned(),
        ports => format!("{}/{ports}", load.fibre_online),
    };
    [format!("{} %", load.cpu_percent), format!("{} %", load.memory_percent), fibre]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_names_the_rule_of_what_is_not_well() {
        let mut node = crate::example::status().nodes.swap_remove(2).state;
        assert_eq!(why(&node), format!("silent-everywhere: {}", node.why));
        // What is known of its silence says nothing about another rule.
        for (rule, sentence) in [
            ("cut-off", "the others all reach each other there, and it is not among them"),
            ("proven-dead", "an operator confirmed that it is off, by `outlast node confirm-off`"),
            ("quarantine", "it came and went too often"),
        ] {
            node.opinion.rule = rule.to_owned();
            assert_eq!(why(&node), format!("{rule}: {sentence}"));
        }
        node.opinion.rule = "unanswered".to_owned();
        node.why.clear();
        let unanswered = "unanswered: the controllers asked it, and it answered none of them";
        assert_eq!(why(&node), unanswered);
        // Of a later release.
        node.opinion.rule = "of-tomorrow".to_owned();
        assert_eq!(why(&node), "of-tomorrow");
        (node.opinion.rule, node.why) = ("alive".to_owned(), "its first beat came".to_owned());
        assert_eq!(why(&node), "its first beat came");
    }

    #[test]
    fn what_a_silent_node_said_of_its_load_is_not_shown_as_that_of_now() {
        let mut lines = crate::example::status().nodes;
        let said = lines[0].load;
        assert_eq!(load(&lines[0]), ["12 %", "40 %", "2/2"]);
        lines[2].load = said;
        assert_eq!(load(&lines[2]), ["-", "-", "-"]);
    }

    #[test]
    fn what_is_told_and_was_never_heard_here_is_shown_apart() {
        let shown = |alive, age_ms| cell(&Cell { network: "mgmt".to_owned(), alive, age_ms });
        assert_eq!(shown(true, Some(120)), "up 120 ms");
        assert_eq!(shown(false, Some(3200)), "silent 3.2 s");
        assert_eq!(shown(true, None), "up, told");
        assert_eq!(shown(false, None), "never heard");
    }

    #[test]
    fn what_is_concluded_of_a_node_makes_status_not_well() {
        let mut status = crate::example::status();
        status.servers.retain(is_up);
        status.nodes.truncate(2);
        let of = |mut status: Status, verdict, standing| {
            let node = &mut status.nodes[0].state;
            (node.opinion.verdict, node.standing) = (verdict, standing);
            is_well(&status)
        };
        let all = [Standing::Unknown, Standing::Alive, Standing::Suspect, Standing::Left];
        for standing in all {
            for verdict in
                [Verdict::Suspect, Verdict::CutOff, Verdict::Unreachable, Verdict::ProvenDead]
            {
                assert!(!of(status.clone(), verdict, standing), "{verdict:?} {standing:?}");
            }
            for verdict in [Verdict::Unknown, Verdict::Alive, Verdict::Leaving] {
                let expected = standing != Standing::Suspect;
                assert_eq!(of(status.clone(), verdict, standing), expected, "{verdict:?}");
            }
        }
        // As planned.
        let nodes = vec![status.nodes[0].state.node.clone()];
        status.planned.push(api::maintenance::Planned { nodes, ..Default::default() });
        assert!(of(status, Verdict::Unreachable, Standing::Suspect));
    }

    #[test]
    fn an_age_that_stands_still_is_left_out() {
        let why = "its node is silent; it refused (2.0 s ago); (a note) requests hang (0.5 s ago)";
        let server =
            ServerState { why: why.to_owned(), ..crate::example::status().servers.swap_remove(0) };
        let expected = "its node is silent; it refused; (a note) requests hang";
        assert_eq!(server_why(&server), expected);
    }

    #[test]
    fn an_age_has_the_unit_that_is_read_fastest() {
        let rows = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1.0 s"),
            (99_940, "99.9 s"),
            (100_000, "1 min"),
            (7_200_000, "2 h"),
        ];
        for (ms, expected) in rows {
            assert_eq!(age(Duration::from_millis(ms)), expected);
        }
    }
}
