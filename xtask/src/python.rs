//! Packages of Python's index that tests need: put under `target/python`, where nothing else sees them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::shell::{self, Failure, Outcome};

/// With its version: another os-ken may need other mends than `crates/outlast/tests/mixed/osken/router.py` has.
const WANTED: [(&str, &str, &str); 2] = [
    ("os-ken", "4.2.2", "a third implementation of VRRP"),
    ("aiosmtpd", "1.4.6", "a mail server that takes notifications"),
];

/// Neutron wants other versions of some of them: it has a folder of its own, with the versions that go with its release.
const NEUTRON: (&str, &str) = ("neutron-26.0.6.dist-info", include_str!("python/neutron.txt"));

/// Installs what is missing with whatever `pip` there is.
pub(crate) fn provide() -> Outcome {
    let folder = shell::target().join("python");
    for (name, version, what) in WANTED {
        let known = format!("{}-{version}.dist-info", name.replace('-', "_"));
        if folder.join(known).is_dir() {
            continue;
        }
        eprintln!("missing Python package {name} {version}: {what}");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--target"]).arg(&folder);
        pip.arg(format!("{name}=={version}")).stdin(Stdio::null()).stdout(std::io::stderr());
        shell::run(&mut pip)?;
    }
    provide_neutron()
}

/// Where neutron's own classes and programs are put.
pub(crate) fn neutron() -> PathBuf {
    shell::target().join("neutron")
}

/// Each by its version: what these would want beside is only for neutron's server.
pub(crate) fn provide_neutron() -> Outcome {
    let (folder, (known, list)) = (neutron(), NEUTRON);
    if folder.join(known).is_dir() {
        return Ok(());
    }
    eprintln!("missing Python packages of neutron: its L3 agent starts, watches and ends routers");
    std::fs::create_dir_all(&folder).map_err(Failure::trying("making a folder for neutron"))?;
    let wanted = folder.join("wanted.txt");
    shell::write(&wanted, list)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--target"])
        .arg(&folder);
    pip.arg("-r").arg(&wanted).stdin(Stdio::null()).stdout(std::io::stderr());
    shell::run(&mut pip)
}
