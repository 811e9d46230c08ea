//! Every scenario of the demo in a cloud of its own: facts (counts, holders, order) and ten times
//! the promised durations. Exact promises are the business of `cargo xtask demo` as root.

use lab::trial::{self, Line};

const OUTLAST: &str = env!("CARGO_BIN_EXE_outlast");

/// Runs one scenario; none where namespaces are forbidden.
fn run(test: &str, scenario: &str) -> Option<Line> {
    let trial = trial::run(OUTLAST, &["--scenario", scenario]);
    if let Some(reason) = trial.forbidden() {
        lab::skip::note(&format!("outlast::{test}"), reason);
        return None;
    }
    let line = trial.line().clone();
    line.assert_facts();
    Some(line)
}

/// A test per scenario, with what is particular about it.
macro_rules! scenarios {
    ($($test:ident: $scenario:literal, $facts:expr;)*) => {
        $(
            #[test]
            fn $test() {
                if let Some(line) = run(stringify!($test), $scenario) {
                    let facts: fn(&Line) -> bool = $facts;
                    assert!(facts(&line), "{line:?}");
                }
            }
        )*

        #[test]
        fn every_scenario_is_tested_here() {
            let mut outlast = std::process::Command::new(OUTLAST);
            let list = outlast.args(["demo", "--list", "--json"]).output().unwrap();
            assert!(list.status.success(), "a scenario has no numeric promise");
            let text = String::from_utf8(list.stdout).unwrap();
            let names: Vec<String> = text
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .map(|line| line["scenario"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(names, [$($scenario),*]);
        }
    };
}

scenarios! {
    a_killed_balancer_is_replaced_where_it_was: "balancer-killed",
        |line| line.holder_before == line.holder_after;
    a_frozen_balancer_is_noticed: "balancer-frozen", |line| line.requests > line.failed;
    a_killed_vip_process_leaves_one_holder: "vip-killed", |line| line.holder_after.is_some();
    a_killed_agent_costs_clients_nothing: "agent-killed",
        |line| line.holder_before == line.holder_after;
    a_killed_supervisor_leaves_one_holder: "supervisor-killed",
        |line| line.holder_before != line.holder_after;
    a_graceful_stop_moves_the_address_once: "graceful-stop",
        |line| line.moves == 1 && line.holder_before != line.holder_after;
    a_planned_move_moves_the_address_once: "planned-move",
        |line| line.moves == 1 && line.holder_before != line.holder_after;
    a_holder_on_standby_hands_over_and_takes_nothing_back: "standby",
        |line| line.moves == 1 && line.holder_before != line.holder_after;
    a_lost_holder_is_succeeded_once: "holder-power-off",
        |line| line.moves == 1 && line.holder_before != line.holder_after;
    a_holder_without_carrier_is_succeeded_once: "holder-link-down",
        |line| line.moves == 1 && line.holder_before != line.holder_after;
    a_killed_server_costs_no_request: "server-killed", |line| line.failed == 0;
    a_vanished_server_is_left_alone: "server-vanished", |line| line.outage_ms < 1000.0;
    a_frozen_server_fails_only_what_it_was_sent: "server-frozen",
        |line| line.failures.keys().all(|why| why == "HTTP 504");
    a_killed_database_never_means_two: "database-node-killed", |line| line.two_writers == 0;
    the_last_node_alone_carries_on: "two-nodes-lost", |line| line.moves == 1;
    a_node_that_returns_takes_nothing: "node-returns",
        |line| line.failed == 0 && line.holder_before != line.holder_after;
    two_nodes_that_return_take_nothing: "both-return", |line| line.failed == 0 && line.moves == 0;
    a_cold_start_has_one_holder_from_the_first_answer_on: "all-start-cold", |line| line.moves == 0;
}

#[test]
fn a_plain_user_sees_the_table_and_is_not_judged() {
    const TEST: &str = "outlast::a_plain_user_sees_the_table_and_is_not_judged";
    let _alone = trial::alone();
    let program = where_everybody_may_look();
    let mut command = std::process::Command::new(&program);
    as_plain_user(&mut command);
    let output = command.args(["demo", "--json", "--scenario", "server-killed"]).output().unwrap();
    std::fs::remove_file(program).unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if stderr.contains("cannot make namespaces") {
        return lab::skip::note(TEST, stderr.lines().last().unwrap_or_default());
    }
    let line: Line = serde_json::from_str(stdout.trim())
        .unwrap_or_else(|error| panic!("{error} in {stdout}; the demo said {stderr}"));
    assert_eq!(line.kept, None);
    assert!(line.requests > 0);
    assert!(output.status.success(), "{stderr}");
    for said in ["no real-time scheduling", "`chroot`", "nothing is judged"] {
        assert!(stderr.contains(said), "{said} in {stderr}");
    }
}

/// A copy of the executable: the build folder may be closed to a plain user.
fn where_everybody_may_look() -> std::path::PathBuf {
    let copy = std::env::temp_dir().join(format!("outlast-plain-{}", std::process::id()));
    std::fs::copy(OUTLAST, &copy).expect("the folder for temporary files can be written");
    copy
}

/// Root becomes `nobody` for it.
fn as_plain_user(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    if sys::rights::is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

#[test]
fn killing_the_demo_leaves_nothing_behind() {
    use std::io::{BufRead, BufReader};
    const TEST: &str = "outlast::killing_the_demo_leaves_nothing_behind";
    let _alone = trial::alone();
    let mut demo = std::process::Command::new(OUTLAST)
        .args(["demo", "--stay"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let up = lines.map_while(Result::ok).find(|line| line.contains("stays up until"));
    if up.is_none() {
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut demo.stderr.take().unwrap(), &mut stderr).unwrap();
        demo.wait().unwrap();
        assert!(stderr.contains("cannot make namespaces"), "{stderr}");
        return lab::skip::note(TEST, stderr.trim());
    }
    let family = descendants(demo.id());
    assert!(family.len() > 12, "a cloud has more processes than {family:?}");
    demo.kill().unwrap();
    demo.wait().unwrap();
    let alive = || family.iter().any(|pid| is_running(*pid));
    let deadline = sys::clock::now() + std::time::Duration::from_secs(10);
    while alive() {
        assert!(sys::clock::now() < deadline, "left behind: {family:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn descendants(pid: u32) -> Vec<u32> {
    let children = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = children
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .collect::<String>();
    let children: Vec<u32> =
        children.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    children.iter().flat_map(|child| std::iter::once(*child).chain(descendants(*child))).collect()
}

/// A zombie that nobody has reaped yet runs no more.
fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or_default().starts_with('Z'))
}
