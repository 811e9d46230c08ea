//! The alert rules and the Grafana dashboard, loaded into the real Prometheus.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::fixture::{Face, ask, event};
use crate::stored::{coordinator, store};
use crate::thousand::with_computes;
use crate::{skip, until};

fn share() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../share")
}

fn dashboard() -> Value {
    let text = std::fs::read_to_string(share().join("grafana/outlast.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every query of the dashboard, as Grafana sends it.
fn queries() -> Vec<String> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().clone();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries = targets.map(|target| target["expr"].as_str().unwrap());
    queries.map(|query| query.replace("$__rate_interval", "1m")).collect()
}

/// Words of a query that begin as our metrics do.
fn metrics(query: &str) -> impl Iterator<Item = &str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    query.split(word).filter(|word| word.starts_with("outlast_"))
}

#[test]
fn dashboard_and_rules_name_only_metrics_that_exist_and_use_the_important_ones() {
    let known: BTreeSet<&str> =
        outlast_services::FAMILIES.iter().map(|family| family.name).collect();
    let rules = std::fs::read_to_string(share().join("prometheus/outlast-alerts.yml")).unwrap();
    let mut used = BTreeSet::new();
    let queries = queries();
    for text in queries.iter().map(String::as_str).chain([rules.as_str()]) {
        for name in metrics(text) {
            assert!(known.contains(name), "there is no metric {name}");
            used.insert(name.to_owned());
        }
    }
    assert!(queries.len() >= 20, "{}", queries.len());
    for name in known {
        let details = ["outlast_dashboard_followers", "outlast_configuration_generation"];
        let counted = name.ends_with("_total") || name.contains("_backend_");
        let state = ["outlast_server_state", "outlast_server_suspect"].contains(&name);
        assert!(
            used.contains(name) || counted || state || details.contains(&name),
            "{name} is unused"
        );
    }
}

#[test]
fn the_alert_rules_fire_when_they_should_and_not_before() {
    let rules = share().join("prometheus");
    for words in [["check", "outlast-alerts.yml"], ["test", "outlast-alerts-test.yml"]] {
        let output = Command::new("promtool")
            .args([words[0], "rules", words[1]])
            .current_dir(&rules)
            .output();
        let Ok(output) = output else {
            skip("the_alert_rules_fire_when_they_should_and_not_before", "no promtool");
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

/// A Prometheus of its own, in a folder of its own.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Prometheus {
    /// None: not installed here.
    fn scraping(target: SocketAddr) -> Option<Self> {
        let folder =
            std::env::temp_dir().join(format!("outlast-prometheus-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let rules = share().join("prometheus/outlast-alerts.yml").canonicalize().unwrap();
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n  - job_name: outlast\n    static_configs: [{{ targets: ['{target}'] }}]\n",
            rules.display()
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--storage.tsdb.retention.time=1h"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "prometheus ended");
            // The kernel chose the port; the log says which.
            if let Some(rest) = line.split("msg=\"Listening on\" address=").nth(1) {
                break rest.split_whitespace().next().unwrap().parse().unwrap();
            }
        };
        // What it says later must go somewhere.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(Self { child, address, folder })
    }

    fn get(&self, path: &str) -> Value {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        let reply = ask(self.address, &request);
        serde_json::from_str(&reply.body).unwrap_or(Value::Null)
    }

    fn query(&self, query: &str) -> Value {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.get(&format!("/api/v1/query?query={escaped}"))
    }

    /// Names of alerts that fire.
    fn firing(&self) -> BTreeSet<String> {
        let alerts = self.get("/api/v1/alerts");
        let alerts = alerts["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing
            .filter_map(|alert| alert["labels"]["alertname"].as_str().map(str::to_owned))
            .collect()
    }
}

#[test]
fn the_real_prometheus_reads_the_metrics_answers_every_query_of_grafana_and_fires() {
    let mut with_store = with_computes(1);
    with_store.store = Some(Box::new(store()));
    with_store.coordinator = coordinator();
    let face = Face::new(with_store);
    let Some(prometheus) = Prometheus::scraping(face.address) else {
        let name = "the_real_prometheus_reads_the_metrics_answers_every_query_of_grafana_and_fires";
        skip(name, "no prometheus");
        return;
    };
    let has = |query: &str| {
        let answer = prometheus.query(query);
        !answer["data"]["result"].as_array().is_none_or(Vec::is_empty)
    };
    // A rate needs two samples.
    until("two scrapes", || has("count_over_time(outlast_agent_up[1m]) > 2"));
    // What is shown only where something happens: an event, a restart, errors of a server.
    let again = event("node01", "reloaded", "node/node01", "SIGHUP", "configuration 3 is in use");
    face.happen(again, |status| status.processes[3].starts += 1);
    face.tell(|story| {
        story.statistics = story.statistics.replacen(",,0,0,0,0,UP,2,", ",,5,0,0,0,UP,2,", 1);
    });
    for query in queries() {
        let answer = prometheus.query(&query);
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        until(&format!("a result of {query}"), || has(&query));
    }
    assert_eq!(prometheus.firing(), BTreeSet::new(), "all is well");
    face.tell(|story| {
        story.status.vips[0].holders.clear();
        story.status.vips[0].state.holding = false;
        story.status.balancer = api::BalancerState::Failed;
        for server in &mut story.status.servers[..3] {
            server.check = api::ServerCheck::Down;
        }
    });
    let expected =
        ["OutlastBalancerFailed", "OutlastPoolWithoutServer", "OutlastVirtualIpWithoutHolder"];
    until("the alerts fire", || prometheus.firing().iter().eq(expected));
    face.kill_agent();
    until("the silence is told", || prometheus.firing().contains("OutlastAgentStale"));
}
