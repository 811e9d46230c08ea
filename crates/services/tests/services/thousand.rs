//! A thousand compute nodes: nothing that is served grows with them, whatever befalls them.

use api::{Cell, Duty, Load, NodeLine, NodeState, Opinion, Standing, Status, Verdict};

use crate::fixture::{Face, status};
use crate::pages::text;

/// Bytes of a page on which 20 compute nodes and three controllers have a line.
const PAGE: usize = 96_000;
/// Bytes of a page of 100 nodes.
const LEAF: usize = 256_000;
/// Bytes and samples that compute nodes add to the metrics where 100 of them have series, on three networks.
const METRICS: (usize, usize) = (128_000, 1_714);
/// The same where all of very many are well: they are counted.
const WELL: (usize, usize) = (1_500, 14);

/// Three controllers, and so many compute nodes that are well.
pub(crate) fn with_computes(count: usize) -> Status {
    let mut status = status();
    let cell = |name: &String| Cell { network: name.clone(), alive: true, age_ms: Some(120) };
    let cells: Vec<_> = status.networks.iter().map(cell).collect();
    status.nodes.extend((1..=count).map(|number| NodeLine {
        state: NodeState {
            node: format!("cmp{number:04}"),
            standing: Standing::Alive,
            cells: cells.clone(),
            why: "it answered a probe".to_owned(),
            opinion: Opinion {
                verdict: Verdict::Alive,
                networks: vec![],
                rule: "answers-probes".to_owned(),
            },
            duty: Duty::On,
        },
        holds: vec![],
        load: Some(Load {
            cpu_percent: 12,
            memory_percent: 40,
            fibre_online: 2,
            fibre_ports: 2,
            age_ms: 900,
        }),
        compute: true,
        just_started: false,
    }));
    status
}

fn lose(line: &mut NodeLine) {
    line.state.standing = Standing::Suspect;
    line.state.opinion.verdict = Verdict::Unreachable;
    line.state.opinion.rule = "silent-everywhere".to_owned();
    line.state.why = "silent on every network for 1000 ms".to_owned();
    line.state.cells.iter_mut().for_each(|cell| cell.alive = false);
}

/// Whether these metrics have at most so many bytes and samples more than those of three controllers alone.
fn grew_by(metrics: &str, bound: (usize, usize)) -> bool {
    // Which events are known yet is a matter of moments.
    let counts = |line: &&str| !line.starts_with('#') && !line.starts_with("outlast_events_total");
    let size = |text: &str| {
        let samples = || text.lines().filter(counts);
        (samples().map(|line| line.len() + 1).sum::<usize>(), samples().count())
    };
    let (small, large) = (size(&Face::new(status()).get("/metrics").body), size(metrics));
    let grew = (large.0.saturating_sub(small.0), large.1.saturating_sub(small.1));
    eprintln!("{grew:?} bytes and samples more, {bound:?} at most");
    grew.0 <= bound.0 && grew.1 <= bound.1
}

#[test]
fn of_a_thousand_compute_nodes_pages_and_metrics_stay_as_small_as_of_a_hundred() {
    let face = Face::new(with_computes(1000));
    for path in ["/", "/cluster"] {
        let page = face.get(path).body;
        eprintln!("{path}: {} bytes", page.len());
        assert!(page.len() <= PAGE, "{path}");
        let words = "1000 of 1000 compute nodes alive, 1000 not listed: all nodes";
        assert!(text(&page).contains(words), "{path}: {}", text(&page));
        assert!(page.contains("href=\"/nodes\""), "{path} leads to the rest");
    }
    let metrics = face.get("/metrics").body;
    assert!(grew_by(&metrics, WELL));
    let all = "outlast_compute_nodes{verdict=\"alive\",planned=\"no\"} 1000\n";
    assert!(metrics.contains(all) && !metrics.contains("node=\"cmp0001\""), "{metrics}");

    // Half of them are lost, and all of the others are on standby: nobody is well.
    let mut lost = with_computes(1000);
    for (number, line) in lost.nodes.iter_mut().filter(|line| line.compute).enumerate() {
        if number < 500 {
            line.state.duty = Duty::Standby;
        } else {
            lose(line);
        }
    }
    face.tell(|story| story.status = lost);
    let words = "500 of 1000 compute nodes alive, 980 not listed";
    crate::until("it is told", || text(&face.get("/cluster").body).contains(words));
    for path in ["/", "/cluster"] {
        let page = face.get(path).body;
        eprintln!("{path}: {} bytes", page.len());
        assert!(page.len() <= PAGE, "{path}");
        assert!(page.contains("cmp0501") && !page.contains("cmp0001"), "{path}: the worst");
    }
    let metrics = face.get("/metrics").body;
    assert!(grew_by(&metrics, METRICS));
    for line in [
        "outlast_compute_nodes{verdict=\"unreachable\",planned=\"no\"} 500\n",
        "outlast_compute_nodes{verdict=\"alive\",planned=\"no\"} 500\n",
        "outlast_node_standing{node=\"cmp0501\",standing=\"suspect\"} 1\n",
        "outlast_node_standing{node=\"cmp0600\",standing=\"suspect\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    assert!(!metrics.contains("\"cmp0601\""), "the hundred that are worst off, no more");
}

#[test]
fn up_to_a_hundred_compute_nodes_each_have_their_series() {
    let face = Face::new(with_computes(100));
    let metrics = face.get("/metrics").body;
    assert!(grew_by(&metrics, METRICS));
    assert!(metrics.contains("outlast_node_cpu_ratio{node=\"cmp0100\"} 0.12\n"), "{metrics}");
    assert!(!metrics.contains("outlast_events_total{node=\"cmp0001\""), "it tells nobody here");
}

#[test]
fn all_nodes_have_their_pages_one_after_the_other() {
    let face = Face::new(with_computes(1000));
    let mut seen = 0;
    for number in 1..=11 {
        let path = if number == 1 { "/nodes".to_owned() } else { format!("/nodes/{number}") };
        let page = face.get(&path);
        eprintln!("{path}: {} bytes", page.body.len());
        assert_eq!((page.status, page.body.len() <= LEAF), (200, true), "{path}");
        seen += page.body.matches("<tr id=\"node-").count();
        assert_eq!(page.body.contains("rel=\"next\""), number < 11, "{path}");
        assert_eq!(page.body.contains("rel=\"prev\""), number > 1, "{path}");
        let twin = face.get(&format!("{path}.json")).body;
        let twin: serde_json::Value = serde_json::from_str(&twin).unwrap();
        let nodes = twin["nodes"].as_array().unwrap().len();
        assert_eq!(nodes, if number < 11 { 100 } else { 3 }, "{path}.json");
    }
    assert_eq!(seen, 1003);
    assert_eq!(face.get("/nodes/12").status, 404);
    let of_three = Face::new(status());
    assert_eq!(of_three.get("/nodes").status, 200);
    assert!(!of_three.get("/cluster").body.contains("href=\"/nodes\""), "all are there");
}
