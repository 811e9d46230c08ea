//! Joins over loopback, with clocks that the test sets: each mistake is told and loses nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use outlast_trust as trust;

use trust::{
    DeskError, Fate, Folder, Founding, JoinError, Joining, Renewal, Role, State, Token, TrustError,
    answer_one, ask_roster, join, pull, renew,
};

/// A moment of 2026 by the controllers' clock.
const NOW: u64 = 1_790_000_000_000;
const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// A folder of one node; gone at the end.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("trust-{}-{number}", std::process::id());
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    fn folder(&self) -> Folder {
        Folder::new(&self.0, None)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A cluster `cloud` of one node.
fn founded() -> Home {
    let home = Home::new();
    let founding = Founding {
        cluster: "cloud".to_owned(),
        node: "node01".to_owned(),
        address: Some(Ipv4Addr::new(10, 0, 0, 1).into()),
    };
    home.folder().init(&founding, NOW).unwrap();
    home
}

/// Has `count` conversations at the returned address, then hands back what was said of each.
fn desk(home: &Home, now: u64, count: usize) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, folder) = (listener.local_addr().unwrap(), home.folder());
    let answers = move || {
        let answer = |_| {
            let (stream, from) = listener.accept().unwrap();
            match answer_one(&folder, stream, from.ip(), now) {
                Ok(line) => line,
                Err(error) => error.to_string(),
            }
        };
        (0..count).map(answer).collect()
    };
    (address, thread::spawn(answers))
}

fn token(home: &Home, address: SocketAddr) -> Token {
    let wanted = (Role::Compute, None);
    home.folder().create_token(wanted, address, 10 * MINUTE, NOW).unwrap()
}

fn joining(token: &Token, node: &str) -> Joining {
    Joining { token: token.clone(), node: node.to_owned(), address: None, expected: None }
}

fn refused(outcome: Result<State, JoinError>) -> String {
    let error = outcome.unwrap_err();
    let JoinError::Refused(why) = error else { panic!("{error:?}") };
    why
}

/// A new node with the name and this token.
fn tries(token: &Token, node: &str, now: u64) -> (Home, Result<State, JoinError>) {
    let home = Home::new();
    let outcome = join(&home.folder(), &joining(token, node), now);
    (home, outcome)
}

#[test]
fn a_node_joins_with_a_token_once() {
    let first = founded();
    let (address, answers) = desk(&first, NOW + 2000, 2);
    let token = token(&first, address);
    let (second, outcome) = tries(&token, "node02", NOW + 1000);
    let joined = outcome.unwrap();
    let founded = first.folder().load().unwrap();
    assert_eq!((joined.cluster.as_str(), joined.role), ("cloud", Role::Compute));
    assert_eq!(joined.fingerprint(), founded.fingerprint(), "one cluster");
    assert_eq!(joined.roster, founded.roster);
    let member = founded.roster.find("node02").unwrap();
    assert_eq!(member.fingerprint, joined.own_fingerprint(), "the same on both sides");
    assert_eq!(founded.tokens[0].fate, Fate::Used("node02".to_owned()));
    let (pairs, theirs) = (first.folder().pairs(NOW).unwrap(), second.folder().pairs(NOW).unwrap());
    assert_eq!((pairs[0].name.as_str(), theirs[0].name.as_str()), ("node02", "node01"));
    assert_eq!(pairs[0].keys, theirs[0].keys, "both know the secret of the pair");

    let (third, outcome) = tries(&token, "node03", NOW + 1000);
    assert_eq!(refused(outcome), "the token was used by `node02`: each node needs its own");
    assert_eq!(first.folder().load().unwrap(), founded, "nothing changed");
    assert!(matches!(third.folder().load(), Err(TrustError::Nobody(_))));
    let said = answers.join().unwrap();
    assert!(said[0].starts_with("join of node02 from 127.0.0.1: done, fingerprint "), "{said:?}");
    let log = first.folder().audit_log().unwrap();
    let told: Vec<_> = log.iter().map(|e| (e.object.as_str(), e.outcome.as_str())).collect();
    let used = "the token was used by `node02`: each node needs its own";
    assert_eq!(told, [("node02", "done"), ("node03", used)]);
}

#[test]
fn secrets_are_sealed_and_nobody_else_can_read_the_files() {
    let home = founded();
    let address = "127.0.0.1:1".parse().unwrap();
    let token = token(&home, address);
    let secret = trust::hex::encode(&token.secret);
    for entry in fs::read_dir(&home.0).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&secret) && !text.contains("PRIVATE"), "{}", path.display());
        if path.extension().is_some_and(|extension| extension == "key") {
            assert!(bytes.starts_with(b"OUTLSEC1"), "{}", path.display());
        }
    }
    let opened = home.0.join("node.key");
    fs::set_permissions(&opened, fs::Permissions::from_mode(0o644)).unwrap();
    let error = home.folder().pairs(NOW).unwrap_err().to_string();
    assert!(error.contains("can be read by others (mode 644)"), "{error}");
}

#[test]
fn an_expired_token_is_told_by_either_clock() {
    let first = founded();
    let (address, answers) = desk(&first, NOW + 10 * MINUTE + 3000, 1);
    let token = token(&first, address);
    let (_, outcome) = tries(&token, "node02", NOW + 10 * MINUTE - 1000);
    assert_eq!(refused(outcome), "the token expired 3 s ago: create another one");
    let (_, outcome) = tries(&token, "node02", NOW + DAY);
    let error = outcome.unwrap_err().to_string();
    assert!(error.starts_with("the token expired 85800 s ago by this machine's clock"), "{error}");
    answers.join().unwrap();
}

#[test]
fn a_wrong_clock_is_told_and_costs_no_token() {
    let first = founded();
    let (address, answers) = desk(&first, NOW, 3);
    let token = token(&first, address);
    let (home, outcome) = tries(&token, "node02", NOW + MINUTE + 1000);
    assert!(refused(outcome).starts_with("the clocks of the two nodes differ by 61 s"));
    let (_, outcome) = tries(&token, "node02", NOW - 2 * DAY);
    let error = outcome.unwrap_err();
    assert!(matches!(error, JoinError::Clock { .. }), "{error:?}");
    assert!(first.folder().load().unwrap().tokens[0].fate == Fate::Open);
    join(&home.folder(), &joining(&token, "node02"), NOW - MINUTE).unwrap();
    answers.join().unwrap();
}

#[test]
fn another_cluster_of_the_same_name_is_noticed_before_the_token_is_sent() {
    let (first, twin) = (founded(), founded());
    let (address, answers) = desk(&twin, NOW, 1);
    let token = token(&first, address);
    let (home, outcome) = tries(&token, "node02", NOW);
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("another cluster, whatever its name"), "{error}");
    assert!(error.contains(&twin.folder().load().unwrap().fingerprint().to_string()), "{error}");
    assert_eq!(twin.folder().load().unwrap().roster.members.len(), 1);
    assert_eq!(first.folder().load().unwrap().tokens[0].fate, Fate::Open);
    assert!(matches!(home.folder().load(), Err(TrustError::Nobody(_))));
    answers.join().unwrap();
}

#[test]
fn what_the_operator_read_elsewhere_must_be_the_tokens_fingerprint() {
    let first = founded();
    let token = token(&first, "127.0.0.1:1".parse().unwrap());
    let wrong = trust::Fingerprint([1; 32]);
    let joining = Joining { expected: Some(wrong), ..joining(&token, "node02") };
    let home = Home::new();
    let error = join(&home.folder(), &joining, NOW).unwrap_err();
    assert!(matches!(error, JoinError::Fingerprint { .. }), "{error:?}");
    assert!(!home.0.exists(), "nothing was made");
}

#[test]
fn names_and_addresses_that_are_taken_cost_no_token() {
    let first = founded();
    let (address, answers) = desk(&first, NOW, 4);
    let token = token(&first, address);
    let (_, outcome) = tries(&token, "node01", NOW);
    assert!(refused(outcome).starts_with("a node `node01` is in the cluster already"));
    let home = Home::new();
    let own: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
    let taken = Joining { address: Some(own), ..joining(&token, "node02") };
    let outcome = join(&home.folder(), &taken, NOW);
    assert_eq!(refused(outcome), "the address 10.0.0.1 is that of the node `node01`");
    let wanted = (Role::Controller, Some("node07"));
    let for_one = first.folder().create_token(wanted, address, 10 * MINUTE, NOW).unwrap();
    let (_, outcome) = tries(&for_one, "node08", NOW);
    assert_eq!(refused(outcome), "the token is for the node `node07`");
    join(&home.folder(), &joining(&token, "node02"), NOW).unwrap();
    answers.join().unwrap();
}

#[test]
fn a_node_of_a_cluster_neither_joins_nor_founds_another() {
    let (first, other) = (founded(), founded());
    let token = token(&other, "127.0.0.1:1".parse().unwrap());
    let before = first.folder().load().unwrap();
    let outcome = join(&first.folder(), &joining(&token, "node02"), NOW);
    let taken = |error: &TrustError| matches!(error, TrustError::Taken { .. });
    assert!(matches!(&outcome, Err(JoinError::Trust(error)) if taken(error)), "{outcome:?}");
    let founding =
        Founding { cluster: "cloud".to_owned(), node: "node01".to_owned(), address: None };
    assert!(taken(&first.folder().init(&founding, NOW).unwrap_err()));
    assert_eq!(first.folder().load().unwrap(), before);
    assert!(first.folder().pairs(NOW).is_ok(), "its keys are the old ones");
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_token() {
    let first = founded();
    let (address, answers) = desk(&first, NOW, 3);
    let token = token(&first, address);
    let (home, outcome) = tries(&token, "node02", NOW);
    let before = outcome.unwrap();
    fs::remove_file(home.0.join("trust.json")).unwrap();
    let thief = tries(&token, "node02", NOW).1;
    assert!(refused(thief).starts_with("the token was used by `node02`"));
    let again = join(&home.folder(), &joining(&token, "node02"), NOW).unwrap();
    assert_eq!(again.roster.valid().filter(|member| member.name == "node02").count(), 1);
    assert!(again.roster.generation > before.roster.generation);
    assert_eq!(first.folder().load().unwrap().roster, again.roster);
    answers.join().unwrap();
}

#[test]
fn only_nodes_that_are_in_are_told_who_is_in() {
    let (first, other) = (founded(), founded());
    let (address, answers) = desk(&first, NOW, 5);
    let [token2, token3] = [0, 1].map(|_| token(&first, address));
    let (second, outcome) = tries(&token2, "node02", NOW);
    outcome.unwrap();
    tries(&token3, "node03", NOW).1.unwrap();
    let state = ask_roster(&second.folder(), address, NOW).unwrap();
    assert!(state.roster.find("node03").is_some());
    assert_eq!(second.folder().load().unwrap(), state);
    first.folder().revoke("node02").unwrap();
    let outcome = ask_roster(&second.folder(), address, NOW);
    assert_eq!(refused(outcome), "this node was revoked");
    let outcome = ask_roster(&other.folder(), address, NOW);
    assert!(matches!(outcome, Err(JoinError::OtherCluster { .. })), "{outcome:?}");
    answers.join().unwrap();
}

#[test]
fn a_compute_node_cannot_answer_for_the_cluster() {
    let first = founded();
    let (address, answers) = desk(&first, NOW, 1);
    let (second, outcome) = tries(&token(&first, address), "node02", NOW);
    outcome.unwrap();
    answers.join().unwrap();
    let (address, answers) = desk(&second, NOW, 1);
    let (_, outcome) = tries(&token(&first, address), "node03", NOW);
    let error = outcome.unwrap_err();
    assert!(matches!(error, JoinError::Tls { .. }), "{error:?}");
    assert!(error.to_string().contains("does not prove that it is a controller"));
    answers.join().unwrap();
    let wanted = (Role::Compute, None);
    let error = second.folder().create_token(wanted, address, 10 * MINUTE, NOW).unwrap_err();
    assert_eq!(error.to_string(), "this node does not have the authority's key: ask on `node01`");
}

#[test]
fn what_is_no_conversation_changes_nothing() {
    let first = founded();
    let before = first.folder().load().unwrap();
    let (address, answers) = desk(&first, NOW, 2);
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b""] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes).unwrap();
    }
    answers.join().unwrap();
    assert_eq!(first.folder().load().unwrap(), before);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let stranger = Home::new();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let outcome = answer_one(&stranger.folder(), stream, Ipv4Addr::LOCALHOST.into(), NOW);
    assert!(matches!(outcome, Err(DeskError::Trust(TrustError::Nobody(_)))), "{outcome:?}");
}

#[test]
fn a_folder_of_a_newer_release_or_a_damaged_one_is_refused_by_name() {
    let home = founded();
    let path = home.0.join("trust.json");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replace("\"version\": 1", "\"version\": 9")).unwrap();
    let error = home.folder().load().unwrap_err().to_string();
    assert!(error.ends_with("has version 9, this program knows 1: a newer release wrote it"));
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(home.folder().load(), Err(TrustError::Damaged { .. })));
    fs::write(&path, whole).unwrap();
    fs::write(home.0.join("key"), "00".repeat(32)).unwrap();
    let error = home.folder().pairs(NOW).unwrap_err().to_string();
    assert!(error.contains("does not open with this key"), "{error}");
}

/// What each of two nodes speaks to the other, and that the other opens it.
fn they_understand(one: &Folder, other: &Folder, now: u64) -> (u8, u8) {
    let pair = |folder: &Folder, of: &Folder| {
        let name = of.load().unwrap().node;
        folder.pairs(now).unwrap().into_iter().find(|pair| pair.name == name).unwrap()
    };
    let (mine, theirs) = (pair(one, other), pair(other, one));
    for (from, to) in [(&mine, &theirs), (&theirs, &mine)] {
        let spoken = from.keys.iter().find(|(number, _)| *number == from.speak).unwrap();
        assert!(to.keys.contains(spoken), "{} is not opened", from.speak);
    }
    (mine.speak, theirs.speak)
}

#[test]
fn new_keys_take_over_and_at_every_moment_each_node_opens_what_the_other_speaks() {
    let first = founded();
    let (address, answers) = desk(&first, NOW, 4);
    let (second, outcome) = tries(&token(&first, address), "node02", NOW);
    outcome.unwrap();
    let (one, two) = (first.folder(), second.folder());
    assert_eq!(they_understand(&one, &two, NOW), (0, 0));
    assert_eq!(two.renewal(NOW).unwrap(), Renewal::Nothing);
    assert!(matches!(one.rotate(2 * MINUTE - 1, NOW + 1), Err(TrustError::Forget)));
    one.rotate(2 * MINUTE, NOW + 1).unwrap();
    assert_eq!(one.renewal(NOW + 1).unwrap(), Renewal::Due);
    assert_eq!(two.renewal(NOW + 1).unwrap(), Renewal::Nothing, "it has not heard of it");
    pull(&two, (address, Some("node01")), NOW).unwrap();
    assert_eq!(two.renewal(NOW + 1).unwrap(), Renewal::Due);

    let before = (one.stamp(NOW).unwrap(), two.load().unwrap().own_fingerprint());
    one.begin_renewal().unwrap();
    assert_ne!(one.stamp(NOW).unwrap(), before.0, "processes are told");
    assert_eq!(one.renewal(NOW + 1).unwrap(), Renewal::Begun);
    they_understand(&one, &two, NOW);
    one.renew_here(NOW + 1).unwrap();
    assert_eq!(one.renewal(NOW + 2).unwrap(), Renewal::Nothing);
    they_understand(&one, &two, NOW + 1);
    two.begin_renewal().unwrap();
    they_understand(&one, &two, NOW + 1);
    // The authority's side of the desk is at NOW.
    renew(&two, address, NOW).unwrap();
    they_understand(&one, &two, NOW + 1);
    pull(&two, (address, Some("node01")), NOW).unwrap();
    assert_ne!(two.load().unwrap().own_fingerprint(), before.1, "another certificate");
    let late = NOW + 2 * MINUTE + 2;
    assert_eq!(they_understand(&one, &two, late), (0x11, 0x11), "both speak the new ones");
    for (from, to) in [(&one, &two), (&two, &one)] {
        let count = |folder: &Folder, now| folder.pairs(now).unwrap()[0].keys.len();
        assert_eq!(count(from, late), 4, "the old ones are opened for a while");
        assert_eq!(count(to, late + MINUTE), 1, "and then by nobody");
    }
    assert_eq!(answers.join().unwrap()[3], "roster asked by 127.0.0.1: done");
    let log: Vec<String> = one
        .audit_log()
        .unwrap()
        .iter()
        .map(|entry| format!("{} {} {}", entry.command, entry.object, entry.outcome))
        .collect();
    assert!(log.contains(&"trust renew node02 done".to_owned()), "{log:?}");
}

#[test]
fn a_certificate_is_renewed_long_before_it_ends() {
    let first = founded();
    let folder = first.folder();
    assert_eq!(folder.renewal(NOW + 266 * DAY).unwrap(), Renewal::Nothing);
    assert_eq!(folder.renewal(NOW + 267 * DAY).unwrap(), Renewal::Due, "of 400 days");
    folder.begin_renewal().unwrap();
    folder.renew_here(NOW + 267 * DAY).unwrap();
    assert_eq!(folder.renewal(NOW + 268 * DAY).unwrap(), Renewal::Nothing);
    assert_eq!(folder.load().unwrap().roster.members[0].epoch, 1);
}

#[test]
fn a_lost_answer_to_new_keys_is_asked_for_again_and_a_crash_between_two_files_loses_no_key() {
    let first = founded();
    let (address, answers) = desk(&first, NOW, 4);
    let (second, outcome) = tries(&token(&first, address), "node02", NOW);
    outcome.unwrap();
    let (one, two) = (first.folder(), second.folder());
    two.begin_renewal().unwrap();
    let kept: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&second.0)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    renew(&two, address, NOW).unwrap();
    // As if nothing had come.
    let put = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    kept.iter().for_each(|(path, bytes)| put(path, bytes));
    they_understand(&one, &two, NOW);
    assert_eq!(two.renewal(NOW).unwrap(), Renewal::Begun);
    renew(&two, address, NOW).unwrap();
    assert_eq!(one.load().unwrap().roster.find("node02").unwrap().epoch, 1, "the same keys");
    they_understand(&one, &two, NOW);
    // The state is new, the files of the keys are not.
    for (path, bytes) in
        kept.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "key"))
    {
        put(path, bytes);
    }
    they_understand(&one, &two, NOW);
    pull(&two, (address, Some("node01")), NOW).unwrap();
    let late = NOW + 2 * 60 * MINUTE;
    two.begin_renewal().unwrap();
    assert_eq!(two.renewal(late).unwrap(), Renewal::Begun);
    they_understand(&one, &two, late);
    answers.join().unwrap();
}

#[test]
fn a_roster_spreads_through_nodes_that_cannot_change_it() {
    let first = founded();
    let (address, answers) = desk(&first, NOW, 2);
    let (second, outcome) = tries(&token(&first, address), "node02", NOW);
    outcome.unwrap();
    let (third, outcome) = tries(&token(&first, address), "node03", NOW);
    outcome.unwrap();
    answers.join().unwrap();
    assert!(second.folder().load().unwrap().roster.find("node03").is_none());
    // A compute node passes on what it knows, and is nobody else.
    let (address, answers) = desk(&third, NOW, 4);
    let learned = pull(&second.folder(), (address, Some("node03")), NOW).unwrap();
    assert!(learned.roster.find("node03").is_some());
    assert_eq!(pull(&second.folder(), (address, Some("node03")), NOW).unwrap(), learned);
    let other = pull(&second.folder(), (address, Some("node01")), NOW).unwrap_err();
    assert!(matches!(other, JoinError::Tls { .. }), "{other:?}");
    second.folder().begin_renewal().unwrap();
    let refused = renew(&second.folder(), address, NOW).unwrap_err();
    assert!(
        matches!(refused, JoinError::Tls { .. }),
        "a compute node certifies nobody: {refused:?}"
    );
    answers.join().unwrap();
    // What it says of others is not believed.
    let path = third.0.join("trust.json");
    let text = fs::read_to_string(&path).unwrap().replace("node02", "node09");
    let text = text
        .replace("\\\"generation\\\":3", "\\\"generation\\\":9")
        .replace("\"generation\": 3", "\"generation\": 9");
    fs::write(&path, text).unwrap();
    first.folder().revoke("node03").unwrap();
    let (address, answers) = desk(&third, NOW, 1);
    let refused = pull(&second.folder(), (address, Some("node03")), NOW).unwrap_err();
    answers.join().unwrap();
    let unsigned = TrustError::Signed(trust::SignedError::Signature).to_string();
    assert_eq!(refused.to_string(), unsigned);
    assert_eq!(second.folder().load().unwrap(), learned, "nothing changed");
}
