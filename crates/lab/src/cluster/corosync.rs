//! `outlast lab corosync NODES ROUNDS`: how long Debian's Corosync takes from the power loss of a node to the
//! new membership on all others, in the same namespaces and networks as `outlast lab cluster`, with its own
//! defaults. With `TOKEN-MS BUSY-SECONDS`: how often it loses a processor that is there, at that token, while 20
//! processes want every processor. A JSON object per sample.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use sys::process::{Child, SpawnOptions, spawn};

use super::measure::{BUSY, FOLDER, MOST_NODES, NETWORKS, complain, end_of, inside, rivals, say};
use super::{MOST_STRANGERS, introduce, small};
use crate::cloud::network::{Host, address, make_switches};
use crate::cloud::node::kill_all_inside;
use crate::wait;

/// Of Debian's package.
const PROGRAM: &str = "/usr/sbin/corosync";
/// 32 nodes take minutes to find each other on two processors, and one to miss one.
const PATIENCE: Duration = Duration::from_secs(240);
/// Its lock, its sockets' memory and its state are those of one machine; so it gets each of its own.
const SCRIPT: &str = "for d in /dev/shm /var/lib/corosync; do mount -t tmpfs tmpfs $d || exit 1; done
cp \"$0\" /var/lib/corosync/lab.conf && mount -t tmpfs tmpfs /run && exec /usr/sbin/corosync -f -c /var/lib/corosync/lab.conf";

/// Must be called before the first thread is started.
pub(crate) fn main(words: &[&str]) -> ExitCode {
    let Some(wanted) = Wanted::read(words) else {
        return complain("outlast lab corosync NODES ROUNDS [TOKEN-MS BUSY-SECONDS]");
    };
    if !Path::new(PROGRAM).exists() {
        return complain(
            "there is no corosync: `apt-get install --no-install-recommends corosync`",
        );
    }
    inside(|| run(&wanted))
}

/// What is to be measured.
#[derive(Debug, Eq, PartialEq)]
struct Wanted {
    nodes: usize,
    rounds: usize,
    /// A token of so many milliseconds instead of the default, and how long the machine is busy then.
    under_load: Option<(u32, Duration)>,
}

impl Wanted {
    fn read(words: &[&str]) -> Option<Self> {
        let number = |word: &&str| word.parse::<u32>().ok();
        let numbers: Vec<u32> = words.iter().map(number).collect::<Option<_>>()?;
        let (nodes, rounds, under_load) = match numbers[..] {
            [nodes, rounds] => (nodes, rounds, None),
            [nodes, rounds, token, seconds] => {
                (nodes, rounds, Some((token, Duration::from_secs(seconds.into()))))
            }
            _ => return None,
        };
        let (nodes, rounds) = (usize::try_from(nodes).ok()?, usize::try_from(rounds).ok()?);
        (3..=MOST_NODES).contains(&nodes).then_some(Self { nodes, rounds, under_load })
    }
}

/// A machine with its Corosync.
struct Machine {
    number: usize,
    log: PathBuf,
    host: Host,
    process: Child,
}

impl Machine {
    fn plug(number: usize) -> io::Result<Host> {
        let addresses: Vec<_> =
            (0..NETWORKS.len()).map(|network| address(small(number), small(network))).collect();
        Host::plug(&format!("node{number:02}"), &addresses)
    }

    fn start(number: usize, host: Host, folder: &Path, config: &Path) -> io::Result<Self> {
        let log = folder.join(format!("corosync{number:02}.log"));
        let out = File::create(&log)?;
        let words: [&OsStr; 5] = [
            "--mount".as_ref(),
            "/bin/sh".as_ref(),
            "-c".as_ref(),
            SCRIPT.as_ref(),
            config.as_os_str(),
        ];
        let options = SpawnOptions {
            netns: Some(host.netns()),
            stdout: Some(out.try_clone()?.into()),
            stderr: Some(out.into()),
            new_session: true,
            ..SpawnOptions::default()
        };
        let process = spawn(Path::new("/usr/bin/unshare"), None, &words, None, options)?;
        Ok(Self { number, log, host, process })
    }

    /// How many members it says that there are.
    fn members(&self) -> Option<usize> {
        members(&fs::read_to_string(&self.log).ok()?)
    }

    fn lost(&self) -> u32 {
        fs::read_to_string(&self.log).map_or(0, |log| lost(&log))
    }

    /// Links first, as `outlast lab cluster` does.
    fn power_off(self) -> io::Result<()> {
        self.host.cut()?;
        kill_all_inside(&self.host)?;
        self.process.wait()?;
        self.host.unplug()
    }
}

/// How often it gave a processor up.
fn lost(log: &str) -> u32 {
    u32::try_from(log.matches("A processor failed, forming new configuration").count())
        .unwrap_or(u32::MAX)
}

/// The newest of the lines `[QUORUM] Members[3]: 1 2 3`.
fn members(log: &str) -> Option<usize> {
    let (_, rest) = log.rsplit_once("[QUORUM] Members[")?;
    rest.split(']').next()?.parse().ok()
}

fn config(nodes: usize, token: Option<u32>) -> String {
    let token = token.map(|ms| format!("  token: {ms}\n  token_coefficient: 0\n"));
    let token = token.unwrap_or_default();
    let mut text = format!(
        "totem {{\n  version: 2\n  cluster_name: lab\n  transport: knet\n  crypto_cipher: none\n  \
         crypto_hash: none\n{token}}}\n"
    );
    text += "\
                    quorum {\n  provider: corosync_votequorum\n}\n\
                    logging {\n  to_stderr: yes\n  to_syslog: no\n}\nnodelist {\n";
    for node in 0..nodes {
        let ring = |network| address(small(node), network);
        text.push_str(&format!(
            "  node {{\n    ring0_addr: {}\n    ring1_addr: {}\n    name: node{node:02}\n    nodeid: {}\n  }}\n",
            ring(0),
            ring(1),
            node + 1
        ));
    }
    text + "}\n"
}

fn run(&Wanted { nodes, rounds, under_load }: &Wanted) -> io::Result<()> {
    make_switches(NETWORKS.len())?;
    let folder = Path::new(FOLDER);
    fs::create_dir_all(folder)?;
    let file = folder.join("corosync.conf");
    fs::write(&file, config(nodes, under_load.map(|(token, _)| token)))?;
    let hosts: Vec<Host> = (0..nodes).map(Machine::plug).collect::<io::Result<_>>()?;
    let all: Vec<_> = hosts.iter().enumerate().collect();
    for number in (0..nodes).filter(|_| nodes > MOST_STRANGERS) {
        introduce(number, &all[..=number], NETWORKS.len())?;
    }
    let start = |(number, host)| Machine::start(number, host, folder, &file);
    let machines: io::Result<Vec<Machine>> = hosts.into_iter().enumerate().map(start).collect();
    let mut machines = machines?;
    for round in 0..rounds {
        all_say(&machines, nodes)?;
        let victim = round % nodes;
        let begin = sys::clock::now();
        machines.remove(victim).power_off()?;
        all_say(&machines, nodes - 1)?;
        say("power off", sys::clock::now().since(begin).as_secs_f64() * 1000.0)?;
        if round + 1 < rounds {
            let host = Machine::plug(victim)?;
            if nodes > MOST_STRANGERS {
                let others = machines.iter().map(|machine| (machine.number, &machine.host));
                let all: Vec<_> = others.chain([(victim, &host)]).collect();
                introduce(victim, &all, NETWORKS.len())?;
            }
            machines.insert(victim, start((victim, host))?);
        }
    }
    if let Some((_, span)) = under_load {
        all_say(&machines, nodes)?;
        busy(&machines, span)?;
    }
    machines.into_iter().try_for_each(Machine::power_off)
}

/// Nothing is done to the machines; what the worst of them says that it lost.
fn busy(machines: &[Machine], span: Duration) -> io::Result<()> {
    let lost = || machines.iter().map(Machine::lost).collect::<Vec<_>>();
    let before = lost();
    let rivals = rivals(BUSY)?;
    std::thread::sleep(span);
    let after = lost();
    end_of(rivals)?;
    let worst = before.iter().zip(&after).map(|(before, after)| after - before).max();
    say("processors lost", f64::from(worst.unwrap_or_default()))
}

/// Waits until every machine says that there are so many members.
fn all_say(machines: &[Machine], count: usize) -> io::Result<()> {
    let agreed = |machine: &Machine| machine.members() == Some(count);
    if wait::until(PATIENCE, || machines.iter().all(agreed)) {
        return Ok(());
    }
    let says = machines.iter().map(|machine| format!("{:?}", machine.members()));
    let last = machines.first().and_then(|machine| fs::read_to_string(&machine.log).ok());
    let last: String = last.unwrap_or_default().lines().rev().take(3).collect();
    Err(io::Error::other(format!(
        "not {count} members on all: {}; {last}",
        says.collect::<Vec<_>>().join(" ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_membership_of_a_log_counts() {
        let log = "[QUORUM] Members[1]: 1\n[TOTEM ] x\n[QUORUM] Members[3]: 1 2 3\n[MAIN  ] y\n";
        assert_eq!(members(log), Some(3));
        assert_eq!(members("[QUORUM] Members[3"), Some(3));
        assert_eq!(members("[TOTEM ] x"), None);
    }

    #[test]
    fn what_is_to_be_measured_is_read() {
        let load = Some((300, Duration::from_secs(60)));
        let read = |nodes, rounds, under_load| Some(Wanted { nodes, rounds, under_load });
        assert_eq!(Wanted::read(&["3", "8"]), read(3, 8, None));
        assert_eq!(Wanted::read(&["3", "0", "300", "60"]), read(3, 0, load));
        for wrong in [&["3"][..], &["2", "1"], &["3", "x"], &["3", "0", "300"]] {
            assert_eq!(Wanted::read(wrong), None, "{wrong:?}");
        }
        let failed =
            "[TOTEM ] A processor failed, forming new configuration: token timed out (300ms)\n";
        assert_eq!(lost(&failed.repeat(2)), 2);
        assert_eq!(lost("[TOTEM ] A new membership (1.2a) was formed. Members\n"), 0);
    }

    #[test]
    fn every_node_is_in_its_file_with_both_networks() {
        let text = config(3, None);
        assert!(!text.contains("token"), "its own: {text}");
        assert!(config(3, Some(300)).contains("\n  token: 300\n  token_coefficient: 0\n}"));
        assert_eq!(text.matches("ring1_addr: 10.80.0.4").count(), 3);
        assert!(text.contains("name: node02\n    nodeid: 3\n"), "{text}");
    }
}
