//! By which list of voters the vip processes of this machine begin: what its agent read last, in the state folder.
//!
//! A machine that started since may have been taken for dead meanwhile, so it goes by no list until its agent has read the
//! newest one (docs/decisions/0018, rule (d)).

use std::fs;
use std::io;
use std::path::Path;

use api::{Change, KeptVoters, VoterList, VotersInUse};
use config::cluster::Cluster;

use crate::durable;

/// In the state folder.
const FILE: &str = "voters";

/// Whether the store says who votes: where every controller is a member of the store inside, and something is held by votes.
/// An etcd tells no incarnation, so that what was put back could not be told from what it was.
pub(crate) fn is_of_store(cluster: &Cluster) -> bool {
    let store = cluster.store.as_ref().filter(|store| store.etcd.is_none());
    let is_member = |at: usize| store.is_some_and(|store| store.members.contains(&at));
    let all = (0..cluster.controllers().len()).all(is_member);
    store.is_some() && all && cluster.vips.iter().any(|vip| vip.has_lease)
}

/// What was read of the store since the machine started.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Known {
    is_read: bool,
    /// None: it has none, if it was read.
    list: Option<VoterList>,
}

impl Known {
    /// What the agent told; nothing older than what it told before.
    pub(crate) fn learn(&mut self, list: Option<&VoterList>) {
        self.is_read = true;
        if let Some(list) = list.filter(|list| Some(list.number()) > self.number()) {
            self.list = Some(list.clone());
        }
    }

    fn number(&self) -> Option<api::ListNumber> {
        self.list.as_ref().map(VoterList::number)
    }

    /// By what a vip process begins; none: by the cluster file.
    pub(crate) fn at_start(&self, cluster: Option<&Cluster>) -> Option<VotersInUse> {
        let is_asked = cluster.is_some_and(is_of_store);
        match &self.list {
            _ if !is_asked => None,
            _ if !self.is_read => Some(VotersInUse::Unread),
            Some(list) => Some(VotersInUse::List(list.clone())),
            None => None,
        }
    }
}

impl Known {
    /// For a process that was started before it got its place: what the agent may have told meanwhile.
    pub(crate) fn since_start(&self, cluster: Option<&Cluster>) -> Option<Change> {
        match self.at_start(cluster) {
            Some(VotersInUse::List(list)) => Some(Change::Voters(Some(list))),
            Some(VotersInUse::Unread | VotersInUse::ByFile(_)) => None,
            None => Some(Change::Voters(None)),
        }
    }
}

/// Puts it on the disk before it returns.
///
/// # Errors
/// When the folder takes no file, or the kernel does not tell which start of the machine this is.
pub(crate) fn keep(folder: &Path, list: Option<&VoterList>) -> io::Result<()> {
    let kept = KeptVoters { boot: boot()?, list: list.cloned() };
    let mut bytes = vec![];
    api::encode(&kept, &mut bytes);
    durable::write(folder, FILE, &bytes)
}

/// Whether the store was told of this start of the machine: what it had was kept since.
pub(crate) fn is_known(folder: &Path) -> bool {
    known(folder).is_read
}

/// The newest that any process of this machine was told, whenever that was.
pub(crate) fn newest(folder: &Path) -> Option<VoterList> {
    read(folder)?.list
}

/// What was read since this machine started.
pub(crate) fn known(folder: &Path) -> Known {
    let kept = read(folder).filter(|kept| boot().is_ok_and(|boot| boot == kept.boot));
    Known { is_read: kept.is_some(), list: kept.and_then(|kept| kept.list) }
}

/// None: there is no such file, or it cannot be read: then the agent reads the store.
fn read(folder: &Path) -> Option<KeptVoters> {
    api::decode(&fs::read(folder.join(FILE)).ok()?).ok()
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(lines: &str) -> Cluster {
        let node =
            |name: &str, at: u8| format!("[node.{name}]\nnetworks = {{ m = \"10.0.0.{at}\" }}\n");
        let nodes = node("a", 1) + &node("b", 2) + &node("c", 3);
        let vip = "[vip.v]\naddress = \"10.0.0.9\"\nrouter_id = 7\nlease = true\n";
        let text = format!("[cluster]\nname = \"cloud\"\nsecret_file = \"s\"\n{nodes}{vip}{lines}");
        let source = config::Source { path: String::new(), text };
        let (cluster, findings) = config::cluster::parse(&source, 0);
        cluster.unwrap_or_else(|| panic!("{findings:?}"))
    }

    fn list(store: u64, number: u32) -> VoterList {
        VoterList { store, list: number, ..VoterList::default() }
    }

    #[test]
    fn the_store_says_who_votes_where_every_controller_is_a_member_of_it() {
        let is_of_store = |lines: &str| is_of_store(&cluster(lines));
        assert!(is_of_store("[store]\n"));
        assert!(!is_of_store(""));
        assert!(!is_of_store("[store]\nmembers = [\"a\"]\n"));
        let by_vrrp = cluster("[store]\n");
        let vips = by_vrrp
            .vips
            .iter()
            .cloned()
            .map(|vip| config::cluster::Vip { has_lease: false, ..vip });
        assert!(!super::is_of_store(&Cluster { vips: vips.collect(), ..by_vrrp.clone() }));
    }

    #[test]
    fn a_vip_process_begins_by_the_newest_list_and_after_a_boot_by_none() {
        let cluster = cluster("[store]\n");
        let mut known = Known::default();
        assert_eq!(known.at_start(Some(&cluster)), Some(VotersInUse::Unread));
        known.learn(None);
        assert_eq!(known.at_start(Some(&cluster)), None, "by the file");
        for (told, newest) in
            [((1, 7), (1, 7)), ((1, 6), (1, 7)), ((2, 0), (2, 0)), ((1, 9), (2, 0))]
        {
            known.learn(Some(&list(told.0, told.1)));
            let expected = VotersInUse::List(list(newest.0, newest.1));
            assert_eq!(known.at_start(Some(&cluster)), Some(expected), "told {told:?}");
        }
        known.learn(None);
        assert!(matches!(known.at_start(Some(&cluster)), Some(VotersInUse::List(_))));
        assert_eq!(known.at_start(None), None, "there is no store");
    }

    #[test]
    fn what_was_read_is_kept_and_means_less_after_the_machine_started_again() {
        let folder = std::env::temp_dir().join(format!("outlast-voters-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!((known(&folder), newest(&folder)), (Known::default(), None));
        keep(&folder, None).unwrap();
        assert_eq!(known(&folder), Known { is_read: true, list: None });
        keep(&folder, Some(&list(1, 7))).unwrap();
        assert_eq!(known(&folder), Known { is_read: true, list: Some(list(1, 7)) });
        let text = fs::read_to_string(folder.join(FILE)).unwrap();
        fs::write(folder.join(FILE), text.replace(&boot().unwrap(), "another")).unwrap();
        assert_eq!((known(&folder), newest(&folder)), (Known::default(), Some(list(1, 7))));
        fs::write(folder.join(FILE), "torn").unwrap();
        assert_eq!((known(&folder), newest(&folder)), (Known::default(), None));
        fs::remove_dir_all(folder).unwrap();
    }
}
