//! Three nodes that decide by an etcd with certificates and accounts, as sites have it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use super::decides::{does, has_window, on_any_node};
use super::lonely::{alone, free_port, kill, until};
use super::trio::{NODES, Trio};
use super::{has, peers};

const FOLDER: &str = "/run/site";

fn openssl(words: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(words.split(' ')).current_dir(FOLDER).stdin(Stdio::null()).stderr(Stdio::null());
    assert!(openssl.status().expect("openssl runs").success(), "openssl {words}");
}

/// An authority with a server and a client, and another authority.
fn certificates() {
    std::fs::create_dir_all(FOLDER).expect("a folder");
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for (authority, name) in [("ca", "authority"), ("other", "another")] {
        openssl(&format!(
            "req -x509 {new} -days 2 -keyout {authority}.key -out {authority}.pem -subj /CN={name}"
        ));
    }
    std::fs::write(format!("{FOLDER}/names"), "subjectAltName=IP:127.0.0.1\n").expect("a file");
    for who in ["server", "client"] {
        openssl(&format!("req {new} -subj /O=site -keyout {who}.key -out {who}.csr"));
        openssl(&format!(
            "x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -in {who}.csr -out {who}.pem"
        ));
    }
}

/// For clients with TLS at the first port, and for the test's own questions at the second.
fn etcd(secure: u16, plain: u16, peer: u16) -> Child {
    let clients = format!("https://127.0.0.1:{secure},http://127.0.0.1:{plain}");
    let mut etcd = Command::new("etcd");
    etcd.args(["--name", "site", "--log-level", "error", "--data-dir", "/run/etcd"]);
    etcd.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    peers(&mut etcd, peer);
    etcd.args(["--client-cert-auth", "--trusted-ca-file", "ca.pem"]);
    etcd.args(["--cert-file", "server.pem", "--key-file", "server.key"]).current_dir(FOLDER);
    etcd.stderr(Stdio::null()).stdin(Stdio::null()).spawn().expect("etcd starts")
}

/// Whether etcd did it.
fn tells(port: u16, path: &str, body: &str) -> bool {
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        let length = body.len();
        write!(
            stream,
            "POST /v3/auth/{path} HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    asked().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// `outlast` may read and write the keys of this cluster, and nobody else anything.
fn accounts(plain: u16) {
    let root = r#"{"name":"root","password":"r"}"#;
    until("etcd answers", || tells(plain, "user/add", root));
    // `outlast/trio/` up to `outlast/trio0`, in base64.
    let rights = r#"{"permType":"READWRITE","key":"b3V0bGFzdC90cmlvLw==","range_end":"b3V0bGFzdC90cmlvMA=="}"#;
    for (path, body) in [
        ("user/add", r#"{"name":"outlast","password":"right"}"#),
        ("role/add", r#"{"name":"root"}"#),
        ("role/add", r#"{"name":"trio"}"#),
        ("role/grant", &format!(r#"{{"name":"trio","perm":{rights}}}"#)),
        ("user/grant", r#"{"user":"root","role":"root"}"#),
        ("user/grant", r#"{"user":"outlast","role":"trio"}"#),
        ("enable", "{}"),
    ] {
        assert!(tells(plain, path, body), "{path} {body}");
    }
}

/// Starts a node with this in place of that in its cluster file.
fn starts_with(trio: &mut Trio, node: &'static str, from: &str, to: &str) {
    let at = trio.nodes.iter().position(|(name, _)| *name == node).expect("it runs");
    let (_, mut child) = trio.nodes.remove(at);
    kill(i32::try_from(child.id()).expect("a pid"), "TERM");
    child.wait().expect("a child can be waited for");
    let file = format!("{node}/outlast.toml");
    let text = std::fs::read_to_string(trio.files.path(&file)).expect("it was written");
    assert!(text.contains(from), "{text}");
    trio.files.write(&file, &text.replace(from, to));
    trio.start(node);
}

/// What the store of a node has against its etcd.
fn trouble(trio: &Trio, node: &str) -> String {
    trio.types(node, &["store", "status"]).1
}

#[test]
fn three_nodes_decide_by_an_etcd_with_certificates_and_accounts_and_say_what_is_wrong() {
    let test = "three_nodes_decide_by_an_etcd_with_certificates_and_accounts_and_say_what_is_wrong";
    if !has("etcd", "--version", test) || !has("openssl", "version", test) {
        return;
    }
    alone(&format!("secure::{test}"), || {
        certificates();
        let (secure, plain) = (free_port(), free_port());
        let mut site = etcd(secure, plain, free_port());
        accounts(plain);
        let (password, wrong) = (format!("{FOLDER}/password"), format!("{FOLDER}/wrong"));
        std::fs::write(&password, "right\n").expect("a file");
        std::fs::write(&wrong, "wrong\n").expect("a file");
        let store = format!(
            "engine = \"etcd\"\nendpoints = [\"https://127.0.0.1:{secure}\"]\nca_file = \"{FOLDER}/ca.pem\"\n\
             cert_file = \"{FOLDER}/client.pem\"\nkey_file = \"{FOLDER}/client.key\"\n\
             user = \"outlast\"\npassword_file = \"{password}\""
        );
        let mut trio = Trio::new(&store);
        on_any_node(&trio);
        let window = ["maintenance", "start", "node03", "--for", "2h", "--reason", "new memory"];
        does(&trio, "node02", &window);
        until("all know the window", || NODES.iter().all(|node| has_window(&trio, node)));
        does(&trio, "node01", &["config", "apply", &trio.folder(8080), "--yes"]);

        // Each mistake is told by name, on the node that has it, and the others decide on.
        starts_with(&mut trio, "node03", &password, &wrong);
        until("a wrong password is told", || {
            let said = trouble(&trio, "node03");
            said.contains("authentication failed") && said.contains("`outlast`")
        });
        does(&trio, "node01", &["node", "standby", "node02"]);
        let ca = format!("{FOLDER}/ca.pem");
        starts_with(&mut trio, "node03", &ca, &format!("{FOLDER}/other.pem"));
        until("another authority is told", || {
            let said = trouble(&trio, "node03");
            said.contains("not believed") && said.contains("ca_file")
        });
        does(&trio, "node01", &["node", "resume", "node02"]);
        starts_with(&mut trio, "node03", &format!("{FOLDER}/other.pem"), &ca);
        starts_with(&mut trio, "node03", &wrong, &password);
        until("it decides again", || {
            trio.types("node03", &["node", "standby", "node02"]).0 == Some(0)
        });
        site.kill().and_then(|()| site.wait()).expect("it ends");
    });
}
