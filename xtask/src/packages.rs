//! Debian packages that tests and measurements need: installed when root, named otherwise.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::shell::{self, Failure, Outcome};

#[derive(Debug)]
pub(crate) struct Package {
    name: &'static str,
    /// Present when this program is.
    program: &'static str,
    why: &'static str,
}

const KEEPALIVED: Package = Package {
    name: "keepalived",
    program: "keepalived",
    why: "the foreign peer in a mixed VRRP group, and the one we are measured against",
};
const HAPROXY: Package = Package {
    name: "haproxy",
    program: "haproxy",
    why: "refuses the same four lines as we do, and is what we are measured against",
};
const SOCAT: Package = Package {
    name: "socat",
    program: "socat",
    why: "the published check script asks the stats socket with it",
};
const SETPRIV: Package = Package {
    name: "util-linux",
    program: "setpriv",
    why: "tests take capabilities away with setpriv and enter namespaces as a plain user",
};

const VARNISH: Package = Package {
    name: "varnish",
    program: "varnishtest",
    why: "HAProxy's regression tests are written for its varnishtest",
};
const CHROMIUM: Package = Package {
    name: "chromium",
    program: "chromium",
    why: "the dashboard is looked at in a real browser",
};
const CHROMEDRIVER: Package = Package {
    name: "chromium-driver",
    program: "chromedriver",
    why: "tests steer that browser over WebDriver",
};
const PROMETHEUS: Package = Package {
    name: "prometheus",
    program: "promtool",
    why: "metrics, alert rules and the Grafana dashboard are read by the real one",
};

const TCPDUMP: Package = Package {
    name: "tcpdump",
    program: "tcpdump",
    why: "records the adverts of a mixed VRRP group",
};
const TSHARK: Package = Package {
    name: "tshark",
    program: "tshark",
    why: "reads every advert that we send, independently of us",
};
const FAKETIME: Package = Package {
    name: "faketime",
    program: "faketime",
    why: "sets back the date that a node reads, not that of the machine",
};
const SCAPY: Package = Package {
    name: "python3-scapy",
    program: "scapy3",
    why: "the documents' injector of VRRP adverts is written with it",
};

const ETCD: Package = Package {
    name: "etcd-server",
    program: "etcd",
    why: "the store's external engine keeps the same promises as the embedded one",
};

const OPENSSL: Package = Package {
    name: "openssl",
    program: "openssl",
    why: "makes the certificates with which that engine is tried",
};
const CURL: Package = Package {
    name: "curl",
    program: "curl",
    why: "a client of its own for the dashboard over TLS",
};
const STRACE: Package = Package {
    name: "strace",
    program: "strace",
    why: "makes the disk of one process slow: the store is judged on it",
};

/// What `cargo xtask test` wants to find.
pub(crate) const TESTS: [Package; 15] = [
    KEEPALIVED,
    HAPROXY,
    SOCAT,
    SETPRIV,
    CHROMIUM,
    CHROMEDRIVER,
    PROMETHEUS,
    TCPDUMP,
    TSHARK,
    FAKETIME,
    SCAPY,
    ETCD,
    OPENSSL,
    CURL,
    STRACE,
];
/// What a measurement against stock cannot do without.
pub(crate) const STOCK: [Package; 3] = [KEEPALIVED, HAPROXY, SOCAT];
/// What HAProxy's regression tests need.
pub(crate) const REGTEST: [Package; 3] = [VARNISH, HAPROXY, SOCAT];

/// Installs what is missing when root. Otherwise says what to install; whether that is fatal is the
/// caller's business, tests skip by name.
pub(crate) fn provide(wanted: &[Package]) -> Outcome {
    let missing = || wanted.iter().filter(|p| shell::find_program(p.program).is_none());
    if missing().next().is_none() {
        return Ok(());
    }
    for package in missing() {
        eprintln!("missing Debian package {}: {}", package.name, package.why);
    }
    let names: Vec<_> = missing().map(|package| package.name).collect();
    if !shell::is_root() || shell::find_program("apt-get").is_none() {
        let names = names.join(" ");
        return Err(Failure::new(format!(
            "as root: apt-get install --no-install-recommends {names}"
        )));
    }
    let _quiet = NoServices::begin()?;
    // A stale list is worth a try, so only the installation decides.
    if let Err(failure) = shell::run(&mut apt(&["update", "--quiet=2"])) {
        eprintln!("{failure}");
    }
    let mut install = apt(&["install", "--yes", "--quiet=2", "--no-install-recommends"]);
    shell::run(install.args(&names))
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    // No answer to a question: there may be nobody. stdout to stderr keeps our own output clean.
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command.stdout(std::io::stderr());
    command
}

/// While it lives, installing keepalived or haproxy does not start them on the user's machine.
#[derive(Debug)]
struct NoServices {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn begin() -> Outcome<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        // 101 is "action forbidden by policy" (invoke-rc.d's contract).
        shell::write(Path::new(POLICY), "#!/bin/sh\nexit 101\n")?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))
            .map_err(Failure::trying(format_args!("making {POLICY} executable")))?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("removing {POLICY}: {error}");
        }
    }
}
