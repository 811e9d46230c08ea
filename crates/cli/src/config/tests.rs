use std::fs;
use std::path::PathBuf;

use expect_test::expect;

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
    let code = run(&Args { files, json, all: false }, &mut out);
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
    "#]]
    .assert_eq(&shown);
}

#[test]
fn notes_that_say_the_same_are_one_and_no_failure() {
    let folder = Folder::new("notes");
    let text = format!("{BACKEND} server a 10.0.0.1:80 ssl\n server b 10.0.0.2:80 ssl\n");
    let (code, shown) = check(&folder, vec![folder.file("lb.cfg", &text)], false);
    assert_eq!(code, 0);
    expect![[r#"
        note[not-run-yet]: `ssl` of `server` is not run yet (in 2 places)
         --> FOLDER/lb.cfg:4:23
          |
        4 |  server a 10.0.0.1:80 ssl
          |                       ^^^

        1 note
        notes that say the same are shown once; --all shows them all
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
          "findings": [
            {
              "severity": "error",
              "code": "unknown-keyword",
              "file": "FOLDER/lb.cfg",
              "line": 4,
              "column": 23,
              "word": "chek",
              "message": "`chek` is no option of `server`",
              "help": "did you mean `check`?"
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
    assert_eq!(code, 1);
    assert!(shown.starts_with("error[unreadable]: cannot read FOLDER/gone.cfg: No such file"));
    assert!(shown.contains("did you mean `maxconn`?"), "{shown}");
}
