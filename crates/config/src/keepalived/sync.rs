//! Keywords of `vrrp_sync_group`, and what its instances have of it.

use super::instance::{TRACKED, entries, tracks};
use super::{Instance, Keepalived, SyncGroup, Track, notify};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::keyword::{Keyword, later, now};
use crate::line::Word;
use crate::notify::Notify;

/// Every keyword of keepalived 2.2 in this block.
pub(crate) const SYNC_GROUP: &[Keyword<SyncGroup>] = &[
    now("global_tracking", "", "", "the old word for `sync_group_tracking_weight`", |g, line| {
        g.tracking_weight = true;
        line.finish();
        Ok(())
    }),
    now("group", "{ <instance> ... }", "", "held together, or not at all", |group, line| {
        for entry in entries(line, "group")? {
            group.members.extend(entry.into_iter().map(|Word { text, span }| (text, span)));
        }
        Ok(())
    }),
    now("sync_group_tracking_weight", "", "", WEIGHTS, |group, line| {
        group.tracking_weight = true;
        line.finish();
        Ok(())
    }),
    now("track_bfd", TRACKED, "", OF_EACH, |group, line| {
        group.track_bfds.extend(tracks(line)?);
        Ok(())
    }),
    now("track_file", TRACKED, "", OF_EACH, |group, line| {
        group.track_files.extend(tracks(line)?);
        Ok(())
    }),
    now("track_interface", TRACKED, "", OF_EACH, |group, line| {
        group.track_interfaces.extend(tracks(line)?);
        Ok(())
    }),
    now("track_process", TRACKED, "", OF_EACH, |group, line| {
        group.track_processes.extend(tracks(line)?);
        Ok(())
    }),
    now("track_script", TRACKED, "", OF_EACH, |group, line| {
        group.track_scripts.extend(tracks(line)?);
        Ok(())
    }),
    now("notify", notify::COMMAND, "", EVERY, |group, line| {
        notify::once(&mut group.notify.every, line)
    }),
    now(
        "notify_backup",
        notify::COMMAND,
        "",
        "run when it is not held, and could be",
        |group, line| notify::once(&mut group.notify.backup, line),
    ),
    now(
        "notify_fault",
        notify::COMMAND,
        "",
        "run when one of it may not be held",
        |group, line| notify::once(&mut group.notify.fault, line),
    ),
    now("notify_master", notify::COMMAND, "", "run when all of it is held", |group, line| {
        notify::once(&mut group.notify.master, line)
    }),
    now("notify_stop", notify::COMMAND, "", "run at the end of the node", |group, line| {
        notify::once(&mut group.notify.stop, line)
    }),
    later("notify_deleted"),
    later("notify_priority_changes"),
    later("smtp_alert"),
];

const EVERY: &str = "run at each of these, with `GROUP`, name, state and 0 as more arguments";
const OF_EACH: &str = "of each of its instances";
const WEIGHTS: &str = "weights that its instances have of their own count as well";

pub(super) fn new(name: Word) -> SyncGroup {
    SyncGroup {
        name: name.text,
        members: Vec::new(),
        track_scripts: Vec::new(),
        track_interfaces: Vec::new(),
        track_processes: Vec::new(),
        track_files: Vec::new(),
        track_bfds: Vec::new(),
        tracking_weight: false,
        notify: Notify::default(),
        span: name.span,
    }
}

impl Keepalived {
    /// The group that the instance of that name is in.
    pub(crate) fn sync_group(&self, instance: &str) -> Option<&SyncGroup> {
        self.sync_groups.iter().find(|group| group.has(instance))
    }

    /// What an instance tracks, its group's with its own. In a group its own weights do not count, as with keepalived: an interface that
    /// had one takes the address away, a script that had one is not looked at.
    pub(crate) fn tracked(&self, instance: &Instance) -> (Vec<Track>, Vec<Track>) {
        let (mut scripts, mut interfaces) =
            (instance.track_scripts.clone(), instance.track_interfaces.clone());
        let Some(group) = self.sync_group(&instance.name) else { return (scripts, interfaces) };
        if !group.tracking_weight {
            scripts.retain(|track| !self.has_weight(track));
            for track in interfaces.iter_mut().filter(|track| !track.is_fatal()) {
                track.weight = None;
            }
        }
        add(&mut scripts, &group.track_scripts);
        add(&mut interfaces, &group.track_interfaces);
        (scripts, interfaces)
    }

    /// Of what an instance tracks, and its group.
    pub(crate) fn with_group(
        &self,
        instance: &Instance,
        of: fn(&Instance) -> &Vec<Track>,
        of_group: fn(&SyncGroup) -> &Vec<Track>,
    ) -> Vec<Track> {
        let mut all = of(instance).clone();
        if let Some(group) = self.sync_group(&instance.name) {
            add(&mut all, of_group(group));
        }
        all
    }

    /// Of a script.
    fn has_weight(&self, track: &Track) -> bool {
        let block = self.scripts.iter().find(|block| block.script.name == track.name);
        track.weight.or_else(|| block.map(|it| it.script.weight)).is_some_and(|weight| weight != 0)
    }
}

impl SyncGroup {
    fn has(&self, instance: &str) -> bool {
        self.members.iter().any(|(name, _)| name == instance)
    }
}

/// What an instance tracks already is its own.
fn add(own: &mut Vec<Track>, of_group: &[Track]) {
    let new = of_group.iter().filter(|track| !own.iter().any(|known| known.name == track.name));
    let new: Vec<Track> = new.cloned().collect();
    own.extend(new);
}

/// What does not go together.
pub(super) fn verify(read: &Keepalived, found: &mut Vec<Diagnostic>) {
    for (at, group) in read.sync_groups.iter().enumerate() {
        let name = &group.name;
        if read.sync_groups[..at].iter().any(|other| other.name == *name) {
            let message = format!("there is a sync group `{name}` already");
            found.push(Diagnostic::error(group.span, "duplicate-name", message));
        }
        members(read, at, group, found);
        if let [_] = group.members.as_slice() {
            let message =
                format!("sync group `{name}` has one instance: there is nothing to hold together");
            found.push(Diagnostic::warning(group.span, "sync-group", message));
        }
        if group.members.is_empty() {
            let message = format!("sync group `{name}` has no instances");
            let finding = Diagnostic::error(group.span, "missing-key", message);
            found.push(finding.help("add `group {`, the names of instances and `}`"));
        }
        for track in &group.track_scripts {
            super::parse::known_script(track, read, found);
        }
    }
    for instance in &read.instances {
        ignored(read, instance, found);
    }
}

fn members(read: &Keepalived, at: usize, group: &SyncGroup, found: &mut Vec<Diagnostic>) {
    for (position, (member, span)) in group.members.iter().enumerate() {
        let names = read.instances.iter().map(|instance| instance.name.as_str());
        if !names.clone().any(|known| known == member) {
            let message = format!("there is no `vrrp_instance {member}`");
            let finding = Diagnostic::error(*span, "unknown-name", message);
            found.push(guess::suggest(finding, member, names.collect::<Vec<_>>()));
            continue;
        }
        let earlier = read.sync_groups[..at].iter().find(|other| other.has(member));
        let twice = group.members[..position].iter().any(|(other, _)| other == member);
        if let Some(other) = earlier.or_else(|| twice.then_some(group)) {
            let message = format!("`{member}` is in the sync group `{}` already", other.name);
            found.push(Diagnostic::error(*span, "duplicate-name", message));
        }
    }
}

/// Weights that are written and do not count.
fn ignored(read: &Keepalived, instance: &Instance, found: &mut Vec<Diagnostic>) {
    let Some(group) = read.sync_group(&instance.name).filter(|group| !group.tracking_weight) else {
        return;
    };
    let mut tell = |track: &Track, what: &str| {
        let message = format!(
            "`{}` has a weight, and `{}` is in the sync group `{}`: {what}",
            track.name, instance.name, group.name
        );
        let finding = Diagnostic::warning(track.span, "sync-group", message);
        found.push(finding.help("write it in the group, or `sync_group_tracking_weight` there"));
    };
    for track in instance.track_scripts.iter().filter(|track| read.has_weight(track)) {
        tell(track, "the script is not looked at");
    }
    for track in instance.track_interfaces.iter().filter(|track| !track.is_fatal()) {
        tell(track, "the address goes with its carrier");
    }
}
