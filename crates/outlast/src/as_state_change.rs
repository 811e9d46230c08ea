//! Called as `neutron-keepalived-state-change`: that program's arguments.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use api::router::WatchEntry;
use node::routers::{Part, stand_in};

const NAME: &str = "neutron-keepalived-state-change";

pub(crate) fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.collect();
    let wants_conntrackd =
        |word: &OsString| word.to_string_lossy().starts_with("--enable_conntrackd");
    let found = match words.iter().any(wants_conntrackd) {
        true => Err(become_neutrons_own(&words)),
        false => parse(words.into_iter()),
    };
    let part = match found {
        Ok(part) => part,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "{NAME}: {why}");
            return ExitCode::FAILURE;
        }
    };
    match stand_in(&part, true) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// conntrackd lives where neutron's agent does, and is told by neutron's own program. Why there is none.
fn become_neutrons_own(words: &[OsString]) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::current_exe().and_then(|own| own.canonicalize()).ok();
    let mut others = std::env::split_paths(&path)
        .map(|folder| folder.join(NAME))
        .filter(|found| found.canonicalize().is_ok_and(|found| Some(found) != own));
    match others.next() {
        Some(program) => {
            let error = Command::new(&program).args(words).exec();
            format!("cannot become {}: {error}", program.display())
        }
        None => "--enable_conntrackd is not run here, and no other program of this name is in PATH"
            .to_owned(),
    }
}

/// `--name=value` or `--name value`; others than these concern its log and how it becomes root.
fn parse(words: impl Iterator<Item = OsString>) -> Result<Part, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut words = words.map(|word| word.to_string_lossy().into_owned()).peekable();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--") else { continue };
        if let Some((name, value)) = name.split_once('=') {
            found.insert(name.to_owned(), value.to_owned());
        } else if let Some(value) = words.next_if(|next| !next.starts_with("--")) {
            found.insert(name.to_owned(), value);
        }
    }
    let mut needed = |name: &str| found.remove(name).ok_or_else(|| format!("--{name} is missing"));
    let (router, namespace) = (needed("router_id")?, needed("namespace")?);
    let (folder, interface) = (needed("conf_dir")?, needed("monitor_interface")?);
    let (cidr, state) = (needed("monitor_cidr")?, needed("state_path")?);
    let owner = found.get("user").zip(found.get("group"));
    let owner = owner.and_then(|(user, group)| node::routers::owner(user, group));
    let entry = WatchEntry {
        pid: 0,
        router,
        folder,
        interface,
        cidr,
        agent: Path::new(&state).join("keepalived-state-change").display().to_string(),
        owner,
        told: None,
    };
    let pid_file = found.remove("pid_file").map(Into::into);
    Ok(Part::Watch { entry, namespace, pid_file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_neutrons_agent_calls_it_with_is_understood() {
        let words = "--router_id=4f1c --namespace=qrouter-4f1c --conf_dir=/var/lib/neutron/ha_confs/4f1c \
                     --log-file=/var/log/x.log --monitor_interface=ha-77 --monitor_cidr=169.254.0.1/24 \
                     --pid_file=/var/lib/neutron/external/pids/4f1c.monitor.pid --state_path=/var/lib/neutron \
                     --user=42435 --group=42436 --AGENT-root_helper=sudo --AGENT-root_helper_daemon sudo";
        let part = parse(words.split_whitespace().map(OsString::from)).unwrap();
        let Part::Watch { entry, namespace, pid_file } = part else { panic!("it watches") };
        assert_eq!(namespace, "qrouter-4f1c");
        assert_eq!(pid_file, Some("/var/lib/neutron/external/pids/4f1c.monitor.pid".into()));
        assert_eq!(entry.agent, "/var/lib/neutron/keepalived-state-change");
        assert_eq!(entry.owner, Some((42435, 42436)));
        assert_eq!((entry.interface.as_str(), entry.cidr.as_str()), ("ha-77", "169.254.0.1/24"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = parse(["--router_id=1".into()].into_iter()).unwrap_err();
        assert_eq!(error, "--namespace is missing");
    }
}
