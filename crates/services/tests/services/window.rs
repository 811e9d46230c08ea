//! What the pages say in a maintenance window, and of a node that suspects itself.

use api::maintenance::{Planned, Window};
use api::{OwnDoubt, ReferenceLine, ServerCheck, Standing, Status, Verdict};

use crate::fixture::{Face, status};
use crate::pages::text;
use crate::until;

/// node03 is off, and its server with it.
fn harmed() -> Status {
    let mut status = status();
    let node = &mut status.nodes[2].state;
    (node.standing, node.opinion.verdict) = (Standing::Suspect, Verdict::Unreachable);
    node.cells.iter_mut().for_each(|cell| (cell.alive, cell.age_ms) = (false, Some(60_000)));
    let server = status.servers.iter_mut().find(|server| server.server == "node03").unwrap();
    server.check = ServerCheck::Down;
    status
}

/// Of node03 and of that server.
fn window(status: &Status) -> Planned {
    let server = status.servers.iter().find(|server| server.server == "node03").unwrap();
    Planned {
        window: Window {
            node: Some("node03".to_owned()),
            begin_ms: 0,
            end_ms: u64::MAX,
            who: "ann@desk".to_owned(),
            why: "new memory".to_owned(),
            by: String::new(),
        },
        nodes: vec!["node03".to_owned()],
        servers: vec![format!("{}/{}", server.proxy, server.server)],
    }
}

#[test]
fn in_a_window_the_pages_say_that_what_happens_is_planned_and_by_whom() {
    let face = Face::new(harmed());
    let planned = ["as planned", "planned", "in maintenance"];
    let front = text(&face.get("/").body);
    assert!(front.contains("node03 is silent on every network"), "{front}");
    for path in ["/", "/cluster", "/node/node03"] {
        let page = text(&face.get(path).body);
        assert!(planned.iter().all(|word| !page.contains(word)), "{path} before: {page}");
    }
    let is_bad = || face.get("/").body.contains("class=\"state bad\"");
    assert!(is_bad());

    face.tell(|story| story.status.planned = vec![window(&story.status)]);
    until("the window is on the front page", || {
        text(&face.get("/").body)
            .contains("node03 is silent on every network, as planned: new memory")
    });
    let cluster = text(&face.get("/cluster").body);
    assert!(cluster.contains("node03 unreachable, planned"), "{cluster}");
    assert!(!cluster.contains("node02 alive, planned"), "it is about node03: {cluster}");
    let own = text(&face.get("/node/node03").body);
    assert!(own.contains("in maintenance: new memory (ann@desk)"), "{own}");
    let other = text(&face.get("/node/node02").body);
    assert!(!other.contains("in maintenance"), "{other}");
    assert!(!is_bad(), "nobody has to do anything");

    face.tell(|story| story.status.planned.clear());
    until("the window is closed", || !text(&face.get("/").body).contains("as planned"));
    assert!(is_bad());
    assert!(!text(&face.get("/node/node03").body).contains("in maintenance"));
}

#[test]
fn windows_and_standby_are_metrics_that_alerts_can_be_put_aside_by() {
    let face = Face::new(harmed());
    let metrics = || face.get("/metrics").body;
    let well = metrics();
    let [window_closed, window_open] =
        ["outlast_node_planned{node=\"node03\"} 0\n", "outlast_node_planned{node=\"node03\"} 1\n"];
    assert!(well.contains(window_closed), "{well}");
    let pool = status().servers.iter().find(|server| server.server == "node03").unwrap().clone();
    let planned =
        |servers| format!("outlast_pool_servers_planned{{pool=\"{}\"}} {servers}\n", pool.proxy);
    assert!(well.contains(&planned(0)), "{well}");
    for node in ["node01", "node02", "node03"] {
        assert!(well.contains(&format!("outlast_node_duty{{node=\"{node}\"}} 0\n")), "{well}");
    }
    face.tell(|story| {
        story.status.planned = vec![window(&story.status)];
        // Its own, and what another one says of itself.
        story.status.duty = api::Duty::Standby;
        story.status.nodes[1].state.duty = api::Duty::Draining;
    });
    until("the window is told", || metrics().contains(window_open));
    let told = metrics();
    assert!(told.contains("outlast_node_planned{node=\"node02\"} 0\n"), "{told}");
    for (node, duty) in [("node01", 1), ("node02", 2), ("node03", 0)] {
        assert!(told.contains(&format!("outlast_node_duty{{node=\"{node}\"}} {duty}\n")), "{told}");
    }
    assert!(told.contains(&planned(1)), "{told}");
}

#[test]
fn a_node_that_suspects_itself_says_so_on_its_pages_and_in_its_metrics() {
    let face = Face::new(status());
    let metric = |reason, is| format!("outlast_suspects_itself{{reason=\"{reason}\"}} {is}");
    let metrics = face.get("/metrics").body;
    assert!(metrics.contains(&metric("own-quorum", 0)), "{metrics}");
    assert!(!text(&face.get("/").body).contains("suspects itself"));
    face.tell(|story| story.status.own_doubts = vec![OwnDoubt::OwnQuorum]);
    let words = "suspects itself and accuses nobody: it reaches no majority of the nodes";
    until("the front page says so", || text(&face.get("/").body).contains(words));
    let page = text(&face.get("/node/node01").body);
    assert!(page.contains(words), "{page}");
    assert!(!text(&face.get("/node/node02").body).contains("This node suspects itself"));
    let metrics = face.get("/metrics").body;
    for (reason, is) in [("own-timers", 0), ("own-links", 0), ("own-quorum", 1)] {
        assert!(metrics.contains(&metric(reason, is)), "{reason}: {metrics}");
    }
}

#[test]
fn reference_points_are_on_the_page_of_this_node_and_in_its_metrics() {
    let face = Face::new(status());
    assert!(!face.get("/metrics").body.contains("outlast_reference_answers{"));
    let line = |address: &str, answers| ReferenceLine {
        address: address.to_owned(),
        network: "management".to_owned(),
        answers,
        age_ms: Some(7000),
    };
    face.tell(|story| {
        story.status.reference = vec![line("10.79.0.1", true), line("10.79.0.2", false)];
        story.status.own_doubts = vec![OwnDoubt::OwnQuorum];
    });
    let words = "10.79.0.1 on management answers: its network works, rather the others are gone";
    until("the front page says so", || text(&face.get("/").body).contains(words));
    let page = text(&face.get("/node/node01").body);
    assert!(page.contains("10.79.0.2 on management has not answered for 7.0 s"), "{page}");
    assert!(!text(&face.get("/node/node02").body).contains("10.79.0.2"));
    let metrics = face.get("/metrics").body;
    for (address, is) in [("10.79.0.1", 1), ("10.79.0.2", 0)] {
        let metric = format!(
            "outlast_reference_answers{{address=\"{address}\",network=\"management\"}} {is}"
        );
        assert!(metrics.contains(&metric), "{metrics}");
    }
}
