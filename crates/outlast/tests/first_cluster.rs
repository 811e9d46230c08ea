//! docs/operate/first-cluster.md, typed as it stands there, on three machines in namespaces.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[path = "first_cluster/machine.rs"]
mod machine;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use api::{Status, Verdict};
use lonely::{PATIENCE, contained};
use machine::{Machine, Said};

const NODES: [&str; 3] = ["node01", "node02", "node03"];
/// Each look starts a process.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The code blocks of the page, in order: what is indented, without its indent.
fn blocks() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operate/first-cluster.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let mut blocks = vec![String::new()];
    for line in page.lines() {
        let last = blocks.last_mut().expect("there is one");
        match line.strip_prefix("    ") {
            Some(code) => *last += &format!("{code}\n"),
            // A block may have empty lines in it.
            None if line.is_empty() => *last += "\n",
            None => blocks.push(String::new()),
        }
    }
    blocks.retain(|block| !block.trim().is_empty());
    blocks
}

/// What is typed where.
fn commands(blocks: &[String]) -> Vec<(&str, &str)> {
    let typed =
        |line: &'_ str| line.split_once("$ ").is_some_and(|(node, _)| NODES.contains(&node));
    let lines = blocks.iter().flat_map(|block| block.lines()).filter(|line| typed(line));
    lines.map(|line| line.split_once("$ ").expect("it was there")).collect()
}

/// Three machines start on one, where each is slower than by itself.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = sys::clock::now() + PATIENCE * 3;
    while !condition() {
        assert!(sys::clock::now() < end, "waited in vain: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

fn status(machine: &Machine) -> Option<Status> {
    serde_json::from_str(&machine.types("outlast status --json", "").out).ok()
}

/// As an operator: a question is asked again until all is well, a token is pasted, everything else is done once.
fn types(machine: &mut Machine, command: &str, token: &mut String) {
    if command.starts_with("outlast run ") {
        machine.starts(command);
        return eventually("the node answers", || status(machine).is_some());
    }
    let mut last = Said::default();
    let is_question = command.ends_with(" status") || command.starts_with("outlast join ");
    if is_question {
        eventually(&format!("{}$ {command}", machine.name), || {
            last = machine.types(command, token);
            last.is_well
        });
    } else {
        last = machine.types(command, "");
    }
    assert!(last.is_well, "{}$ {command}\n{}{}", machine.name, last.out, last.error);
    if command.starts_with("outlast token create") {
        *token = last.out;
    }
}

#[test]
fn the_commands_of_the_page_make_three_machines_a_cluster() {
    contained("the_commands_of_the_page_make_three_machines_a_cluster", || {
        let blocks = blocks();
        let commands = commands(&blocks);
        let mut texts = blocks.iter().map(|block| block.trim_start());
        let file = texts.find(|text| text.starts_with("[cluster]")).expect("the file");
        machine::furnish().expect("a switch of the test's own");
        let addresses = (41..).map(|last| Ipv4Addr::new(10, 79, 0, last));
        let mut machines: Vec<_> =
            NODES.iter().zip(addresses).map(|(name, ip)| Machine::on(name, ip)).collect();
        machines[0].writes("etc/outlast/outlast.toml", file);
        let mut token = String::new();
        for (node, command) in &commands {
            let machine = machines.iter_mut().find(|machine| machine.name == *node);
            types(machine.expect("one of the three"), command, &mut token);
        }

        // What the page promises of it, and that it has all commands that make it so.
        assert!(commands.len() >= 20, "{commands:?}");
        let of = |node: usize| status(&machines[node]).expect("it answers");
        for node in 0..NODES.len() {
            let mut seen = of(node);
            eventually("all are well in the eyes of each", || {
                seen = of(node);
                seen.nodes.iter().all(|line| line.state.opinion.verdict == Verdict::Alive)
            });
            let store = seen.store.expect("it is a member");
            assert_eq!(store.voters().count(), NODES.len(), "{store:?}");
        }
        eventually("one holds the address, and all call it so", || {
            let seen = (0..NODES.len()).map(|node| of(node).vips.swap_remove(0).holders);
            let seen: Vec<_> = seen.collect();
            seen[0].len() == 1 && seen.iter().all(|holders| *holders == seen[0])
        });
        let applied = machines[2].types("outlast config status", "").out;
        assert_eq!(applied.matches("runs generation 1").count(), NODES.len(), "{applied}");
        let kept = machines[1].types("outlast trust status", "").out;
        assert!(kept.contains("keeps a copy of the authority's key"), "{kept}");
        in_place(&machines[0], file);
    });
}

/// The address of the page does not change to VRRP by one generation, nor while nodes have not left the former one.
fn in_place(machine: &Machine, file: &str) {
    let apply = |text: &str| {
        machine.types("mkdir -p next", "");
        machine.writes("root/next/outlast.toml", text);
        machine.types("outlast config apply next --yes", "")
    };
    let vrrp: String =
        file.lines().filter(|line| !line.starts_with("lease")).map(by_line).collect();
    let (without, _) = file.split_once("[vip.internal]").expect("the page has it");
    let said = apply(&vrrp);
    let refused =
        said.error.contains("vip/internal does not change between VRRP and votes in place");
    assert!(refused && said.error.contains("nothing was committed"), "{}{}", said.out, said.error);
    let said = apply(without);
    assert!(said.out.contains("the last goes") && !said.is_well, "{}{}", said.out, said.error);
    assert!(said.out.contains("`outlast config rollback 1`"), "{}", said.out);
    assert!(!said.out.contains("places of errors"), "there is none: {}", said.out);
    let said = apply(&vrrp);
    let still = "node01, node02, node03 still run generation 1, where vip/internal is held in the other way";
    assert!(said.error.contains(still), "{}{}", said.out, said.error);
    let history = machine.types("outlast config history", "").out;
    assert_eq!(history.lines().count(), 2, "two were committed: {history}");
    let said = machine.types("outlast config rollback 1 --yes", "");
    assert!(said.is_well, "{}{}", said.out, said.error);
}

fn by_line(line: &str) -> String {
    format!("{line}\n")
}
