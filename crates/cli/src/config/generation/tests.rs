use std::fs;
use std::path::Path;

use api::generation::Applied;
use expect_test::expect;

use super::shelf::{Line, settled};
use super::*;
use crate::reach::ReachError;

/// A folder of this test alone, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("outlast-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let folder = Self(path);
        folder.write("outlast.toml", &cluster("haproxy.cfg"));
        folder.write("haproxy.cfg", &proxies("10.0.0.9:80"));
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn wrong(&self) -> String {
        let shown = collect::folder(&self.0).unwrap_err();
        base::Chain(&shown).to_string().replace(&self.0.display().to_string(), "FOLDER")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind it only takes room.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn cluster(haproxy: &str) -> String {
    format!(
        "[cluster]\nname = \"trio\"\ntrust_dir = \"trust\"\nhaproxy = \"{haproxy}\"\n\
         [node.a]\nnetworks = {{ m = \"127.0.0.2\" }}\n[node.b]\nnetworks = {{ m = \"127.0.0.3\" }}\n\
         [node.c]\nnetworks = {{ m = \"127.0.0.4\" }}\n[store]\n"
    )
}

fn proxies(server: &str) -> String {
    format!(
        "defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n\
         listen api\n  bind 127.0.0.1:8080\n  server one {server}\n"
    )
}

#[test]
fn a_node_has_its_own_file_in_place_of_the_shared_one() {
    let folder = Folder::new("own-file");
    folder.write("nodes/b/haproxy.cfg", &proxies("10.0.0.8:80"));
    let content = collect::folder(&folder.0).unwrap();
    assert_eq!(content.texts.len(), 3, "a text that several nodes have is there once");
    assert_eq!(content.of("a"), content.of("c"));
    assert_eq!(content.of("b").unwrap()["haproxy.cfg"], proxies("10.0.0.8:80"));
    let before = collect::folder(&Folder::new("own-file-before").0).unwrap();
    let groups = collect::groups(&before, &content).unwrap();
    let mut out = vec![];
    write_groups(&mut out, &groups, 3).unwrap();
    let mut lines: Vec<_> = std::str::from_utf8(&out).unwrap().lines().collect();
    lines.sort_unstable();
    assert!(lines.contains(&"on b:") && lines.contains(&"on a, c:"), "{lines:?}");
    assert!(lines.contains(&"nothing changes"), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("10.0.0.9:80 -> 10.0.0.8:80")), "{lines:?}");
}

#[test]
fn a_folder_of_proxies_is_that_of_all_with_what_the_node_has() {
    let folder = Folder::new("conf-d");
    folder.write("outlast.toml", &cluster("conf.d"));
    folder.write("conf.d/10.cfg", &proxies("10.0.0.9:80"));
    folder.write("nodes/a/conf.d/20.cfg", "listen more\n  bind 127.0.0.1:8081\n  mode tcp\n");
    let content = collect::folder(&folder.0).unwrap();
    let names = |node| content.of(node).unwrap().into_keys().collect::<Vec<_>>();
    assert_eq!(names("a"), ["conf.d/10.cfg", "conf.d/20.cfg", "outlast.toml"]);
    assert_eq!(names("b"), ["conf.d/10.cfg", "outlast.toml"]);
}

#[test]
fn what_cannot_be_a_generation_is_told_by_name() {
    let folder = Folder::new("no-generation");
    folder.write("nodes/d/haproxy.cfg", "");
    expect!["FOLDER/nodes/d is of no node: outlast.toml has a, b, c"].assert_eq(&folder.wrong());
    fs::remove_dir_all(folder.0.join("nodes")).unwrap();
    folder.write("outlast.toml", &cluster("/etc/haproxy/haproxy.cfg"));
    expect!["FOLDER/outlast.toml names /etc/haproxy/haproxy.cfg: a generation has only files beside it, named without `/` at the beginning and without `..` or names that begin with a dot"]
        .assert_eq(&folder.wrong());
    folder.write("outlast.toml", &cluster("haproxy.cfg").replace("[store]\n", ""));
    expect!["outlast.toml has no [store]: with it there would be no generation after this one"]
        .assert_eq(&folder.wrong());
    folder.write("outlast.toml", &cluster("haproxy.cfg"));
    folder.write("haproxy.cfg", "listen api\n  bimd 127.0.0.1:80\n");
    let wrong = folder.wrong();
    assert!(wrong.contains("bimd") && wrong.contains("haproxy.cfg:2"), "{wrong}");
    folder.write("haproxy.cfg", &proxies("10.0.0.9:80"));
    let other = cluster("haproxy.cfg").replace("trio", "quartet");
    folder.write("nodes/c/outlast.toml", &other);
    expect!["the nodes would be of several clusters: quartet, trio"].assert_eq(&folder.wrong());
    fs::remove_dir_all(folder.0.join("nodes")).unwrap();
    fs::remove_file(folder.0.join("haproxy.cfg")).unwrap();
    let wrong = folder.wrong();
    assert!(wrong.starts_with("cannot use FOLDER/haproxy.cfg: No such file"), "{wrong}");
    assert!(wrong.ends_with("; FOLDER/outlast.toml:4 names it"), "{wrong}");
    fs::remove_file(folder.0.join("outlast.toml")).unwrap();
    assert!(folder.wrong().contains("cannot use FOLDER/outlast.toml"), "{}", folder.wrong());
}

#[test]
fn the_configuration_of_another_cluster_is_not_applied() {
    let (one, other) = (Folder::new("this-cluster"), Folder::new("other-cluster"));
    other.write("outlast.toml", &cluster("haproxy.cfg").replace("trio", "quartet"));
    let content = |folder: &Path| collect::folder(folder).unwrap();
    let Err(error) = collect::groups(&content(&one.0), &content(&other.0)) else {
        panic!("it is another cluster's");
    };
    expect!["this is the configuration of cluster quartet, the store is that of trio"]
        .assert_eq(&error.to_string());
}

#[test]
fn each_node_says_what_it_runs_and_why() {
    let line = |is_member, applied| Line { node: "a".to_owned(), is_member, applied };
    let applied = |seen, runs, refused: Option<&str>| {
        Some(Applied { seen, runs, refused: refused.map(str::to_owned), note: None, at_ms: 0 })
    };
    let text = |is_member, applied| line(is_member, applied).text(7);
    expect!["a: runs generation 7"].assert_eq(&text(true, applied(7, Some(7), None)));
    expect!["a: still runs generation 6: cannot bind 10.0.0.1:80"]
        .assert_eq(&text(true, applied(7, Some(6), Some("cannot bind 10.0.0.1:80"))));
    expect!["a: still runs its own files: haproxy.cfg was changed by hand"]
        .assert_eq(&text(true, applied(7, None, Some("haproxy.cfg was changed by hand"))));
    expect!["a: has not seen generation 7 yet, ran generation 5 last"]
        .assert_eq(&text(true, applied(5, Some(5), None)));
    expect!["a: has not said anything yet: away, or it has no store yet"]
        .assert_eq(&text(true, None));
    expect!["a: has not said anything yet: away, or no member of the store reaches it"]
        .assert_eq(&text(false, None));
    expect!["a: runs generation 7"].assert_eq(&text(false, applied(7, Some(7), None)));
    assert!(!line(false, None).is_well(7) && !line(true, applied(7, Some(6), None)).is_well(7));
}

#[test]
fn the_way_back_is_to_what_the_nodes_run_and_places_are_told_where_there_are_any() {
    let line = |runs, refused: &str| {
        let applied =
            Applied { seen: 9, runs, refused: Some(refused.to_owned()), ..Applied::default() };
        Line { node: "a".to_owned(), is_member: true, applied: Some(applied) }
    };
    let back = "back to what these nodes run, on all nodes: `outlast config rollback 5`\n";
    // Generation 8 was refused there, too.
    assert_eq!(way_back(9, &[line(Some(5), "the last goes"), line(Some(9), "")]), back);
    let text = way_back(9, &[line(Some(5), "error at haproxy.cfg:6:17: no log facility")]);
    assert!(text.starts_with("places of errors are those in the files of generation 9"), "{text}");
    assert!(text.ends_with(back), "{text}");
    assert_eq!(way_back(9, &[line(None, "changed by hand: haproxy.cfg")]), "");
    assert_eq!(way_back(9, &[line(Some(9), "")]), "");
    assert!(!has_place("cannot bind 10.0.0.1:80, port 80: in use since 12:30:15"));
    assert!(has_place("see outlast.toml:22:13."));
}

#[test]
fn a_store_that_pauses_after_the_commit_makes_what_is_known_late_and_not_an_error() {
    let line = |runs| {
        let applied = Applied { seen: 7, runs, ..Applied::default() };
        Line { node: "a".to_owned(), is_member: true, applied: runs.map(|_| applied) }
    };
    let away = || Err(GenerationError::Reach(ReachError::Refused("no majority".to_owned())));
    let told = |looks: &mut dyn FnMut() -> Result<Vec<Line>, GenerationError>, ends| {
        let (mut told, looked) = (vec![], std::cell::Cell::new(0));
        let look = || {
            looked.set(looked.get() + 1);
            looks()
        };
        let is_over = || looked.get() >= ends;
        let tell = |line: &Line| {
            told.push(line.text(7));
            Ok(())
        };
        let (lines, trouble) = settled(7, vec![line(None)], is_over, look, tell).unwrap();
        (lines[0].is_well(7), told, trouble.is_some())
    };
    let mut answers = vec![Ok(vec![line(Some(7))]), away(), away()];
    let text = vec!["a: runs generation 7".to_owned()];
    assert_eq!(told(&mut || answers.pop().unwrap(), 9), (true, text, false));
    // It does not come back within the wait: nobody said anything, and that is told.
    let text = vec!["a: has not said anything yet: away, or it has no store yet".to_owned()];
    assert_eq!(told(&mut || away(), 3), (false, text, true));
}

#[test]
fn a_change_that_is_dangerous_while_nodes_have_it_one_after_the_other_is_told() {
    let with = |name: &str, text: String| {
        let folder = Folder::new(name);
        folder.write("outlast.toml", &text);
        collect::folder(&folder.0).unwrap()
    };
    let detect = |time: &str| {
        let text =
            cluster("haproxy.cfg").replace("[node.a]", &format!("detect = \"{time}\"\n[node.a]"));
        with(&format!("detect-{time}"), text)
    };
    let told = |before: &Content, after: &Content| {
        let groups = collect::groups(before, after).unwrap();
        let mut out = vec![];
        write_groups(&mut out, &groups, 3).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines()
            .filter(|line| line.starts_with("caution: "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for (old, new, is_told) in
        [("1s", "10s", true), ("10s", "1s", true), ("1s", "3s", false), ("3s", "30s", false)]
    {
        let cautions = told(&detect(old), &detect(new));
        assert_eq!(
            cautions.iter().any(|text| text.contains("in steps")),
            is_told,
            "{old} {new} {cautions:?}"
        );
    }
    let refused = |old, new| {
        let groups = collect::groups(&detect(old), &detect(new)).unwrap();
        groups.iter().find_map(too_far)
    };
    assert_eq!(refused("1s", "3s"), None);
    let text = refused("10s", "300ms").unwrap();
    let steps =
        r#"apply it as "8100ms", then "2700ms", then "900ms" before (first detect = "8100ms")"#;
    assert!(text.contains(steps) && text.contains("nothing was committed"), "{text}");
    assert!(refused("300ms", "10s").unwrap().contains(r#""900ms", then "2700ms", then "8100ms""#));
    let moved = with("moved", cluster("haproxy.cfg").replace("127.0.0.4", "127.0.0.5"));
    let cautions = told(&with("still", cluster("haproxy.cfg")), &moved);
    assert!(cautions[0].contains("store process"), "{cautions:?}");
}
