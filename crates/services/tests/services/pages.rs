use api::{ServerCheck, Standing};
use serde_json::Value;

use crate::fixture::{Face, darken, event, status};
use crate::stored::{coordinator, store};
use crate::until;

/// Text of a page without tags, blanks in a row as one.
pub(crate) fn text(html: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => {
                inside = true;
                out.push(' ');
            }
            '>' if inside => inside = false,
            other if !inside => out.push(other),
            _ => {}
        }
    }
    out.replace("&lt;", "<").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of one row of the table of nodes.
fn row(face: &Face, node: &str) -> String {
    let page = face.get("/").body;
    let begin = page.find(&format!("<tr id=\"node-{node}\"")).unwrap();
    let end = page[begin..].find("</tr>").unwrap() + begin;
    text(&page[begin..end])
}

/// S2-065..068: the document's table, its three rows, and a fault that comes and goes.
#[test]
fn the_table_of_the_document_is_shown_with_its_rows() {
    let face = Face::new(status());
    let page = text(&face.get("/").body);
    let columns = "Node CPU Memory manager network storage network business network FC storage \
                   Server SAN";
    assert!(page.contains(columns), "{page}");
    assert_eq!(
        row(&face, "node03"),
        "✓ node03 50 % 64 % ✓ ok < 1 s ✓ ok < 1 s ✓ ok < 1 s ✓ ok 2 of 2 – not watched"
    );
    let before = row(&face, "node01");
    face.happen(event("node01", "node-alive", "node/node01", "", ""), |status| {
        let node01 = &mut status.nodes[0];
        node01.load.as_mut().unwrap().cpu_percent = 98;
        node01.load.as_mut().unwrap().memory_percent = 13;
        node01.state.cells[0].alive = false;
        node01.state.cells[0].age_ms = Some(5000);
        let node02 = &mut status.nodes[1];
        node02.load.as_mut().unwrap().memory_percent = 84;
        node02.state.cells[2].alive = false;
        node02.state.cells[2].age_ms = Some(200_000);
    });
    let row1 = "✓ node01 this node holds internal 98 % ! 13 % ✗ silent 5 s ✓ ok < 1 s ✓ ok < 1 s \
                ✓ ok 2 of 2 – not watched";
    until("the first row of the document", || row(&face, "node01") == row1);
    let row2 = "✓ node02 12 % 84 % ✓ ok < 1 s ✓ ok < 1 s ✗ silent 3 min ✓ ok 2 of 2 – not watched";
    assert_eq!(row(&face, "node02"), row2);
    let well = status();
    face.happen(event("node01", "node-alive", "node/node01", "", ""), |status| *status = well);
    until("the row is as before", || row(&face, "node01") == before);
}

#[test]
fn one_sentence_says_what_is_wrong_the_worst_first() {
    let line = |face: &Face| {
        let page = face.get("/").body;
        let begin = page.find("<p class=\"line\">").unwrap();
        text(&page[begin..begin + page[begin..].find("</p>").unwrap()])
    };
    let face = Face::new(status());
    assert_eq!(line(&face), "✓ All well");
    let shows = |change: fn(&mut api::Status), expected: &str| {
        let mut changed = status();
        change(&mut changed);
        face.tell(|story| story.status = changed);
        until(expected, || line(&face) == expected);
    };
    shows(|status| darken(status, "node02"), "✗ node02 is silent on every network");
    shows(
        |status| status.vips[0].holders = vec!["node01".into(), "node02".into()],
        "✗ node01 and node02 both hold the address internal",
    );
    shows(
        |status| {
            status.vips[0].holders.clear();
            status.vips[0].state.holding = false;
        },
        "✗ Nobody holds the address internal",
    );
    shows(
        |status| status.servers[0].check = ServerCheck::Down,
        "! rabbitmq_management has 2 of 3 servers",
    );
    shows(
        |status| {
            for server in &mut status.servers[..3] {
                server.check = ServerCheck::Down;
            }
            status.nodes[2].state.standing = Standing::Left;
        },
        "✗ rabbitmq_management has no server left",
    );
    shows(
        |status| status.balancer = api::BalancerState::Failed,
        "✗ The balancer of node01 does not serve",
    );
    shows(
        |status| status.processes[1].running = false,
        "! The vip process of node01 is not running",
    );
}

#[test]
fn every_link_of_every_page_leads_somewhere_and_has_a_twin() {
    let face = Face::new(status());
    let mut open = vec!["/".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let reply = face.get(&path);
        assert_eq!(reply.status, 200, "{path}");
        if reply.header("content-type").unwrap().starts_with("text/html") {
            for attribute in ["href=\"", "src=\""] {
                for rest in reply.body.split(attribute).skip(1) {
                    let link = rest.split('"').next().unwrap();
                    if !link.starts_with('#') {
                        assert!(link.starts_with('/'), "{path} leads outside: {link}");
                        open.push(link.to_owned());
                    }
                }
            }
        }
    }
    let expected =
        ["/vip/internal", "/pool/mariadb", "/node/node02", "/cluster", "/events", "/metrics"];
    for path in expected {
        assert!(seen.contains(path), "nothing leads to {path}: {seen:?}");
    }
    assert!(seen.contains("/pool/glance_api.json"), "twins are linked");
}

/// htmx looks at the page as soon as its own file has run: an extension in a file that comes later
/// is not asked, and the page is not live.
#[test]
fn the_live_stream_does_not_depend_on_which_script_comes_first() {
    let face = Face::new(status());
    let page = face.get("/").body;
    let scripts: Vec<String> = page
        .split("<script src=\"")
        .skip(1)
        .map(|rest| face.get(rest.split('"').next().unwrap()).body)
        .collect();
    let with = |text: &str| scripts.iter().position(|script| script.contains(text));
    let extension = with("registerExtension(\"sse\"").expect("the stream has a script");
    assert_eq!(with("DOMContentLoaded"), Some(extension), "both are one file");
}

#[test]
fn the_twin_says_the_same_to_programs() {
    let face = Face::new(status());
    let twin = |path: &str| -> Value { serde_json::from_str(&face.get(path).body).unwrap() };
    let index = twin("/index.json");
    assert_eq!(index["stale"], false);
    assert_eq!(index["status"]["nodes"][2]["load"]["cpu_percent"], 50);
    assert_eq!(index["troubles"], Value::Array(vec![]));
    assert_eq!(twin("/vip/internal.json")["vip"]["holders"][0], "node01");
    assert_eq!(twin("/vip/internal.json")["why"]["object"], "vip/internal");
    let cluster = twin("/cluster.json");
    assert_eq!(cluster["nodes"][1]["state"]["opinion"]["verdict"], "alive");
    assert_eq!(cluster["vips"][0]["state"]["term"], 7);
    assert_eq!((&cluster["generation"], &cluster["store"]), (&Value::from(2), &Value::Null));
    assert_eq!(twin("/node/node02.json")["why"]["history"][1]["networks"][0], "storage");
    let pool = twin("/pool/glance_api.json");
    assert_eq!(pool["servers"][1]["server"], "node02");
    assert_eq!(pool["counters"][1]["stot"], 9292);
    assert_eq!(twin("/node/node01.json")["processes"][0]["role"], "supervisor");
    until("events are known", || twin("/events.json")["events"][0]["what"] == "vip-claimed");
    assert_eq!(face.get("/vip/internal.json").header("content-type"), Some("application/json"));
}

#[test]
fn an_object_tells_why_it_is_as_it_is() {
    let face = Face::new(status());
    let page = text(&face.get("/vip/internal").body);
    for part in [
        "vip/internal is as it should be",
        "node01 sends adverts with priority 103 < 1 s ago",
        "The rule the node that holds the address keeps it",
        "no advert for 3.6 s: node02 claims it",
        "vip-claimed",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
}

#[test]
fn a_virtual_ip_shows_how_late_the_vip_process_is_and_how_often() {
    let face = Face::new(status());
    let page = face.get("/vip/internal").body;
    let said = "How late the vip process of node01 is of the last 60000 times that something was due, half were at most \
                0.01 ms late, 99 in 100 0.08 ms, 999 in 1000 0.08 ms, all 3.45 ms";
    assert!(text(&page).contains(said), "{}", text(&page));
    // The most frequent one is as high as the picture, one in 60,000 is still seen.
    for bar in [
        r#"<rect x="8" y="0" width="2" height="24"/>"#,
        r#"<rect x="26" y="9" width="2" height="15"/>"#,
        r#"<rect x="72" y="23" width="2" height="1"/>"#,
    ] {
        assert!(page.contains(bar), "{bar} is missing: {page}");
    }
}

#[test]
fn a_virtual_ip_shows_how_much_of_its_vip_lease_is_left() {
    let mut status = status();
    status.vips[0].state.vip_lease =
        Some(api::LeaseState { votes: true, ..api::LeaseState::default() });
    let page = text(&Face::new(status).get("/vip/internal").body);
    let said = "Left of it 0.4 s ago 28.31 ms of it were left, never less than 21.00 ms in the second before";
    assert!(page.contains(said), "{page}");
}

#[test]
fn a_virtual_ip_shows_its_last_moves_and_what_each_stage_took() {
    let face = Face::new(status());
    let moved = |what: &str, from: Option<&str>, term, answer_us| {
        let took = api::Took { answer_us, ..crate::stored::took() };
        let (from, to) = (from.map(str::to_owned), "node01".to_owned());
        let moved = api::Moved { from, to, cause: Some(api::VipCause::Expired), term, took };
        let moved = Some(Box::new(moved));
        api::Event { moved, ..event("node01", what, "vip/internal", "gone", "") }
    };
    face.happen(moved("vip-claimed", None, 6, None), |_| {});
    face.happen(moved("vip-claimed", Some("node02"), 7, None), |_| {});
    face.happen(moved("vip-answers", Some("node02"), 7, Some(1200)), |_| {});
    let mut page = String::new();
    until("the moves are known", || {
        page = text(&face.get("/vip/internal").body);
        page.contains("Last moves") && page.contains("1.20 ms")
    });
    let (_, moves) = page.split_once("Last moves").unwrap();
    let (moves, _) = moves.split_once("What that rests on").unwrap();
    let head = "When From To Because detection decision address ARP first answer";
    let because = "node01 what it had granted another node ended 46.13 ms 0.70 ms 0.31 ms 0.09 ms";
    for part in [head, &format!("node02 {because} 1.20 ms"), &format!("– {because} –")] {
        assert!(moves.contains(part), "{part} is missing: {moves}");
    }
    assert_eq!(moves.matches("46.13 ms").count(), 2, "one line for each move: {moves}");
}

#[test]
fn a_virtual_ip_shows_who_is_next_in_line_and_who_was_told_of_its_moves() {
    let face = Face::new(status());
    let page = text(&face.get("/vip/internal").body);
    for part in [
        "Next in line node01 holds it, node02 is next, node03 after that",
        "Who was told node03 tells. ! chat: it answers 503 Later When What ops chat",
        "vip/internal moved from node02 to node01 ✓ told 2023-11-14 22:13:21",
        "! waits , tried 3×",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    face.happen(event("node01", "standby-began", "node/node02", "", ""), |status| {
        darken(status, "node02");
        status.vips[0].successor = None;
        status.notify = None;
    });
    until("the next one is next", || {
        let page = text(&face.get("/vip/internal").body);
        page.contains("node02 is not heard, node03 is next") && !page.contains("Who was told")
    });
}

#[test]
fn a_nodes_page_has_evidence_by_kind_and_the_verdicts_of_before() {
    let face = Face::new(status());
    let page = text(&face.get("/node/node02").body);
    let evidence = "view node03 hears it < 1 s ago which nodes a node hears on which network, as its beats \
                    say; counts while it is said view node01 hears it < 1 s ago";
    for part in [
        evidence,
        "When Verdict Rule Evidence of that moment",
        "! cut off on storage cut-off view: node03 does not hear it on storage; own reach:",
        "✓ alive alive beat: manager: its last beat",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    let newest = page.find("cut off on storage").unwrap();
    assert!(newest < page.find("beat: manager").unwrap(), "the newest stands first");
    let other = text(&face.get("/node/node03").body);
    assert!(other.contains("No verdict on it is known since the agent of node01 started."));
    let own = text(&face.get("/node/node01").body);
    assert!(!own.contains("Verdicts on it"), "{own}");
}

#[test]
fn the_page_of_the_cluster_has_nodes_by_networks_terms_and_says_that_there_is_no_store() {
    let face = Face::new(status());
    let page = text(&face.get("/cluster").body);
    for part in [
        "Node Verdict Rule manager network storage network business network Holds",
        "✓ node01 this node alive – none ✓ ok < 1 s ✓ ok < 1 s ✓ ok < 1 s internal",
        "– no store is configured",
        "vip/internal node01 7 node02",
        "pool/mariadb node01 3 node01",
        "Of this node generation 2 supervisor generation 1",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    face.tell(|story| {
        let opinion = &mut story.status.nodes[2].state.opinion;
        opinion.verdict = api::Verdict::CutOff;
        opinion.networks = vec!["storage".to_owned()];
        opinion.rule = "cut-off".to_owned();
        story.status.vips[0].holders.clear();
    });
    until("the verdict and its rule", || {
        text(&face.get("/cluster").body).contains("! node03 cut off on storage cut-off ✓ ok")
    });
    assert!(text(&face.get("/cluster").body).contains("vip/internal nobody 7 node02"));
    face.tell(|story| {
        let (role, running, generation, starts) = (api::Role::Store, true, 2, 1);
        let store = api::ProcessState { role, pid: 1300, running, generation, starts };
        story.status.processes.push(store);
    });
    until("its store", || {
        let page = text(&face.get("/cluster").body);
        page.contains("the store's process of this node: ✓ running")
            && !page.contains("no store is")
    });
    face.tell(|story| {
        story.status.store = Some(Box::new(store()));
        story.status.coordinator = coordinator();
    });
    until("its facts", || {
        let page = text(&face.get("/cluster").body);
        [
            "Leader node01, term 4",
            "entry 812, committed 811, applied here 811",
            "node03 coordinates under token 31, seen here for",
            "orders of former coordinators refused here: 2",
            "node01 leads 0 node03 votes 2 node04 is filled up, no vote yet 772",
        ]
        .iter()
        .all(|part| page.contains(part))
    });
    assert!(!text(&face.get("/").body).contains("store has no leader"));
    face.tell(|story| {
        let store = story.status.store.as_mut().expect("it was told");
        (store.leader, store.trouble) = (None, Some("waits for node02".to_owned()));
    });
    until("that it has no leader", || {
        text(&face.get("/cluster").body)
            .contains("nobody: no majority, reads and writes wait It says waits for")
            && text(&face.get("/").body)
                .contains("store has no leader as seen from node01: no majority")
    });
}

#[test]
fn a_node_that_reaches_no_majority_says_so_on_the_first_page_and_on_that_of_the_cluster() {
    let face = Face::new(status());
    assert!(!text(&face.get("/").body).contains("no majority"));
    face.tell(|story| {
        let others = story.status.nodes.iter_mut().filter(|line| line.state.node != "node01");
        others.for_each(|line| line.state.standing = Standing::Suspect);
    });
    until("it says so", || {
        let (first, cluster) = (face.get("/").body, face.get("/cluster").body);
        text(&first).contains("no majority: node01 reaches 1 of 3 controllers")
            && text(&cluster).contains("no majority: 1 of 3 controllers are reached")
    });
}

#[test]
fn what_is_not_there_is_a_404_in_its_own_form() {
    let face = Face::new(status());
    for path in ["/vip/none", "/pool/none", "/node/none", "/nothing", "/assets/none", "/pool/%ff"] {
        assert_eq!(face.get(path).status, 404, "{path}");
    }
    let twin = face.get("/vip/none.json");
    assert_eq!(twin.status, 404);
    assert!(serde_json::from_str::<Value>(&twin.body).unwrap()["error"].is_string());
}

#[test]
fn names_and_texts_of_others_are_no_markup() {
    let mut status = status();
    let evil = "<script>alert(1)</script>\"'&";
    status.servers[0].why = evil.to_owned();
    status.nodes[0].state.node = evil.to_owned();
    status.vips[0].name = evil.to_owned();
    let face = Face::new(status);
    face.happen(event("node01", "vip-claimed", evil, evil, evil), |_| {});
    for path in ["/", "/events", "/pool/rabbitmq_management"] {
        let page = face.get(path).body;
        assert!(!page.contains("<script>"), "{path}");
        assert!(!page.contains("alert(1)</script>"), "{path}");
    }
}

#[test]
fn a_dead_agent_leaves_the_last_picture_and_says_how_old_it_is() {
    let face = Face::new(status());
    assert!(text(&face.get("/").body).contains("All well"));
    face.kill_agent();
    until("the page is stale", || face.get("/").body.contains("class=\"state stale\""));
    let page = text(&face.get("/").body);
    assert!(page.contains("No news from the agent of node01 for"), "{page}");
    assert!(page.contains("Everything below is what was last known"), "{page}");
    assert!(page.contains("node03 50 % 64 %"), "the last picture stays: {page}");
    assert_eq!(face.get("/vip/internal").status, 200);
    let twin: Value = serde_json::from_str(&face.get("/index.json").body).unwrap();
    assert_eq!(twin["stale"], true);
    assert!(twin["age_ms"].as_u64().unwrap() >= 2000);
    face.tell(|story| story.is_answering = true);
    until("the page is well again", || face.get("/").body.contains("class=\"state well\""));
}

#[test]
fn an_agent_that_never_answered_is_said_at_once() {
    let face = Face::silent(status());
    let page = text(&face.get("/").body);
    assert!(page.contains("The agent of node01 does not answer"), "{page}");
    assert_eq!(face.get("/index.json").status, 503);
}
