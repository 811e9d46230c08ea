//! Moves of a virtual IP are told by mail and webhook, once each, whoever dies: real nodes, a real mail server, a real
//! web server.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use api::{Notification, NotificationFate, Notifying, WebhookBody};
use lab::cluster::{Cluster, Plan};
use lonely::{OUTLAST, contained, until};
use serde_json::Value;

const FOLDER: &str = "/run/lab";
const NODES: [&str; 3] = ["ctl1", "ctl2", "ctl3"];
/// Of whoever takes what is told, on the switch of the first network.
const OUTSIDE: &str = "10.79.0.9";

/// A program that takes mails or posts.
struct Receiver {
    kind: &'static str,
    file: PathBuf,
    more: Vec<String>,
    port: u16,
    child: Option<Child>,
}

impl Receiver {
    fn start(kind: &'static str, more: &[&str]) -> Self {
        let file = PathBuf::from(format!("/run/{kind}.jsonl"));
        let more = more.iter().map(|&word| word.to_owned()).collect();
        let mut receiver = Self { kind, file, more, port: 0, child: None };
        receiver.up();
        receiver
    }

    fn up(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/told/receivers.py");
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", packages()).env("PYTHONDONTWRITEBYTECODE", "1").arg(script);
        python.args([self.kind, &self.port.to_string()]).arg(&self.file).args(&self.more);
        let mut child = python.stdout(Stdio::piped()).spawn().expect("python3 is there");
        let mut line = String::new();
        let out = child.stdout.take().expect("it was asked for");
        BufReader::new(out).read_line(&mut line).expect("it says its port");
        self.port = line.trim().parse().expect("a port");
        self.child = Some(child);
    }

    fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it was started here");
            child.wait().expect("it ends");
        }
    }

    fn arrived(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("it wrote JSON")).collect()
    }

    /// Notifications by their names; a mail has one in its name.
    fn names(&self) -> Vec<String> {
        let name = |arrived: &Value| match self.kind {
            kind if kind.starts_with("smtp") => {
                let id = arrived["id"].as_str().expect("a name").trim_matches(['<', '>']);
                id.split('@').next().unwrap_or_default().to_owned()
            }
            _ => arrived["headers"]["Idempotency-Key"].as_str().expect("a name").to_owned(),
        };
        self.arrived().iter().map(name).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.down();
    }
}

/// Where `cargo xtask test` puts what Python's index has.
fn packages() -> PathBuf {
    let profile = Path::new(OUTLAST).parent().expect("a program lies in a folder");
    profile.parent().expect("a profile lies in a folder").join("python")
}

fn with_receivers(test: &'static str, body: impl FnOnce()) {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages()).args(["-c", "import aiosmtpd.controller"]);
    if python.output().is_ok_and(|output| output.status.success()) {
        return contained(test, body);
    }
    let reason = "aiosmtpd 1.4.6 is not there: python3 -m pip install --target target/python aiosmtpd==1.4.6";
    lab::skip::note(&format!("outlast::{test}"), reason);
}

fn laid_out(names: &[&str], lines: &str) -> Cluster {
    let plan = Plan {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        networks: ["mgmt", "storage"].map(str::to_owned).to_vec(),
        lines: format!(
            "detect = \"2s\"\n[vip.internal]\naddress = \"10.79.0.40\"\nnetwork = \"mgmt\"\nrouter_id = 121\n\
             check = \"none\"\n{lines}"
        ),
        computes: 0,
    };
    let cluster = Cluster::lay_out(Path::new(FOLDER), Path::new(OUTLAST), plan).expect("a lab");
    let words = ["address", "add", &format!("{OUTSIDE}/24"), "dev", "sw1"];
    assert!(Command::new("ip").args(words).status().is_ok_and(|done| done.success()));
    cluster
}

/// Exit code, and what was printed on both.
fn types(name: &str, words: &[&str]) -> (Option<i32>, String) {
    let run_dir = Path::new(FOLDER).join(name).join("run");
    let output = Command::new(OUTLAST).args(words).arg("--run-dir").arg(run_dir).output();
    let output = output.expect("the tool runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn notify(cluster: &Cluster, node: usize) -> Notifying {
    cluster.status(node).and_then(|status| status.notify).map(|notify| *notify).unwrap_or_default()
}

fn coordinator(cluster: &Cluster) -> Option<usize> {
    let name = cluster.numbers().find_map(|node| Some(cluster.status(node)?.coordinator?.node))?;
    NODES.iter().position(|known| *known == name)
}

fn holder(cluster: &Cluster) -> Option<usize> {
    let holds = |node: &usize| {
        let vips = cluster.status(*node).map(|status| status.vips).unwrap_or_default();
        vips.iter().any(|vip| vip.state.holding)
    };
    let all: Vec<usize> = cluster.numbers().filter(holds).collect();
    <[usize; 1]>::try_from(all).ok().map(|[node]| node)
}

/// That one was told to both, as that node knows; its name.
fn told(cluster: &Cluster, node: usize, from: Option<&str>, to: &str) -> Option<Notification> {
    let newest = notify(cluster, node).newest;
    let is_it = |one: &&Notification| one.from.as_deref() == from && one.to.as_deref() == Some(to);
    let is_told = |one: &Notification| {
        one.dues.len() == 2
            && one.dues.iter().all(|due| matches!(due.fate, NotificationFate::Told(_)))
    };
    newest.iter().rev().find(is_it).filter(|one| is_told(one)).cloned()
}

#[test]
fn a_move_is_told_once_by_mail_and_webhook_though_both_were_down_and_the_teller_died() {
    let test = "a_move_is_told_once_by_mail_and_webhook_though_both_were_down_and_the_teller_died";
    with_receivers(test, || {
        let (mut mail, mut hook) = (Receiver::start("smtp", &[]), Receiver::start("http", &[]));
        let lines = format!(
            "[notify.ops]\nsmtp = {{ server = \"{OUTSIDE}:{}\", tls = \"none\", from = \"outlast@lab\", to = [\"ops@lab\", \"night@lab\"] }}\n\
             [notify.chat]\nwebhook = {{ url = \"http://{OUTSIDE}:{}/moves\" }}\n[store]\n",
            mail.port, hook.port
        );
        let mut cluster = laid_out(&NODES, &lines);
        for node in cluster.numbers() {
            cluster.start(node).expect("it starts");
        }
        until("everybody hears everybody", || cluster.illness().is_none());
        until("one has the address", || holder(&cluster).is_some());
        let first = holder(&cluster).expect("it was waited for");
        until("somebody coordinates", || coordinator(&cluster).is_some());
        until("the first holder is told", || told(&cluster, first, None, NODES[first]).is_some());

        // To a node that does not tell, so that the one that does can die without another move.
        let teller = coordinator(&cluster).expect("it was waited for");
        let others = |not: &[usize]| (0..3).find(|node| !not.contains(node)).expect("three nodes");
        let second = others(&[first, teller]);
        let (code, said) = types(NODES[first], &["move", "vip/internal", NODES[second]]);
        assert_eq!(code, Some(0), "{said}");
        let mut seen = None;
        until("the move is told", || {
            seen = told(&cluster, second, Some(NODES[first]), NODES[second]);
            seen.is_some()
        });
        let seen = seen.expect("it was waited for");
        assert_eq!((seen.topic.as_str(), seen.object.as_str()), ("move", "vip/internal"));
        assert_eq!(seen.cause, "the holder named this node");
        arrived_as(&seen, &mail, &hook);

        // Nobody takes anything, and the node that tells dies over it.
        mail.down();
        hook.down();
        let teller = coordinator(&cluster).expect("nothing happened to it");
        let third = others(&[second, teller]);
        let (code, said) = types(NODES[second], &["move", "vip/internal", NODES[third]]);
        assert_eq!(code, Some(0), "{said}");
        until("both were tried, and every node knows that it waits", || {
            cluster.numbers().all(|node| {
                let receivers = notify(&cluster, node).receivers;
                receivers.iter().all(|one| one.waiting == 1 && one.failing.is_some())
            })
        });
        let (_, said) = types(NODES[third], &["status"]);
        assert!(said.contains("Connection refused") && said.contains("NOTIFY"), "{said}");
        let (_, said) = types(NODES[third], &["why", "notify/ops"]);
        // Between its tries, or in one.
        let is_tried = said.contains("waits, tried") || said.contains("is being sent, tried");
        assert!(said.contains("1 to be told") && is_tried, "{said}");
        cluster.power_off(teller).expect("it can be switched off");
        mail.up();
        hook.up();
        until("another one tells it", || {
            told(&cluster, third, Some(NODES[second]), NODES[third]).is_some()
        });
        let by = notify(&cluster, third).by;
        assert_ne!(by, NODES[teller], "it is off");
        for receiver in [&mail, &hook] {
            let mut names = receiver.names();
            let all = names.len();
            names.sort();
            names.dedup();
            assert_eq!((names.len(), all), (3, 3), "{:?}", receiver.arrived());
        }
    });
}

/// The newest mail and the newest post say that.
fn arrived_as(seen: &Notification, mail: &Receiver, hook: &Receiver) {
    let (mails, posts) = (mail.arrived(), hook.arrived());
    let (mail, post) = (mails.last().expect("a mail"), posts.last().expect("a post"));
    assert_eq!(mail["id"], format!("<{}@lab.outlast.internal>", seen.id));
    assert_eq!(mail["to"], serde_json::json!(["ops@lab", "night@lab"]));
    let (from, to) = (seen.from.as_deref().unwrap_or("-"), seen.to.as_deref().unwrap_or("-"));
    assert_eq!(mail["subject"], format!("lab: vip/internal moved from {from} to {to}"));
    let text = mail["text"].as_str().expect("it has a text");
    let lines = ["because         the holder named this node", "  decision", "  address", "  ARP"];
    assert!(lines.iter().all(|line| text.contains(line)), "{text}");
    assert_eq!(
        (&post["path"], &post["headers"]["Idempotency-Key"]),
        (&"/moves".into(), &seen.id.as_str().into())
    );
    let body: WebhookBody =
        serde_json::from_str(post["body"].as_str().expect("a body")).expect("as told");
    let expected = Notification { dues: vec![], ..seen.clone() };
    assert_eq!(
        (body.id, body.cluster.as_str(), body.notifications),
        (seen.id.clone(), "lab", vec![expected])
    );
}

/// A key and its own certificate, of whoever takes what is told.
fn made_certificate() -> (&'static str, &'static str) {
    let (key, certificate) = ("/run/outside.key", "/run/outside.pem");
    let about = "/run/outside.conf";
    let text = format!(
        "[req]\ndistinguished_name = dn\nx509_extensions = v3\nprompt = no\n[dn]\nCN = x\n\
         [v3]\nsubjectAltName = IP:{OUTSIDE}\nbasicConstraints = CA:FALSE\n"
    );
    fs::write(about, text).expect("a file of the test's own");
    let words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", about];
    let made =
        Command::new("openssl").args(words).args(["-keyout", key, "-out", certificate]).output();
    assert!(made.is_ok_and(|made| made.status.success()));
    (key, certificate)
}

#[test]
fn over_tls_with_a_login_and_a_signature_and_no_secret_is_ever_shown() {
    let test = "over_tls_with_a_login_and_a_signature_and_no_secret_is_ever_shown";
    with_receivers(test, || {
        let (key, certificate) = made_certificate();
        let mail = Receiver::start("smtp", &[certificate, key, "outlast", "Hunter2-mail"]);
        let hook = Receiver::start("http", &[certificate, key]);
        for (file, text) in [
            ("password", "Hunter2-mail\n"),
            ("signs", "Jefe\n"),
            ("headers", "Authorization: Bearer Hunter2-hook\n"),
        ] {
            let path = format!("/run/{file}");
            fs::write(&path, text).expect("a file of the test's own");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its own");
        }
        let lines = format!(
            "[notify.ops]\nsmtp = {{ server = \"{OUTSIDE}:{}\", from = \"outlast@lab\", to = \"ops@lab\", user = \"outlast\", \
             password_file = \"/run/password\", ca_file = \"{certificate}\" }}\n\
             [notify.chat]\nwebhook = {{ url = \"https://{OUTSIDE}:{}/x\", secret_file = \"/run/signs\", \
             headers_file = \"/run/headers\", ca_file = \"{certificate}\" }}\n",
            mail.port, hook.port
        );
        // Without a store: the node that took the address tells it.
        let mut cluster = laid_out(&NODES[..1], &lines);
        cluster.start(0).expect("it starts");
        until("its take-over is told", || told(&cluster, 0, None, "ctl1").is_some());
        assert_eq!((mail.arrived().len(), hook.arrived().len()), (1, 1));
        assert_eq!(mail.arrived()[0]["secure"], true);
        let post = &hook.arrived()[0];
        assert_eq!(post["headers"]["Authorization"], "Bearer Hunter2-hook");
        let body = post["body"].as_str().expect("a body");
        fs::write("/run/body", body).expect("a file of the test's own");
        let mut digest = Command::new("openssl");
        digest.args(["dgst", "-sha256", "-hmac", "Jefe", "-r", "/run/body"]);
        let digest = String::from_utf8(digest.output().expect("it ran before").stdout);
        let digits = digest.expect("it is text");
        let signed = post["headers"]["X-Outlast-Signature"].as_str().expect("it is signed");
        assert_eq!(signed.strip_prefix("sha256="), digits.split_whitespace().next());

        let (code, said) = types("ctl1", &["notify", "test"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("ops: mail to ops@lab by 10.79.0.9:") && said.contains(": taken"),
            "{said}"
        );
        assert_eq!((mail.arrived().len(), hook.arrived().len()), (2, 2));
        let (code, said) = types("ctl1", &["notify", "test", "opps"]);
        assert!(code == Some(1) && said.contains("known are ops, chat"), "{code:?} {said}");
        fs::write("/run/password", "Hunter2-other\n").expect("a file of the test's own");
        let (code, said) = types("ctl1", &["notify", "test", "ops"]);
        assert!(
            code == Some(1) && said.contains("535") && said.contains("to AUTH"),
            "{code:?} {said}"
        );
        let kept =
            fs::read_to_string(cluster.state_dir(0).join("events.jsonl")).unwrap_or_default();
        let (_, shown) = types("ctl1", &["status", "--json"]);
        let (_, why) = types("ctl1", &["why", "notify/ops"]);
        for text in [said, kept, shown, why] {
            assert!(!text.contains("Hunter2") && !text.contains("Jefe"), "{text}");
        }
    });
}

/// A mail server of today over TLS from the first byte on, and one that speaks TLS 1.2 only; both refuse one of those who
/// are to get it for a while, and one for good.
#[test]
fn over_old_and_implicit_tls_who_is_refused_for_a_while_is_told_later_and_who_for_good_is_named() {
    let test = "over_old_and_implicit_tls_who_is_refused_for_a_while_is_told_later_and_who_for_good_is_named";
    with_receivers(test, || {
        let (key, certificate) = made_certificate();
        let implicit = Receiver::start("smtps", &[certificate, key]);
        let mut old = Receiver::start("smtps12", &[certificate, key]);
        let hook = Receiver::start("http12", &[certificate, key]);
        let to = "to = [\"ops@lab\", \"later@lab\", \"never@lab\"]";
        let mail = |port: u16| {
            format!(
                "smtp = {{ server = \"{OUTSIDE}:{port}\", tls = \"tls\", from = \"outlast@lab\", {to}, \
                 ca_file = \"{certificate}\" }}"
            )
        };
        let lines = format!(
            "[notify.ops]\n{}\n[notify.old]\n{}\n\
             [notify.chat]\nwebhook = {{ url = \"https://{OUTSIDE}:{}/x\", ca_file = \"{certificate}\" }}\n",
            mail(implicit.port),
            mail(old.port),
            hook.port
        );
        let mut cluster = laid_out(&NODES[..1], &lines);
        cluster.start(0).expect("it starts");
        let is_told = || {
            let newest = notify(&cluster, 0).newest;
            newest.last().is_some_and(|one| {
                let told =
                    |due: &api::NotificationDue| matches!(due.fate, NotificationFate::Told(_));
                one.dues.len() == 3 && one.dues.iter().all(told)
            })
        };
        until("all are told", is_told);
        for receiver in [&implicit, &old] {
            let to: Vec<_> = receiver.arrived().iter().map(|mail| mail["to"].clone()).collect();
            let expected = [serde_json::json!(["ops@lab"]), serde_json::json!(["later@lab"])];
            assert_eq!(to, expected, "once each: {:?}", receiver.arrived());
            let mut names = receiver.names();
            names.dedup();
            assert_eq!(names.len(), 1, "under one name");
        }
        assert_eq!(old.arrived()[0]["tls"], "TLSv1.2");
        assert_eq!(implicit.arrived()[0]["tls"], "TLSv1.3");
        assert_eq!(hook.arrived().len(), 1);
        let kept =
            fs::read_to_string(cluster.state_dir(0).join("events.jsonl")).unwrap_or_default();
        let named = kept.lines().filter(|line| line.contains("\"notify-refused\""));
        assert_eq!(named.count(), 2, "for each receiver once: {kept}");
        let (code, said) = types("ctl1", &["notify", "test", "ops"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("taken, not taken for never@lab: 550"), "{said}");
        old.down();
        let (code, said) = types("ctl1", &["notify", "test", "old"]);
        assert!(code == Some(1) && said.contains("Connection refused"), "{code:?} {said}");
    });
}
