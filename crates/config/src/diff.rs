//! What changes between two configurations, item by item, and the mildest thing that makes it so.
//!
//! Both are laid out as items (`vip/internal`, `server/keystone/node01`), each with named fields;
//! then the lists are compared. Every struct is taken apart without `..`, so that a new field does
//! not compile before somebody said which item it belongs to and what a change of it needs. Comments,
//! the order of lines without meaning, and the file in which something stands are no fields.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Loaded;
pub use crate::secret::HIDDEN;

mod cluster;
mod keepalived;
mod proxies;
mod receivers;
mod rules;
mod servers;

/// What has to happen on a node before a change is in force; the later, the harsher.
///
/// This is what a reload (SIGHUP) of `outlast run` does, but for [`Needs::Node`], which it refuses.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Needs {
    /// No process reads it after its start, or none at all.
    Nothing,
    /// A new agent: beats pause for some 10 ms.
    Agent,
    /// A new process for the dashboard.
    Dashboard,
    /// A new process for the store: this node is missed for some 100 ms.
    Store,
    /// A proxy of the next generation; the one before drains. No connection is lost.
    Proxy,
    /// A new vip process; every address stays where it is.
    Vip,
    /// Addresses come, go, or are handed over: the one step that clients may notice.
    Move,
    /// A restart of outlast on the node: rights, folders and the set of processes are settled then.
    Node,
}

impl Needs {
    pub const ALL: [Self; 8] = [
        Self::Nothing,
        Self::Agent,
        Self::Dashboard,
        Self::Store,
        Self::Proxy,
        Self::Vip,
        Self::Move,
        Self::Node,
    ];

    /// One word, for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Agent => "agent",
            Self::Dashboard => "dashboard",
            Self::Store => "store",
            Self::Proxy => "proxy",
            Self::Vip => "vip",
            Self::Move => "move",
            Self::Node => "node",
        }
    }

    /// What happens, for people.
    #[must_use]
    pub const fn means(self) -> &'static str {
        match self {
            Self::Nothing => "nothing happens",
            Self::Agent => "a new agent",
            Self::Dashboard => "a new dashboard process",
            Self::Store => "a new store process",
            Self::Proxy => "a new proxy generation, the old one drains",
            Self::Vip => "a new vip process, addresses stay",
            Self::Move => "addresses come, go or move",
            Self::Node => "restart outlast on the node",
        }
    }
}

/// One thing that was added, removed or altered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// `vip/internal`, `server/keystone/node01`, `listener/keystone/10.0.0.1:5000`, `global`.
    pub object: String,
    pub how: How,
    /// The harshest of what its fields need.
    pub needs: Needs,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum How {
    Added,
    Removed,
    Altered(Vec<Altered>),
}

/// One field with another value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Altered {
    pub field: &'static str,
    /// As the file would say it; `-` where it says nothing, `(secret)` where nobody may read along.
    pub old: String,
    pub new: String,
    pub needs: Needs,
}

/// What stands for a value that is not there.
pub const NONE: &str = "-";

/// What changes from `old` to `new`, in the order of the items; what is gone comes last.
///
/// The contents of files that the configuration only names (secrets, scripts) are not looked at.
#[must_use]
pub fn diff(old: &Loaded, new: &Loaded) -> Vec<Change> {
    let (before, after) = (Layout::of(old), Layout::of(new));
    let mut changes = vec![];
    for (object, item) in after.items() {
        match before.get(object) {
            None => changes.push(whole(object, How::Added, item)),
            Some(known) => changes.extend(altered(object, known, item)),
        }
    }
    let gone = before.items().filter(|(object, _)| after.get(object).is_none());
    changes.extend(gone.map(|(object, item)| whole(object, How::Removed, item)));
    changes
}

/// What the changes do not show: what goes wrong between nodes while some have the new configuration and some the old
/// one, or what happens on all of them at once. One sentence each.
#[must_use]
pub fn cautions(old: &Loaded, new: &Loaded) -> Vec<String> {
    let (Some(old), Some(new)) = (&old.cluster, &new.cluster) else { return vec![] };
    let mut found = vec![];
    let (short, long) = (old.detect.min(new.detect), old.detect.max(new.detect));
    if !between(short, long).is_empty() {
        found.push(format!(
            "detect changes too far for a running cluster: while nodes change one after the other, those with \
             {short:?} miss those with {long:?}, which beat too seldom for them. Change it in steps of at most \
             {MOST_AT_ONCE} times, each once all nodes have the one before; from {ANY_STEP:?} to anything longer is \
             one step"
        ));
    }
    let at = |cluster: &crate::cluster::Cluster| {
        cluster
            .nodes
            .iter()
            .map(|node| (node.name.clone(), node.addresses.clone()))
            .collect::<Vec<_>>()
    };
    if old.store.is_some() && new.store.is_some() && at(old) != at(new) {
        found.push(
            "nodes or their addresses change: every member starts its store process anew as it takes that, by a \
             generation one after the other; where files are copied by hand, reload one member at a time"
                .to_owned(),
        );
    }
    found
}

/// What `detect` has to be in between, one generation each, where it changes too far for one; in the order in which
/// they are applied.
#[must_use]
pub fn steps_of_detect(old: &Loaded, new: &Loaded) -> Vec<Duration> {
    let (Some(old), Some(new)) = (&old.cluster, &new.cluster) else { return vec![] };
    let mut steps = between(old.detect.min(new.detect), old.detect.max(new.detect));
    if old.detect > new.detect {
        steps.reverse();
    }
    steps
}

fn between(short: Duration, long: Duration) -> Vec<Duration> {
    let mut steps = vec![];
    let mut at = short;
    while at < ANY_STEP && long > at * MOST_AT_ONCE {
        at *= MOST_AT_ONCE;
        steps.push(at);
    }
    steps
}

/// Beats are a tenth of the detection time apart, at most 1 s: with these, at least two more come within the
/// shorter time when one is lost.
const MOST_AT_ONCE: u32 = 3;
const ANY_STEP: Duration = Duration::from_secs(3);

fn whole(object: &str, how: How, item: &Item) -> Change {
    Change { object: object.to_owned(), how, needs: item.comes_and_goes }
}

fn altered(object: &str, old: &Item, new: &Item) -> Option<Change> {
    let value = |item: &Item, name: &str| {
        item.fields.iter().find(|field| field.name == name).map(|field| field.value.clone())
    };
    let mut found: Vec<Altered> = vec![];
    for field in new.fields.iter().chain(&old.fields) {
        let (before, after) = (value(old, field.name), value(new, field.name));
        if before == after || found.iter().any(|known| known.field == field.name) {
            continue;
        }
        let shown = |value: Option<String>| match value {
            Some(_) if field.is_secret => HIDDEN.to_owned(),
            Some(value) => value,
            None => NONE.to_owned(),
        };
        let (old, new) = (shown(before), shown(after));
        found.push(Altered { field: field.name, old, new, needs: field.needs });
    }
    let needs = found.iter().map(|field| field.needs).max()?;
    Some(Change { object: object.to_owned(), how: How::Altered(found), needs })
}

/// One configuration as a list of items.
#[derive(Debug, Default)]
struct Layout {
    order: Vec<String>,
    items: BTreeMap<String, Item>,
}

#[derive(Debug)]
struct Item {
    fields: Vec<Field>,
    /// What it takes when the whole item comes or goes.
    comes_and_goes: Needs,
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    value: String,
    needs: Needs,
    is_secret: bool,
}

impl Layout {
    fn of(loaded: &Loaded) -> Self {
        let mut layout = Self::default();
        if let Some(file) = &loaded.cluster {
            cluster::lay_out(file, &mut layout);
        }
        if let Some(file) = &loaded.keepalived {
            keepalived::lay_out(file, &mut layout);
        }
        if let Some(file) = &loaded.haproxy {
            proxies::lay_out(file, &mut layout);
        }
        layout
    }

    fn items(&self) -> impl Iterator<Item = (&String, &Item)> {
        self.order.iter().filter_map(|object| self.items.get_key_value(object))
    }

    fn get(&self, object: &str) -> Option<&Item> {
        self.items.get(object)
    }

    /// A second one of the same name, which only a broken file has, gets a number.
    fn add(&mut self, object: &str, comes_and_goes: Needs) -> Fields<'_> {
        let names = std::iter::once(object.to_owned())
            .chain((2..).map(|number| format!("{object} ({number})")));
        let mut names = names.filter(|name| !self.items.contains_key(name));
        let name = names.next().unwrap_or_default();
        drop(names);
        self.order.push(name.clone());
        let item = Item { fields: vec![], comes_and_goes };
        Fields(self.items.entry(name).or_insert(item))
    }
}

/// The fields of one item while it is laid out.
struct Fields<'a>(&'a mut Item);

impl Fields<'_> {
    /// A value that is always there.
    fn set(&mut self, name: &'static str, value: impl ToString, needs: Needs) -> &mut Self {
        self.add(name, value.to_string(), needs, false)
    }

    /// A value that may be missing.
    fn maybe(
        &mut self,
        name: &'static str,
        value: Option<impl ToString>,
        needs: Needs,
    ) -> &mut Self {
        match value {
            Some(value) => self.set(name, value, needs),
            None => self,
        }
    }

    /// A switch that is on.
    fn flag(&mut self, name: &'static str, on: bool, needs: Needs) -> &mut Self {
        self.maybe(name, on.then_some("on"), needs)
    }

    fn time(&mut self, name: &'static str, value: Option<Duration>, needs: Needs) -> &mut Self {
        self.maybe(name, value.map(|value| format!("{value:?}")), needs)
    }

    /// Values whose order counts.
    fn list<T: ToString>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
        needs: Needs,
    ) -> &mut Self {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        self.maybe(name, (!values.is_empty()).then(|| values.join(", ")), needs)
    }

    /// A value that nobody may read along.
    fn secret(
        &mut self,
        name: &'static str,
        value: Option<impl ToString>,
        needs: Needs,
    ) -> &mut Self {
        debug_assert!(crate::secret::KEYWORDS.contains(&name), "{name} is shown by findings");
        match value {
            Some(value) => self.add(name, value.to_string(), needs, true),
            None => self,
        }
    }

    fn add(
        &mut self,
        name: &'static str,
        value: String,
        needs: Needs,
        is_secret: bool,
    ) -> &mut Self {
        self.0.fields.push(Field { name, value, needs, is_secret });
        self
    }
}
