//! `keepalived -t`: what is wrong with a file, by that program's exit codes.

use std::path::Path;

use config::vip::Vip;

use crate::launch::{Launch, LaunchError};

/// How a check of a file ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Good,
    /// The file cannot be read.
    Unreadable,
    /// It would not run, or not all that is in it.
    Wrong,
    /// Programs of it run without `enable_script_security`.
    NotSecure,
    /// A file that it says must be there is missing.
    LacksIncluded,
}

impl Verdict {
    /// Of keepalived 2.2.7.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Unreadable => 4,
            Self::Wrong => 5,
            Self::NotSecure | Self::LacksIncluded => 6,
        }
    }
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Tested {
    pub told: String,
    pub verdict: Verdict,
}

/// Checks what a start with this configuration would find; changes nothing.
#[must_use]
pub fn config_test(launch: &Launch) -> Tested {
    let plan = match launch.plan() {
        Ok(plan) => plan,
        Err(error) => {
            let verdict = match &error {
                LaunchError::File(_) => Verdict::Unreadable,
                LaunchError::Config(refused) if refused.lacks_included => Verdict::LacksIncluded,
                LaunchError::Config(_) | LaunchError::Problems(_) => Verdict::Wrong,
            };
            return Tested { told: format!("{}\n", base::Chain(&error)), verdict };
        }
    };
    let mut told = plan.warnings;
    let missing = missing_devices(&plan.vips);
    for (vip, device) in &missing {
        told.push_str(&format!("interface {device} of {vip} doesn't exist\n"));
    }
    let (gone, open) = programs(&plan.vips);
    for program in &gone {
        told.push_str(&format!("{program} is not there, or no program\n"));
    }
    if !open.is_empty() {
        let open = open.join(", ");
        told.push_str(&format!("run without enable_script_security: {open}\n"));
    }
    let verdict = match (open.is_empty(), gone.is_empty() && missing.is_empty()) {
        (false, _) => Verdict::NotSecure,
        (true, false) => Verdict::Wrong,
        (true, true) => Verdict::Good,
    };
    Tested { told, verdict }
}

fn missing_devices(vips: &[Vip]) -> Vec<(String, String)> {
    let links = sys::netlink::Netlink::open().and_then(|netlink| netlink.links());
    // Where the kernel does not tell, nothing is known to be missing.
    let Ok(links) = links else { return vec![] };
    let is_there = |name: &str| links.iter().any(|link| link.name == name);
    let mut missing: Vec<(String, String)> = vec![];
    for vip in vips {
        let devices = vip.places().map(|(_, _, device)| device).chain([vip.interface.as_str()]);
        for device in devices.filter(|device| !is_there(device)) {
            let found = (vip.name.clone(), device.to_owned());
            if !missing.contains(&found) {
                missing.push(found);
            }
        }
    }
    missing
}

/// Programs that are not there, and those that are and may have been changed by others than root.
fn programs(vips: &[Vip]) -> (Vec<String>, Vec<String>) {
    let (mut gone, mut open) = (vec![], vec![]);
    for vip in vips {
        let mut notify = vip.notify.clone();
        let told: Vec<_> = notify.programs().filter_map(|program| program.take()).collect();
        let told = told.iter().map(|program| (&program.command, program.secure));
        let scripts = vip.track_scripts.iter().map(|script| (&script.command, script.secure));
        for (command, secure) in scripts.chain(told) {
            let Some(program) = command.first() else { continue };
            let list = match (is_program(program), secure) {
                (false, _) => &mut gone,
                (true, false) => &mut open,
                (true, true) => continue,
            };
            if !list.contains(program) {
                list.push(program.clone());
            }
        }
    }
    (gone, open)
}

fn is_program(name: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &Path| {
        let found = std::fs::metadata(path).ok();
        found.is_some_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return runs(Path::new(name));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| runs(&folder.join(name)))
}
