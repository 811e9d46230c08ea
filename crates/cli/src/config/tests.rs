use std::fs;
use std::path::PathBuf;

use expect_test::expect;

use super::check::Args;
use super::*;

/// A folder of this test process that goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("outlast-check-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn check(folder: &Folder, files: Vec<PathBuf>, json: bool) -> (u8, String) {
    let mut out = Vec::new();
    let args = Args { files, json, all: false, repair: false, output: None, config_id: None };
    let code = check::run(&args, &mut out);
    let shown = String::from_utf8(out).unwrap();
    (code, shown.replace(folder.0.to_str().unwrap(), "FOLDER"))
}

const BACKEND: &str = "backend b\n timeout connect 1s\n timeout server 1s\n";

#[test]
fn a_mistake_is_shown_with_its_place_and_fails() {
    let folder = Folder::new("mistake");
    let text = format!("{BACKEND} balanse source\n server a 10.0.0.1:80\n server b 10.0.0.2:80\n");
    let (code, shown) = check(&folder, vec![folder.file("lb.cfg", &text)], false);
    assert_eq!(code, 1);
    expect![[r#"
        error[unknown-keyword]: `balanse` is no keyword in a `backend` section
         --> FOLDER/lb.cfg:4:2
          |
        4 |  balanse source
          |  ^^^^^^^
          = help: did you mean `balance`?

        1 error
        outlast run would refuse these files: 1 error
    "#]]
    .assert_eq(&shown);
}

#[test]
fn notes_that_say_the_same_are_one_and_no_failure() {
    let folder = Folder::new("notes");
    let text = format!("{BACKEND} server a 10.0.0.1:80 stick\n server b 10.0.0.2:80 stick\n");
    let (code, shown) = check(&folder, vec![folder.file("lb.cfg", &text)], false);
    assert_eq!(code, 0);
    expect![[r#"
        note[not-run-yet]: `stick` of `server` is not run yet (in 2 places)
         --> FOLDER/lb.cfg:4:23
          |
        4 |  server a 10.0.0.1:80 stick
          |                       ^^^^^

        1 note
        notes that say the same are shown once; --all shows them all
        outlast run would refuse these files: 1 keyword not run yet, in 2 places
    "#]]
    .assert_eq(&shown);
}

#[test]
fn json_has_the_place_the_word_and_what_to_write() {
    let folder = Folder::new("json");
    let text = format!("{BACKEND} server a 10.0.0.1:80 chek\n server b 10.0.0.2:80\n");
    let (code, shown) = check(&folder, vec![folder.file("lb.cfg", &text)], true);
    assert_eq!(code, 1);
    expect![[r#"
        {
          "errors": 1,
          "warnings": 0,
          "notes": 0,
          "refused": "outlast run would refuse these files: 1 error",
          "skipped": [],
          "findings": [
            {
              "severity": "error",
              "code": "unknown-keyword",
              "file": "FOLDER/lb.cfg",
              "line": 4,
              "column": 23,
              "word": "chek",
              "message": "`chek` is no option of `server`",
              "help": "did you mean `check`?",
              "fix": {
                "file": "FOLDER/lb.cfg",
                "start": 71,
                "end": 75,
                "text": "check"
              }
            }
          ]
        }
    "#]]
    .assert_eq(&shown);
}

#[test]
fn files_that_a_cluster_names_are_read_too() {
    let folder = Folder::new("cluster");
    folder.file("lb.cfg", "global\n maxcon 3\n");
    let text = "[cluster]\nname = \"c\"\nhaproxy = \"lb.cfg\"\n\
        [node.a]\nnetworks = { m = \"10.0.0.1\" }\n";
    let (code, shown) = check(&folder, vec![folder.file("outlast.toml", text)], false);
    assert_eq!(code, 1);
    assert!(shown.contains("FOLDER/lb.cfg:2:2"), "{shown}");
    assert!(shown.contains("did you mean `maxconn`?"), "{shown}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_the_others_are_checked() {
    let folder = Folder::new("unreadable");
    let good = folder.file("lb.cfg", "global\n maxcon 3\n");
    let (code, shown) = check(&folder, vec![folder.0.join("gone.cfg"), good], false);
    assert_eq!(code, 2);
    assert!(shown.starts_with("error[unreadable]: cannot read FOLDER/gone.cfg: No such file"));
    assert!(shown.contains("did you mean `maxconn`?"), "{shown}");
}

const GOOD: &str = "backend b\n timeout connect 1s\n timeout server 1s\n server a 10.0.0.1:80\n \
    server b 10.0.0.2:80\n";

#[test]
fn a_folder_stands_for_its_cfg_files_in_the_order_of_names() {
    let folder = Folder::new("folder");
    folder.file("20-b.cfg", " maxcon 3\n");
    folder.file("10-a.cfg", "global\n");
    folder.file("30-c.cfg.bak", "what is this\n");
    let (code, shown) = check(&folder, vec![folder.0.clone()], false);
    assert_eq!(code, 1);
    // Sections do not reach into the next file, as for HAProxy.
    assert!(shown.contains("outside of all sections"), "{shown}");
    assert!(!shown.contains("30-c"), "{shown}");
    let empty = folder.0.join("empty");
    fs::create_dir(&empty).unwrap();
    let (code, shown) = check(&folder, vec![empty], false);
    assert_eq!(code, 2);
    assert!(shown.contains("cannot read FOLDER/empty: it is a folder without a .cfg file"));
}

#[test]
fn the_other_two_files_of_a_folder_are_checked_and_the_rest_is_named() {
    let folder = Folder::new("whole");
    folder.file("lb.cfg", PROXIES);
    folder.file("keepalived.conf", &KEEPALIVED.replace("nopreempt", "nopreemt"));
    folder.file("outlast.toml", &CLUSTER.replace("router_id", "router_di"));
    folder.file("haproxy.conf", "global\n");
    let (code, shown) = check(&folder, vec![folder.0.clone()], false);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.starts_with("FOLDER/haproxy.conf: skipped: of a folder"), "{shown}");
    assert!(shown.contains("did you mean `nopreempt`?"), "{shown}");
    assert!(shown.contains("did you mean `router_id`?"), "{shown}");
}

#[test]
fn a_file_with_nothing_in_it_was_not_checked() {
    let folder = Folder::new("blank");
    let blank = folder.file("blank.cfg", "# nothing yet\n\n");
    for path in [blank, PathBuf::from("/dev/null")] {
        let (code, shown) = check(&folder, vec![path], false);
        assert_eq!(code, 2, "{shown}");
        assert!(shown.contains(": skipped, there is nothing in it\n"), "{shown}");
        assert!(shown.ends_with("nothing was checked\n"), "{shown}");
    }
}

#[test]
fn what_is_no_configuration_by_its_name_is_skipped() {
    let folder = Folder::new("skipped");
    let readme = folder.file("README.md", "# Files\n\nlisten to this\n");
    let (code, shown) = check(&folder, vec![readme.clone(), folder.file("a.cfg", GOOD)], false);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.starts_with("FOLDER/README.md: skipped"), "{shown}");
    let (code, shown) = check(&folder, vec![readme], false);
    assert_eq!(code, 2);
    assert!(shown.ends_with("nothing was checked\n"), "{shown}");
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_line() {
    let folder = Folder::new("bytes");
    let path = folder.0.join("lb.cfg");
    fs::write(&path, b"global\n# caf\xe9\n").unwrap();
    let (code, shown) = check(&folder, vec![path], false);
    assert_eq!(code, 2);
    assert!(shown.contains("it is not UTF-8 text: look at line 2"), "{shown}");
}

const CLUSTER: &str = "[cluster]\nname = \"c\"\nhaproxy = \"lb.cfg\"\nsecret_file = \"secret\"\n\
    [node.a]\nnetworks = { m = \"10.0.0.1\" }\n[node.b]\nnetworks = { m = \"10.0.0.2\" }\n\
    [vip.v]\naddress = \"10.0.0.9\"\nrouter_id = 7\n";

const KEEPALIVED: &str = "vrrp_instance v {\n state BACKUP\n nopreempt\n interface eth0\n \
    virtual_router_id 7\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n";

const PROXIES: &str = "listen b\n bind 10.0.0.9:80\n timeout client 1s\n timeout connect 1s\n \
    timeout server 1s\n server a 10.0.0.1:80\n server b 10.0.0.2:80\n";

#[test]
fn a_secret_that_run_would_not_take_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("secret");
    folder.file("lb.cfg", PROXIES);
    let cluster = folder.file("outlast.toml", CLUSTER);
    let told = || check(&folder, vec![cluster.clone()], false);
    let (code, shown) = told();
    assert_eq!(code, 0);
    assert!(shown.contains("warning[secret-file]: FOLDER/secret is not there"), "{shown}");
    assert!(shown.contains("outlast.toml:4:1"), "{shown}");
    assert!(shown.contains("make it once, on one node: (umask 077; openssl"), "{shown}");
    assert!(shown.contains("then copy it to every node"), "{shown}");
    let secret = folder.file("secret", "short");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    // Never a command that would put another key in the place of the cluster's.
    let shown = told().1;
    assert!(shown.contains("can be read by others"), "{shown}");
    assert!(shown.contains("chmod 600 FOLDER/secret\n"), "{shown}");
    assert!(!shown.contains("openssl"), "{shown}");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let shown = told().1;
    assert!(shown.contains("holds less than 32 bytes"), "{shown}");
    assert!(!shown.contains("openssl"), "{shown}");
    fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    assert_eq!(told().1, "2 files checked, nothing to say\n");
}

#[test]
fn a_trust_folder_that_belongs_to_no_cluster_is_told() {
    let folder = Folder::new("trust");
    folder.file("lb.cfg", PROXIES);
    let cluster = CLUSTER.replace("secret_file = \"secret\"", "trust_dir = \"trust\"");
    let cluster = folder.file("outlast.toml", &cluster);
    let told = || check(&folder, vec![cluster.clone()], false);
    let (code, shown) = told();
    assert_eq!(code, 0);
    let expected = "warning[trust-dir]: FOLDER/trust belongs to no cluster yet";
    assert!(shown.contains(expected) && shown.contains("outlast.toml:4:1"), "{shown}");
    assert!(shown.contains("`outlast join -` on every other one"), "{shown}");
    let founding = trust::Founding { cluster: "c".to_owned(), node: "a".to_owned(), address: None };
    trust::Folder::new(&folder.0.join("trust"), None).init(&founding, 0).unwrap();
    assert_eq!(told().1, "2 files checked, nothing to say\n");
}

#[test]
fn two_files_with_the_same_virtual_ips_are_two_starts() {
    let folder = Folder::new("starts");
    let files = vec![
        folder.file("lb.cfg", PROXIES),
        folder.file("keepalived.conf", KEEPALIVED),
        folder.file("outlast.toml", &CLUSTER.replace("secret_file = \"secret\"\n", "")),
    ];
    let (code, shown) = check(&folder, files, false);
    assert_eq!(code, 0, "{shown}");
    expect![[r#"
        note[two-starts]: this file and the cluster file hold the same virtual IPs: each was checked as a start of its own
         --> FOLDER/keepalived.conf:1:1
          |
        1 | vrrp_instance v {
          | ^^^^^^^^^^^^^^^^^

        1 note
    "#]].assert_eq(&shown);
}

#[test]
fn the_examples_are_well_with_everything_beside_them() {
    let folder =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/three-controllers"));
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let found = {
        let here = files::Here::new(None);
        check::look(&files::read_all(&files, files::Folder::Whole, &here), &here)
    };
    // The secret is on the node.
    let told: Vec<&str> = found.diagnostics.iter().map(|finding| finding.code).collect();
    let known = ["two-starts", "secret-file"];
    assert!(told.iter().all(|code| known.contains(code)), "{told:?}");
}

#[test]
fn what_run_would_refuse_is_summed_up() {
    let folder = Folder::new("sum");
    let text = format!(
        "{BACKEND} balanse source\n server a 10.0.0.1:80 ssl verify none\n \
        server b 10.0.0.2:80 ssl verify none\n"
    );
    let (_, shown) = check(&folder, vec![folder.file("lb.cfg", &text)], false);
    let last = shown.lines().last().unwrap();
    assert_eq!(
        last,
        "outlast run would refuse these files: 1 error; 2 keywords not run yet, in 4 places"
    );
}

fn repair(folder: &Folder, files: Vec<PathBuf>, output: Option<PathBuf>) -> (u8, String) {
    let mut out = Vec::new();
    let args = Args { files, json: false, all: false, repair: true, output, config_id: None };
    let code = check::run(&args, &mut out);
    let shown = String::from_utf8(out).unwrap();
    (code, shown.replace(folder.0.to_str().unwrap(), "FOLDER"))
}

#[test]
fn a_repaired_file_stands_beside_the_original_and_passes() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("repair");
    let text =
        GOOD.replace("timeout connect", "timeot connect").replace("server 1s", "server 1sec");
    let path = folder.file("lb.cfg", &text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let (code, shown) = repair(&folder, vec![path.clone()], None);
    expect![[r#"
        --- FOLDER/lb.cfg
        +++ FOLDER/lb.cfg.repaired
        @@ line 2: `timeot` is no keyword in a `backend` section
        - timeot connect 1s
        + timeout connect 1s
        @@ line 3: `1sec` is read as `1s`; HAProxy will refuse it one day
        - timeout server 1sec
        + timeout server 1s
        written: FOLDER/lb.cfg.repaired

        2 places changed; `config check` finds no error in the new files
    "#]]
    .assert_eq(&shown);
    assert_eq!(code, 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    let repaired = folder.0.join("lb.cfg.repaired");
    assert_eq!(fs::metadata(&repaired).unwrap().permissions().mode() & 0o777, 0o640);
    let (code, shown) = check(&folder, vec![repaired.clone()], false);
    assert_eq!((code, shown.as_str()), (0, "1 file checked, nothing to say\n"));
    // The same again is no harm; another file in its place is not written over.
    assert_eq!(repair(&folder, vec![path.clone()], None).0, 0);
    fs::write(&repaired, "mine").unwrap();
    let (code, shown) = repair(&folder, vec![path.clone()], None);
    assert_eq!(code, 1);
    assert!(shown.contains("it is there already, and nothing is written over it"), "{shown}");
    assert_eq!(fs::read_to_string(&repaired).unwrap(), "mine");
    // A folder of its own; the original's is refused.
    let other = folder.0.join("new");
    assert_eq!(repair(&folder, vec![path.clone()], Some(other.clone())).0, 0);
    assert!(fs::read_to_string(other.join("lb.cfg")).unwrap().contains("timeout connect"));
    assert_eq!(repair(&folder, vec![path.clone()], Some(folder.0.clone())).0, 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn what_only_a_human_can_repair_is_left_and_told() {
    let folder = Folder::new("left");
    let path = folder.file("lb.cfg", "global\n maxcon 3\n log 127.0.0.1 local8\n");
    let (code, shown) = repair(&folder, vec![path], None);
    assert_eq!(code, 1);
    assert!(shown.contains("+ maxconn 3"), "{shown}");
    assert!(shown.contains("`local8` is no log facility"), "{shown}");
}

#[test]
fn an_import_prints_the_file_and_warns_beside_it() {
    let folder = Folder::new("import");
    let files = vec![folder.file("keepalived.conf", KEEPALIVED), folder.file("lb.cfg", PROXIES)];
    let args = |files: &[PathBuf]| import::Args {
        files: files.to_vec(),
        name: "cloud".to_owned(),
        node: Vec::new(),
        json: false,
    };
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    let code = import::imported(&args(&files), &mut out, &mut complaints).unwrap();
    assert_eq!(code, 0);
    let text = String::from_utf8(out).unwrap();
    let complaints = String::from_utf8(complaints).unwrap();
    assert!(complaints.contains("warning[import-lost]: this node's priority was 100"));
    assert!(text.contains("# NOT THE SAME: this node's priority was 100"), "{text}");
    let toml = folder.file("outlast.toml", &text);
    let (code, shown) = check(&folder, vec![toml.clone()], false);
    assert_eq!((code, shown.as_str()), (0, "2 files checked, nothing to say\n"));
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    let both = [files[0].clone(), toml];
    assert_eq!(import::imported(&args(&both), &mut out, &mut complaints).unwrap(), 2);
    assert!(out.is_empty());
}

#[test]
fn an_import_tells_what_is_missing_and_what_run_refuses() {
    let folder = Folder::new("missing");
    let text = format!("{BACKEND} server a 10.0.0.1:80 stick\n server b 10.0.0.2:80 stick\n");
    let files = vec![folder.file("lb.cfg", &text)];
    let args = import::Args { files, name: "cloud".to_owned(), node: Vec::new(), json: false };
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    assert_eq!(import::imported(&args, &mut out, &mut complaints).unwrap(), 0);
    let complaints = String::from_utf8(complaints).unwrap();
    assert!(complaints.contains("the files have no virtual IP"), "{complaints}");
    assert!(
        complaints.contains("`stick` of `server` is not run yet (in 2 places)"),
        "{complaints}"
    );
    let sum = "outlast run refuses these files: 1 keyword not run yet, in 2 places\n";
    assert!(complaints.ends_with(sum), "{complaints}");
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("# NOT THE SAME: the files have no virtual IP"), "{text}");
}

#[test]
fn nothing_is_imported_from_a_file_with_errors() {
    let folder = Folder::new("broken");
    let files = vec![folder.file("keepalived.conf", "vrrp_instance v {\n prioritty 1\n}\n")];
    let args = import::Args { files, name: "cloud".to_owned(), node: Vec::new(), json: false };
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    assert_eq!(import::imported(&args, &mut out, &mut complaints).unwrap(), 1);
    assert!(out.is_empty());
    assert!(String::from_utf8(complaints).unwrap().contains("did you mean `priority`?"));
}

fn explained(words: &[&str]) -> (u8, String) {
    let keyword = words.iter().map(|word| (*word).to_owned()).collect();
    let mut out = Vec::new();
    let code = explain::run(&explain::Args { keyword, json: false }, &mut out);
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn a_keyword_is_explained_with_its_place_default_and_fate() {
    let (code, shown) = explained(&["priority"]);
    assert_eq!(code, 0);
    expect![[r#"
        priority <1-255>
          language  keepalived
          stands in vrrp_instance NAME
          effect    the higher one holds the address
          default   100
          outlast   run

        priority = 100
          language  outlast.toml
          stands in [node.NAME]
          effect    VRRP priority in virtual IPs of keepalived's file, if all nodes share that file
          default   by the order of the nodes: 200, 150, 100
          outlast   run
    "#]]
    .assert_eq(&shown);
    let (_, shown) = explained(&["option", "httplog"]);
    expect![[r#"
        option httplog
          language  HAProxy
          stands in defaults, frontend, listen
          effect    log lines tell the request
          outlast   run
    "#]]
    .assert_eq(&shown);
}

#[test]
fn an_unknown_keyword_is_guessed_and_first_letters_list_what_they_begin() {
    assert_eq!(
        explained(&["balanse"]),
        (2, "no language has the keyword `balanse`\ndid you mean `balance`?\n".to_owned())
    );
    let (code, shown) = explained(&["timeout"]);
    assert_eq!(code, 0);
    assert!(shown.contains("HAProxy: timeout client-fin"), "{shown}");
}
