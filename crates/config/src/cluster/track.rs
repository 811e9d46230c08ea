//! What a virtual IP needs, or weighs by: interfaces, processes, numbers in files.

use std::time::Duration;

use super::read::{Field, REQUIRED, Value, fields, number, span, text, texts, time, wrong};
use super::vips::VipDraft;
use super::{Vip, VipCheck, weighs};
use crate::diagnostic::Diagnostic;
use crate::vip::{Matching, TrackedFile, TrackedProcess, Weighed};

/// A day, as in keepalived's file.
const LONGEST_DELAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Default)]
pub(crate) struct TrackDraft {
    /// Each with its weight, 0: without a carrier the address goes.
    pub(super) interfaces: Vec<Weighed>,
    pub(super) processes: Vec<TrackedProcess>,
    pub(super) files: Vec<TrackedFile>,
}

pub(super) const INTERFACES: Field<VipDraft> = Field {
    name: "track_interfaces",
    form: "[\"eth1\", { name = \"eth2\", weight = -20 }]",
    default: "none",
    does: "gives the address up when one of these devices has no carrier; one with a weight changes the priority instead",
    set: |draft, value, findings| {
        for item in items(value) {
            let weighed = |name| Weighed { name, weight: 0, reversed: false };
            draft.track.interfaces.push(match item.get_ref().as_table() {
                None => weighed(text(item, "the name of an interface, or a table")?),
                Some(table) => {
                    let mut read = weighed(String::new());
                    fields(INTERFACE, "`track_interfaces`", span(item), table, &mut read, findings);
                    read
                }
            });
        }
        Ok(())
    },
};

pub(super) const PROCESSES: Field<VipDraft> = Field {
    name: "track_processes",
    form: "[\"haproxy\", { process = [\"/usr/sbin/bird\", \"-f\"], weight = -20 }]",
    default: "none",
    does: "gives the address up while no process of that name runs, or, in a table, as its keys say",
    set: |draft, value, findings| {
        for item in items(value) {
            let mut process = TrackedProcess { weight: 0, ..TrackedProcess::plain("") };
            match item.get_ref().as_table() {
                None => process.command = vec![text(item, "the name of a process, or a table")?],
                Some(table) => {
                    let at = span(item);
                    fields(PROCESS, "`track_processes`", at, table, &mut process, findings);
                }
            }
            let program = process.command.first().map(String::as_str).unwrap_or_default();
            if process.name.is_empty() {
                program.rsplit('/').next().unwrap_or(program).clone_into(&mut process.name);
            }
            if process.matching == Matching::Name && process.command.len() > 1 {
                process.matching = Matching::Exact;
            }
            draft.track.processes.push(process);
        }
        Ok(())
    },
};

pub(super) const FILES: Field<VipDraft> = Field {
    name: "track_files",
    form: "[\"/run/outlast/drain\", { file = \"/run/load\", weight = -1 }]",
    default: "none",
    does: "gives the address up while the number in one of these files is another than 0; with a weight the number times that is added to the priority. A file that is not there says 0",
    set: |draft, value, findings| {
        for item in items(value) {
            let (name, path) = (String::new(), String::new());
            let mut file = TrackedFile { name, path, weight: 0, reversed: false };
            match item.get_ref().as_table() {
                None => file.path = text(item, "the path of a file, or a table")?,
                Some(table) => {
                    fields(FILE, "`track_files`", span(item), table, &mut file, findings);
                }
            }
            if file.name.is_empty() {
                file.name.clone_from(&file.path);
            }
            draft.track.files.push(file);
        }
        Ok(())
    },
};

const REVERSED: &str = "the other way round: it is good while it would not be";
const NAME: &str = "in events";

/// `track_interfaces = [{ name = ... }]`
pub(crate) const INTERFACE: &[Field<Weighed>] = &[
    Field {
        name: "name",
        form: "\"eth2\"",
        default: REQUIRED,
        does: "the device",
        set: |weighed, value, _| {
            weighed.name = text(value, "the name of an interface")?;
            Ok(())
        },
    },
    weighs::weight(
        "-20",
        "0: without a carrier the address goes",
        "added to the priority while it has a carrier, or taken from it while it has none",
    ),
    weighs::reverse(REVERSED),
];

/// `track_processes = [{ process = ... }]`
pub(crate) const PROCESS: &[Field<TrackedProcess>] = &[
    Field {
        name: "process",
        form: "\"haproxy\"",
        default: REQUIRED,
        does: "its name, or its program and arguments in a list",
        set: |process, value, _| {
            let words = texts(value, "a name, or program and arguments")?;
            process.command = words.into_iter().map(|(word, _)| word).collect();
            if process.command.is_empty() {
                return Err(wrong(value, "a name, or program and arguments"));
            }
            Ok(())
        },
    },
    Field {
        name: "name",
        form: "\"router\"",
        default: "that of the program",
        does: NAME,
        set: |process, value, _| {
            process.name = text(value, "a name")?;
            Ok(())
        },
    },
    Field {
        name: "match",
        form: "\"partial\"",
        default: "\"name\", of a list \"exact\"",
        does: "\"name\": as the kernel calls it, 15 bytes at most; \"program\": as it was started, whatever its arguments; \"exact\"; \"initial\": the last argument may be longer; \"partial\": more arguments may follow",
        set: |process, value, _| {
            process.matching = match value.get_ref().as_str() {
                Some("name") => Matching::Name,
                Some("program") => Matching::Program,
                Some("exact") => Matching::Exact,
                Some("initial") => Matching::Initial,
                Some("partial") => Matching::Partial,
                _ => {
                    let what = "\"name\", \"program\", \"exact\", \"initial\" or \"partial\"";
                    return Err(wrong(value, what));
                }
            };
            Ok(())
        },
    },
    Field {
        name: "least",
        form: "2",
        default: "1",
        does: "so many have to run",
        set: |process, value, _| {
            process.least = count(value, 1)?;
            Ok(())
        },
    },
    Field {
        name: "most",
        form: "4",
        default: "any number",
        does: "more may not run",
        set: |process, value, _| {
            process.most = Some(count(value, 0)?);
            Ok(())
        },
    },
    Field {
        name: "up_delay",
        form: "\"1s\"",
        default: "at once",
        does: "so long enough of them have to run",
        set: |process, value, _| {
            process.fork_delay = delay(value)?;
            Ok(())
        },
    },
    Field {
        name: "down_delay",
        form: "\"1s\"",
        default: "at once",
        does: "so long too few, or too many, may run: a program that is replaced is gone for a moment",
        set: |process, value, _| {
            process.terminate_delay = delay(value)?;
            Ok(())
        },
    },
    weighs::weight(
        "-20",
        "0: without them the address goes",
        "added to the priority while they run, or taken from it while they do not",
    ),
    weighs::reverse(REVERSED),
];

/// `track_files = [{ file = ... }]`
pub(crate) const FILE: &[Field<TrackedFile>] = &[
    Field {
        name: "file",
        form: "\"/run/load\"",
        default: REQUIRED,
        does: "holds a number",
        set: |file, value, _| {
            file.path = text(value, "the path of a file")?;
            Ok(())
        },
    },
    Field {
        name: "name",
        form: "\"load\"",
        default: "its path",
        does: NAME,
        set: |file, value, _| {
            file.name = text(value, "a name")?;
            Ok(())
        },
    },
    weighs::weight(
        "-1",
        "0: any number but 0 takes the address",
        "multiplies the number, which is added to the priority; what is below -253 then takes the address",
    ),
    weighs::reverse(REVERSED),
];

/// One, or each of a list.
fn items<'v, 'a>(value: &'v Value<'a>) -> Vec<&'v Value<'a>> {
    value.get_ref().as_array().map_or_else(|| vec![value], |list| list.iter().collect())
}

fn count(value: &Value<'_>, least: u64) -> Result<u32, Diagnostic> {
    let count = number(value, "a number of processes", least, u32::MAX.into())?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

fn delay(value: &Value<'_>) -> Result<Duration, Diagnostic> {
    let delay = time(value)?;
    if delay > LONGEST_DELAY { Err(wrong(value, "a time up to a day")) } else { Ok(delay) }
}

impl TrackDraft {
    /// Puts it where the rest of the program looks for it.
    pub(super) fn settle(self, vip: &mut Vip) {
        for interface in self.interfaces {
            let Weighed { name, weight, reversed } = interface;
            if weight != 0 {
                let weight = if reversed { -weight } else { weight };
                vip.weighed_interfaces.push(Weighed { name, weight, reversed });
                continue;
            }
            if reversed {
                vip.reversed_interfaces.push(name.clone());
            }
            vip.track_interfaces.push(name);
        }
        (vip.track_processes, vip.track_files) = (self.processes, self.files);
    }
}

fn is_weighed(check: &VipCheck) -> bool {
    match check {
        VipCheck::None | VipCheck::Balancer => false,
        VipCheck::Script(script) => script.weight != 0,
        VipCheck::All(all) => all.iter().any(is_weighed),
    }
}

/// Who holds by votes is as strong as anybody.
pub(super) fn check(vips: &[Vip], findings: &mut Vec<Diagnostic>) {
    for vip in vips.iter().filter(|vip| vip.has_lease) {
        let weighs = is_weighed(&vip.check)
            || !vip.weighed_interfaces.is_empty()
            || vip.track_processes.iter().any(|process| process.weight != 0)
            || vip.track_files.iter().any(|file| file.weight != 0);
        if weighs {
            let message =
                format!("`{}` has a vip lease, which knows no priorities to weigh", vip.name);
            let finding = Diagnostic::error(vip.span, "no-vip-lease", message);
            findings.push(
                finding.help("remove each `weight` of what it checks and tracks, or `lease`"),
            );
        }
    }
}
