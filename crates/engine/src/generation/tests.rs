use proptest::prelude::*;

use super::*;
use crate::kv::{Command, Entry, Kv};

fn commit(kv: &mut Kv, after: Option<u64>, content: &[u8], kept: &[(u64, u64)]) -> bool {
    let draft = Draft { after, generation: b"{}", content, kept };
    let entry = Entry { clock: 0, command: Command::Transact(draft.transaction()) };
    kv.apply(&entry).expect("within the limits").held
}

fn kept(kv: &Kv) -> Vec<u64> {
    let (found, _) = kv.range(&Keys::Prefix(GENERATIONS.to_owned()), usize::MAX);
    found.iter().map(|(key, _)| key[GENERATIONS.len()..].parse().expect("a number")).collect()
}

#[test]
fn of_two_who_commit_after_the_same_generation_one_is_told() {
    let mut kv = Kv::new();
    assert!(commit(&mut kv, None, b"a", &[]));
    assert!(!commit(&mut kv, None, b"b", &[]));
    assert!(commit(&mut kv, Some(1), b"b", &[(1, 1)]));
    assert!(!commit(&mut kv, Some(1), b"c", &[(1, 1)]));
    assert_eq!(kept(&kv), [1, 2]);
    let key = format!("{}00", content_prefix(2));
    assert_eq!(&*kv.get(&key).expect("its content").value, b"b");
}

#[test]
fn the_largest_generation_is_one_transaction_and_comes_back_whole() {
    let content: Vec<u8> = (0..=255).cycle().take(MAX_CONTENT).collect();
    let generation = [b'x'; 2000];
    let kept: Vec<_> = (1..=60).map(|number| (number, 900 << 10)).collect();
    let draft = Draft { after: Some(60), generation: &generation, content: &content, kept: &kept };
    draft.transaction().check().expect("within the limits");
    let mut kv = Kv::new();
    assert!(commit(&mut kv, None, &content, &[]));
    let (parts, more) = kv.range(&Keys::Prefix(content_prefix(1)), usize::MAX);
    let whole: Vec<u8> = parts.iter().flat_map(|(_, item)| item.value.to_vec()).collect();
    assert!(!more && whole == content);
}

#[test]
fn old_generations_make_room_by_number_and_by_weight_and_the_one_before_stays() {
    let mut kv = Kv::new();
    let (mut newest, mut there) = (None, vec![]);
    for number in 1..=60_u64 {
        assert!(commit(&mut kv, newest, b"x", &there));
        newest = Some(number);
        there = kept(&kv).into_iter().map(|number| (number, 1)).collect();
    }
    assert_eq!(there.len(), MAX_KEPT);
    assert_eq!((there[0].0, newest), (11, Some(60)));
    let (contents, _) = kv.range(&Keys::Prefix(CONTENTS.to_owned()), usize::MAX);
    assert_eq!(contents.len(), MAX_KEPT, "their content goes with them");
    let heavy = [(1, 5 << 20), (2, 5 << 20), (3, 9 << 20)];
    let draft = Draft { after: Some(3), generation: b"", content: b"x", kept: &heavy };
    assert_eq!(draft.retired().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_path_that_leads_elsewhere_is_none() {
    for path in ["outlast.toml", "conf.d/10-api.cfg"] {
        assert!(is_beside(path), "{path}");
    }
    for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", ".outlast/note", "a/"] {
        assert!(!is_beside(path), "{path}");
    }
}

#[test]
fn files_that_were_changed_by_hand_are_replaced_only_by_force_and_once() {
    let foreign = || Lying::Foreign(vec!["haproxy.cfg".to_owned()]);
    let facts = |runs, noted, force| Facts {
        runs,
        lying: foreign(),
        staged: true,
        noted,
        force,
        tried: Tried::No,
    };
    let files = vec!["haproxy.cfg".to_owned()];
    assert_eq!(next(&facts(false, false, false)), Next::Refuse(files.clone()));
    assert_eq!(next(&facts(false, false, true)), Next::Ask);
    // The generation was here already: what differs now was changed after the word was said.
    assert_eq!(next(&facts(false, true, true)), Next::Refuse(files.clone()));
    assert_eq!(next(&facts(true, true, true)), Next::Changed(files));
    // A disk that does not take the files is not asked again and again.
    assert_eq!(next(&facts(true, false, true)), Next::Install);
    let failed = Facts { tried: Tried::Refused, ..facts(true, false, true) };
    assert_eq!(next(&failed), Next::Wait);
}

/// A node with two generations: 0 is installed, 1 is wanted.
#[derive(Clone, Debug)]
struct Node {
    running: u8,
    /// Of the files that are used; installing is all or nothing, as its journal makes it.
    files: u8,
    noted: u8,
    staged: bool,
    tried: Tried,
    /// What the supervisor says.
    is_good: bool,
}

impl Node {
    fn facts(&self) -> Facts {
        Facts {
            runs: self.running == 1,
            lying: if self.files == 1 { Lying::Same } else { Lying::Known },
            staged: self.staged,
            noted: self.noted == 1,
            force: false,
            tried: self.tried,
        }
    }

    /// One step; false: nothing is left to do.
    fn step(&mut self) -> bool {
        match next(&self.facts()) {
            Next::Stage => self.staged = true,
            Next::Ask => self.tried = Tried::Asked,
            Next::Install => (self.files, self.noted, self.staged) = (1, 1, false),
            Next::Note => self.noted = 1,
            Next::Wait if self.tried == Tried::Asked && self.is_good => {
                (self.running, self.tried) = (1, Tried::No);
            }
            Next::Wait if self.tried == Tried::Asked => self.tried = Tried::Refused,
            Next::Wait | Next::Done => return false,
            Next::Refuse(_) | Next::Changed(_) => unreachable!("nobody changed a file"),
        }
        true
    }

    fn dies(&mut self) {
        (self.running, self.tried) = (self.files, Tried::No);
    }
}

proptest! {
    #[test]
    fn a_node_that_dies_at_any_step_ends_with_the_new_generation_or_the_old(
        is_good: bool,
        deaths in prop::collection::vec(0_u8..8, 0..6),
    ) {
        let mut node =
            Node { running: 0, files: 0, noted: 0, staged: false, tried: Tried::No, is_good };
        for steps in deaths {
            for _ in 0..steps {
                node.step();
            }
            prop_assert!(node.files == 0 || is_good, "what was refused never lies in a used file");
            node.dies();
        }
        let mut steps = 0;
        while node.step() {
            steps += 1;
            prop_assert!(steps < 20, "it comes to an end");
        }
        let end = (node.running, node.files, node.noted);
        prop_assert_eq!(end, if is_good { (1, 1, 1) } else { (0, 0, 0) });
    }
}

#[test]
fn members_start_their_store_anew_one_after_the_other_and_wait_for_nobody_who_is_away() {
    let peer = |name, seen| Peer { name, is_alive: true, seen };
    let all = [peer("a", 6), peer("b", 6), peer("c", 6)];
    let waits = |members: &[Peer<'static>], me| waits_for(members, me, 7, |_| true);
    assert_eq!(["a", "b", "c"].map(|me| waits(&all, me)), [None, Some("a"), Some("a")]);
    let next = [peer("a", 7), peer("b", 6), peer("c", 6)];
    assert_eq!(["b", "c"].map(|me| waits(&next, me)), [None, Some("b")]);
    let away = [Peer { is_alive: false, ..peer("a", 6) }, peer("b", 6), peer("c", 6)];
    assert_eq!(["b", "c"].map(|me| waits(&away, me)), [None, Some("b")]);
    // It is its turn, but another one is not back yet: with two of them gone nothing could be decided.
    assert_eq!(waits_for(&next, "b", 7, |name| name != "a"), Some("a"));
    assert_eq!(waits_for(&next, "b", 7, |name| name != "c"), Some("c"));
    assert_eq!(waits_for(&away, "b", 7, |name| name != "a"), None);
}
