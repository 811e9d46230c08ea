//! Who is told how virtual IPs stand.

use outlast_config::notify::{Fifo, Notify, Program};
use outlast_config::{Source, effective_fifos, effective_vips, keepalived, load};

fn program(words: &str, user: Option<(&str, Option<&str>)>) -> Option<Program> {
    Some(Program {
        command: words.split('|').map(str::to_owned).collect(),
        user: user.map(|(user, _)| user.to_owned()),
        group: user.and_then(|(_, group)| group).map(str::to_owned),
        secure: true,
    })
}

/// A file with these lines: what is told, the pipes, and the messages of the findings.
fn read(global: &str, lines: &str) -> (Notify, (Vec<Fifo>, bool), Vec<String>) {
    let [global, lines] = [global, lines].map(|text| text.replace(';', "\n "));
    let text = format!(
        "global_defs {{\n enable_script_security\n {global}\n}}\nvrrp_instance a {{\n interface eth0\n \
         virtual_router_id 1\n virtual_ipaddress {{\n 10.0.0.9\n }}\n {lines}\n}}\n"
    );
    let source = Source { path: "keepalived.conf".to_owned(), text };
    let (read, findings) = keepalived::parse(&source, 0);
    let vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
    let messages = findings.into_iter().map(|finding| finding.message).collect();
    (vips[0].notify.clone(), effective_fifos(Some(&read)), messages)
}

#[test]
fn each_state_has_its_program_and_whom_it_runs_as() {
    let lines = "notify_master \"/m 'one word' two\" nobody nogroup; notify_backup /b; notify_fault /f nobody; \
                 notify_stop \"/s\"; notify_master_rx_lower_pri /r; notify_deleted; notify \"/every one\"; notify_priority_changes";
    let (notify, fifos, messages) = read("script_user root daemon", lines);
    let root = Some(("root", Some("daemon")));
    let expected = Notify {
        every: program("/every|one", root),
        master: program("/m|one word|two", Some(("nobody", Some("nogroup")))),
        backup: program("/b", root),
        fault: program("/f", Some(("nobody", None))),
        stop: program("/s", root),
        deleted: None,
        weaker_rival: program("/r", root),
        says_deleted: true,
        priority_changes: true,
    };
    assert_eq!((notify, fifos, messages), (expected, (vec![], false), vec![]));
    let (notify, ..) = read("vrrp_notify_priority_changes", "notify_deleted /gone");
    let expected = Notify {
        deleted: program("/gone", None),
        says_deleted: true,
        priority_changes: true,
        ..Notify::default()
    };
    assert_eq!(notify, expected);
    let (notify, ..) = read("vrrp_notify_priority_changes", "notify_priority_changes off");
    assert_eq!(notify, Notify::default());
}

#[test]
fn pipes_have_an_owner_and_a_reader() {
    let global = "notify_fifo /run/all; notify_fifo_script \"/read all\" nobody; script_user root; \
                  vrrp_notify_fifo /run/vrrp nobody nogroup; fifo_write_vrrp_states_on_reload";
    let (_, fifos, messages) = read(global, "");
    let all = Fifo {
        path: "/run/all".to_owned(),
        user: Some("root".to_owned()),
        group: None,
        reader: program("/read|all", Some(("nobody", None))),
    };
    let vrrp = Fifo {
        path: "/run/vrrp".to_owned(),
        user: Some("nobody".to_owned()),
        group: Some("nogroup".to_owned()),
        reader: None,
    };
    assert_eq!((fifos, messages), ((vec![all, vrrp], true), vec![]));
    let (_, fifos, _) = read("vrrp_notify_fifo_script /read", "");
    assert_eq!(fifos, (vec![], false), "a reader without a pipe is none");
}

#[test]
fn what_is_told_twice_or_to_nobody_has_its_finding() {
    let said = "this was said before: the first counts".to_owned();
    let (notify, _, messages) = read("", "notify_master /one; notify_master /two");
    assert_eq!((notify.master, messages), (program("/one", None), vec![said.clone()]));
    let (_, fifos, messages) = read("notify_fifo /one; notify_fifo /two", "");
    assert_eq!((fifos.0[0].path.as_str(), messages), ("/one", vec![said]));
    for (lines, message) in [
        ("notify_master", "expected a command here"),
        ("notify_master \"\"", "expected a command, found ``"),
        ("notify /a b c d", "nothing is expected here, found `d`"),
        ("notify_priority_changes perhaps", "expected true or false, found `perhaps`"),
    ] {
        assert_eq!(read("", lines).2, [message], "{lines}");
    }
    let (_, _, messages) = read("notify_fifo pipe", "");
    assert_eq!(messages, ["expected a path that begins with `/`, found `pipe`"]);
}

#[test]
fn outlast_toml_names_one_program_for_all_states() {
    let text = "[cluster]\nname = \"c\"\n[node.one]\nnetworks = { m = \"10.0.0.1\" }\n[vip.a]\naddress = \"10.0.0.9\"\n\
                router_id = 1\nnotify = { script = [\"/changed\", \"it\"], user = \"nobody\", secure = true }\n";
    let file =
        |text: &str| load(vec![Source { path: "outlast.toml".to_owned(), text: text.to_owned() }]);
    let loaded = file(text);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let vips = effective_vips(loaded.cluster.as_ref(), None, Some(0), false, &|_| None).unwrap();
    let every = program("/changed|it", Some(("nobody", None)));
    assert_eq!(vips[0].notify, Notify { every, ..Notify::default() });
    for wrong in
        ["\"/changed\"", "{ script = [] }", "{ user = \"nobody\" }", "{ skript = [\"/c\"] }"]
    {
        let start = text.find("{ script").unwrap();
        assert!(file(&format!("{}{wrong}\n", &text[..start])).has_errors(), "{wrong}");
    }
}
