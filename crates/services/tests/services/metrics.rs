use std::io::Write;
use std::process::{Command, Stdio};

use crate::fixture::{Face, darken, status};
use crate::stored::{coordinator, store};
use crate::thousand::with_computes;
use crate::until;

#[test]
fn every_metric_of_the_table_is_there_and_promtool_has_no_complaint() {
    let mut with_store = with_computes(1);
    with_store.store = Some(Box::new(store()));
    with_store.coordinator = coordinator();
    with_store.reference = vec![api::ReferenceLine {
        address: "10.79.0.1".to_owned(),
        network: "management".to_owned(),
        answers: true,
        age_ms: Some(120),
    }];
    let not_enforced = Some("no right".to_owned());
    let voted = api::LeaseState { votes: true, not_enforced, ..api::LeaseState::default() };
    with_store.vips[0].state.vip_lease = Some(voted);
    let face = Face::new(with_store);
    until("events are known", || face.get("/metrics").body.contains("outlast_events_total"));
    let text = face.get("/metrics").body;
    for family in outlast_services::FAMILIES {
        // Frontend rows of the fixture have all; what a proxy does not measure has no sample.
        assert!(text.contains(&format!("\n{}", family.name)), "{} is missing", family.name);
    }
    assert!(text.contains("outlast_network_alive{node=\"node02\",network=\"storage\"} 1\n"));
    assert!(text.contains("outlast_vip_lease_enforced{vip=\"internal\"} 0\n"), "{text}");
    assert!(
        text.contains("outlast_server_sessions_total{pool=\"mariadb\",server=\"node02\"} 3306")
    );
    assert!(text.contains("outlast_events_total{node=\"node01\",kind=\"writer-chosen\"} 1\n"));
    assert!(!text.contains("kind=\"vip-claimed\""), "a day old: no alarm of today");
    for kind in outlast_services::ALARMING {
        for node in ["node01", "node02", "node03"] {
            let line = format!("\noutlast_events_total{{node=\"{node}\",kind=\"{kind}\"}} 0\n");
            assert!(text.contains(&line), "{line}");
        }
    }
    assert!(text.contains("outlast_store_lag_entries{node=\"node03\"} 2\n"), "{text}");
    assert!(text.contains("outlast_store_votes{node=\"node04\"} 0\n"));
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        crate::skip(
            "every_metric_of_the_table_is_there_and_promtool_has_no_complaint",
            "no promtool",
        );
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn old_facts_are_left_out_rather_than_told_as_new() {
    let mut dark = status();
    darken(&mut dark, "node02");
    let face = Face::new(dark);
    let text = face.get("/metrics").body;
    assert!(text.contains("outlast_node_standing{node=\"node02\",standing=\"suspect\"} 1\n"));
    face.kill_agent();
    until("the facts are gone", || !face.get("/metrics").body.contains("outlast_node_standing"));
    let text = face.get("/metrics").body;
    assert!(text.contains("\noutlast_agent_up 0\n"), "{text}");
    assert!(text.contains("\noutlast_status_age_seconds "), "{text}");
    // The proxy is another process and goes on to count.
    assert!(text.contains("outlast_server_sessions{"), "{text}");
}

#[test]
fn the_page_of_the_metrics_is_that_of_the_table() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
    let written = outlast_services::page_of_metrics();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == written, "docs/reference/metrics.md is old: run with UPDATE_EXPECT=1");
}
