//! What an agent records of an incident is what it went through: played again it decides the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use lab::cluster::{Cluster, Plan, accuses};
use lonely::{OUTLAST, contained, until};

const VIP: &str = "[vip.internal]\naddress = \"10.79.0.200\"\nnetwork = \"mgmt\"\nrouter_id = 121\ncheck = \"none\"";

/// Three nodes on two networks with one virtual IP; returns when each hears each.
fn cluster() -> Cluster {
    let plan = Plan {
        names: (1..=3).map(|number| format!("node0{number}")).collect(),
        networks: ["mgmt", "storage"].map(str::to_owned).to_vec(),
        lines: VIP.to_owned(),
        computes: 0,
    };
    let cluster = Cluster::lay_out(Path::new("/run/lab"), Path::new(OUTLAST), plan);
    let mut cluster = cluster.expect("namespaces of the test's own");
    for node in cluster.numbers() {
        cluster.start(node).expect("a node starts");
    }
    until("everybody hears everybody", || cluster.illness().is_none());
    cluster
}

#[test]
fn a_recorded_incident_is_decided_the_same_when_it_is_played_again() {
    contained("a_recorded_incident_is_decided_the_same_when_it_is_played_again", incident);
}

/// A node is switched off; what every other node recorded of it, and what a killed agent leaves.
fn incident() {
    let mut cluster = cluster();
    let (off, others) = (2, [0, 1]);
    let begin = sys::clock::now();
    cluster.power_off(off).expect("a node can be switched off");
    until("both know it", || cluster.known_after(begin, &others, off, is_silence).is_some());
    for node in others {
        let events = cluster.heard();
        let told = events.iter().find(|heard| heard.node == node && is_silence(&heard.event));
        let silence = &told.expect("it was waited for").event.evidence;
        let copy = PathBuf::from(format!("/run/lab/copy{node}"));
        let mut played = String::new();
        // The last moments reach the disk a little later.
        until("the recording has what was told, and what was concluded", || {
            played = play(&cluster.state_dir(node), &copy);
            let unreachable = "node03 is unreachable; rule silent-everywhere";
            played.contains(silence) && played.contains(unreachable)
        });
        assert!(played.contains(" beats: decided as recorded"), "{played}");
    }

    // Who records is killed: what it wrote stays, and the next one begins a file of its own.
    let killed = 0;
    let state = cluster.state_dir(killed);
    let before = recordings(&state.join("record"));
    cluster.kill_agent(killed).expect("an agent can be killed");
    until("the next agent records", || recordings(&state.join("record")) > before);
    let played = play(&state, Path::new("/run/lab/killed"));
    let copied = recordings(Path::new("/run/lab/killed"));
    assert!(copied > before, "{played}");
    assert_eq!(played.matches(": recorded on node01").count(), copied, "{played}");

    addresses(&mut cluster);
}

/// Who holds the virtual IP ends in order, and the next one is switched off.
fn addresses(cluster: &mut Cluster) {
    let holds = |cluster: &Cluster, node: usize| {
        let status = cluster.status(node);
        status.is_some_and(|status| status.vips.iter().any(|vip| vip.state.holding))
    };
    until("one holds", || holds(cluster, 0) || holds(cluster, 1));
    let holder = usize::from(holds(cluster, 1));
    let next = 1 - holder;
    cluster.stop(holder).expect("it can be told to end");
    until("the next one holds", || holds(cluster, next));
    let copy = PathBuf::from("/run/lab/addresses");
    let mut played = String::new();
    until("the recording has it", || {
        played = play(&cluster.state_dir(next), &copy);
        played.contains("now holder: the holder named this node")
    });
    assert!(played.contains("virtual IPs internal"), "{played}");
    assert!(played.contains("a hand-over of node0"), "{played}");
    assert!(played.contains("  -> claim the addresses"), "{played}");
    assert!(played.contains(" hellos and adverts: decided as recorded"), "{played}");
}

fn is_silence(event: &api::Event) -> bool {
    accuses(event) && event.evidence.contains(" on any network (")
}

fn recordings(folder: &Path) -> usize {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter(|file| file.file_name().to_string_lossy().ends_with(".rec")).count()
}

/// Copies a folder that is being written to, and plays the copy.
fn play(state: &Path, copy: &Path) -> String {
    let _ = fs::remove_dir_all(copy);
    fs::create_dir_all(copy).expect("a folder for the copy");
    for entry in fs::read_dir(state.join("record")).expect("recordings") {
        let path = entry.expect("a recording").path();
        // One that is being begun has another name, and may be gone in a moment.
        if path.extension().is_some_and(|ending| ending == "rec") {
            fs::copy(&path, copy.join(path.file_name().expect("it has a name"))).expect("a copy");
        }
    }
    let output = Command::new(OUTLAST).arg("replay").arg(copy).output().expect("it can be run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
