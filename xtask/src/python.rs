//! Packages of Python's index that tests need: put under `target/python`, where nothing else sees them.

use std::process::{Command, Stdio};

use crate::shell::{self, Outcome};

/// With its version: another os-ken may need other mends than `crates/outlast/tests/mixed/osken/router.py` has.
const WANTED: [(&str, &str, &str); 2] = [
    ("os-ken", "4.2.2", "a third implementation of VRRP"),
    ("aiosmtpd", "1.4.6", "a mail server that takes notifications"),
];

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
    Ok(())
}
