use super::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/golden").join(name)
}

fn args(file: PathBuf) -> Args {
    Args { file, until: None, step: false, all: false, json: false }
}

/// What it returns, and what is shown, without the line that names the file.
fn shown(args: &Args, keys: &str) -> (Result<bool, String>, String) {
    let mut out = vec![];
    let outcome = run(args, &mut keys.as_bytes(), &mut out);
    let text = String::from_utf8(out).unwrap();
    let text = text.lines().filter(|line| !line.contains(": recorded on "));
    let text = text.map(|line| format!("{line}\n")).collect();
    (outcome.map_err(|error| base::Chain(&error).to_string()), text)
}

/// A copy with other bytes.
fn changed(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("outlast-replay-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("member-1.rec");
    let mut bytes = fs::read(golden("member-1.rec")).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn inputs_with_decisions_are_shown_with_the_rule_that_applied() {
    let (outcome, text) = shown(&args(golden("member-1.rec")), "");
    assert_eq!(outcome, Ok(true));
    expect_test::expect![[r#"
        nodes node01, node02, node03; networks management, storage
        00:16:41.120     1.120 s #39 time went on
          -> node03 counts as suspect: no beat for 1 s on any network (management: 1.0 s, storage: 1.0 s)
          -> node03 is suspect; rule silent-here: no beat on any network for the detection time; the others have two beat intervals to say whether they hear it
          -> beat on management
          -> beat on storage
        00:16:41.120     1.120 s #40 a beat of node02 on management, number 31
          -> node03 is unreachable; rule silent-everywhere: no beat on any network for the detection time, here and at everybody whom this node reaches, who are a majority: unreachable, which proves nothing and restarts nothing
        00:16:41.520     1.520 s #53 a beat of node03 on management, number 13
          -> node03 counts as alive: its beats are back
          -> node03 is alive; rule alive: one beat within the detection time on any network is life
        60 inputs, 5 decisions, 34 beats: decided as recorded
    "#]].assert_eq(&text);
}

#[test]
fn a_move_of_an_address_is_shown_with_its_causes() {
    let (outcome, text) = shown(&args(golden("vip-1.rec")), "");
    assert_eq!(outcome, Ok(true));
    expect_test::expect![[r#"
        nodes node01, node02, node03; networks management; virtual IPs internal
        00:16:40.520     0.520 s #7 vip/internal: time went on
          -> claim the addresses
          -> tell the neighbours (gratuitous ARP)
          -> advertise with priority 150
          -> tell the other nodes: holder, could hold, priority 150, term 1
          -> now holder: nobody advertised for the master-down interval; term 1, node02 would be named
        00:16:41.500     1.500 s #21 vip/internal: an operator moves the address to node02
          -> let go of the addresses
          -> say goodbye: an advert with priority 0
          -> name node02 as the next holder, in term 2
          -> tell the other nodes: backup, could hold, priority 150, term 2
          -> now backup: an operator moved it to another node; term 2, node02 would be named
        26 inputs, 6 decisions, 12 hellos and adverts: decided as recorded
    "#]].assert_eq(&text);
}

#[test]
fn a_coordinator_is_shown_with_what_was_asked_committed_and_ordered() {
    let (outcome, text) = shown(&args(golden("coordinator-1.rec")), "");
    assert_eq!(outcome, Ok(true));
    for line in [
        "question 1: drain node/node02 for uid 0 (pid 812) on node02\n  -> commit 1: put intent/",
        "  -> order node02: drain node/node02 (step 0 of intent 1, token 1)\n",
        "  -> answer question 2: refused, intent 1 about node/node02 is under way\n",
        "  -> act no more: the store knows a later coordinator\n",
    ] {
        assert!(text.contains(line), "{line:?} in\n{text}");
    }
    let last = text.lines().last().unwrap_or_default();
    assert!(last.ends_with(" decisions: decided as recorded"), "{last}");
}

#[test]
fn verdicts_of_the_gossip_are_shown_with_their_cases() {
    let (outcome, text) = shown(&args(golden("gossip-1.rec")), "");
    assert_eq!(outcome, Ok(true));
    let case = "a case about node03: a majority of the controllers asked it and had no answer";
    let at = text.find(case).expect("it is shown");
    assert!(text[at..].contains("  -> node03 is unreachable; rule unanswered: "), "{text}");
}

#[test]
fn everything_is_shown_when_asked_for_and_until_a_moment_when_told() {
    let mut args = Args { all: true, ..args(golden("member-1.rec")) };
    let (_, whole) = shown(&args, "");
    args.until = Some(Until::Span(Duration::from_millis(500)));
    let (outcome, begin) = shown(&args, "");
    assert_eq!(outcome, Ok(true));
    let steps = |text: &str| text.lines().filter(|line| line.contains(" s #")).count();
    assert!(steps(&begin) > 10 && steps(&begin) * 2 < steps(&whole), "{begin}");
    let (inputs, _result) = begin.trim_end().rsplit_once('\n').unwrap();
    assert!(whole.starts_with(inputs), "{begin}");
    assert!(begin.contains(" -> beat on management"), "{begin}");
    assert!(!begin.contains("cut off or damaged"), "what was not asked for is not torn: {begin}");
}

#[test]
fn a_decision_that_was_another_is_shown_with_both_and_fails() {
    let (outcome, text) = shown(&args(golden("differs-1.rec")), "");
    assert_eq!(outcome, Ok(false));
    expect_test::expect![[r#"
        nodes node01, node02, node03; networks management, storage
        00:00:00.400     0.400 s #2 time went on
          recorded: nothing
          replayed: beat on management
          replayed: beat on storage
        3 inputs, 0 decisions, 4 beats: 1 decided otherwise, the first is #2
    "#]]
    .assert_eq(&text);
}

#[test]
fn programs_get_a_line_per_step_and_the_result() {
    let (outcome, text) = shown(&Args { json: true, ..args(golden("differs-1.rec")) }, "");
    assert_eq!(outcome, Ok(false));
    expect_test::expect![[r#"
        {"number":2,"at_ms":400,"since_ms":400,"input":"time went on","recorded":[],"replayed":["beat on management","beat on storage"],"is_same":false}
        {"inputs":3,"decisions":0,"beats":4,"differing":1,"first_difference":2,"torn_bytes":0}
    "#]].assert_eq(&text);
}

#[test]
fn step_by_step_it_waits_for_keys_and_ends_with_q() {
    let stepped = Args { step: true, ..args(golden("member-1.rec")) };
    let (_, text) = shown(&stepped, "\nq\n");
    assert_eq!(text.lines().filter(|line| line.contains(" s #")).count(), 2, "{text}");
    let (_, text) = shown(&stepped, "");
    assert_eq!(text, shown(&args(golden("member-1.rec")), "").1, "without keys it does not wait");
}

#[test]
fn a_file_that_was_cut_off_is_played_up_to_there() {
    let path = changed("torn", |bytes| bytes.truncate(bytes.len() - 5));
    let (outcome, text) = shown(&args(path.clone()), "");
    assert_eq!(outcome, Ok(true));
    assert!(text.contains(" bytes are cut off or damaged and were not played\n"), "{text}");
    let (outcome, _) = shown(&args(path.parent().unwrap().to_owned()), "");
    assert_eq!(outcome, Ok(true), "a folder is its files");
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn what_cannot_be_played_is_told_by_name() {
    type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
    let rows: [(&str, Change<'_>, &str); 4] = [
        ("newer", &|bytes| bytes[7] = 200, "the recording has format 200, this program reads 1"),
        ("head", &|bytes| bytes.truncate(100), "the first block is cut off or damaged"),
        ("other", &|bytes| *bytes = b"[cluster]\n".to_vec(), "this is no recording of outlast"),
        ("empty", &|bytes| bytes.clear(), "the first block is cut off or damaged"),
    ];
    for (name, change, expected) in rows {
        let path = changed(name, change);
        let (outcome, text) = shown(&args(path.clone()), "");
        let error = outcome.unwrap_err();
        assert!(error.contains("cannot play ") && error.contains(expected), "{error}");
        assert_eq!(text, "", "{name}");
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
    let folder = golden("member-1.rec").parent().unwrap().join("..");
    let (outcome, _) = shown(&args(folder), "");
    assert!(outcome.unwrap_err().contains(
        "none of its files is named member-*.rec, gossip-*.rec, vip-*.rec or coordinator-*.rec"
    ));
    let (outcome, _) = shown(&args("/nowhere/x.rec".into()), "");
    assert!(outcome.unwrap_err().starts_with("cannot read /nowhere/x.rec: "));
}

#[test]
fn moments_are_seconds_or_times_of_day() {
    let rows = [
        ("12.5", Some(Until::Span(Duration::from_millis(12_500)))),
        ("14:03:05", Some(Until::TimeOfDay(Duration::from_secs(50_585)))),
        ("00:00:00.120", Some(Until::TimeOfDay(Duration::from_millis(120)))),
        ("24:00:00", None),
        ("12:60:00", None),
        ("12:00", None),
        ("-1", None),
        ("soon", None),
    ];
    for (text, expected) in rows {
        assert_eq!(until(text).ok(), expected, "{text}");
    }
    // Half a minute before midnight.
    let begin = 3 * DAY - 30_000;
    let after = |text: &str| until(text).unwrap().after(begin).as_secs();
    assert_eq!([after("23:59:40"), after("00:00:30")], [10, 60]);
}
