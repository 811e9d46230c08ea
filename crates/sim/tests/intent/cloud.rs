//! What is asked of a small cluster, and what becomes of it.

use std::collections::BTreeMap;

use engine::intent::{Step, Wish};
use engine::procedure::{Deed, Plan, Wanted, plan, read};

/// A node on which no check passes: it takes nothing.
const UNFIT: &str = "node0";

/// Steps that do or fail, and requests that are refused.
pub(crate) fn steps() -> Vec<Wish> {
    let step = |node: usize, verb: &str| Step {
        node: format!("node{node}"),
        verb: verb.to_owned(),
        object: String::new(),
    };
    let requests = [
        ("vip/a", vec![step(0, "do"), step(1, "do")]),
        ("node/b", vec![step(2, "do"), step(1, "do"), step(2, "do")]),
        ("vip/c", vec![step(1, "do"), step(0, "fail"), step(2, "do")]),
        // Under way already.
        ("vip/a", vec![step(0, "do")]),
        ("vip/d", vec![]),
    ];
    let wish = |(object, steps): (&str, Vec<Step>)| {
        let (what, object) = ("move".to_owned(), object.to_owned());
        let of = |step| Step { object: object.clone(), ..step };
        let steps = steps.into_iter().map(of).collect();
        Wish { what, object, steps, ..Wish::default() }
    };
    requests.into_iter().map(wish).collect()
}

/// Every procedure of the product, as the agents plan it, the node that begins and the one that counts.
pub(crate) fn procedures() -> Vec<Wish> {
    let text = str::to_owned;
    let requests = [
        (Wanted::Drain { node: text("node1"), limit: 90 }, "node1", "node2"),
        (Wanted::Standby { node: text("node2") }, "node2", "node2"),
        (Wanted::Resume { node: text("node0") }, "node0", "node0"),
        (Wanted::Move { vip: text("a"), to: text("node1") }, "node2", "node2"),
        (Wanted::Move { vip: text("b"), to: text(UNFIT) }, "node2", "node2"),
        (Wanted::Use { pool: text("db"), to: text("node2") }, "node1", "node1"),
        (Wanted::Coordinate { to: text("node2") }, "node2", "node2"),
        (Wanted::Lead { to: text("node1") }, "node0", "node0"),
        // Under way already.
        (Wanted::Standby { node: text("node1") }, "node1", "node1"),
    ];
    let wish = |(wanted, node, counts): (Wanted, &str, &str)| {
        let Plan { what, object, steps } = plan(&wanted, node, counts);
        Wish { what: what.to_owned(), object, steps, ..Wish::default() }
    };
    requests.into_iter().map(wish).collect()
}

/// What the procedures change, by object: who holds, rests, is used, coordinates, leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Cloud(BTreeMap<String, String>);

impl Cloud {
    pub(crate) fn new() -> Self {
        let begins = [
            ("node/node0", "standby"),
            ("node/node1", "on"),
            ("node/node2", "on"),
            ("vip/a", "node2"),
            ("vip/b", "node2"),
            ("pool/db", "node0"),
            ("coordinator", "node0"),
            ("store", "node0"),
        ];
        Self(begins.map(|(object, is)| (object.to_owned(), is.to_owned())).into())
    }

    /// After all of [`procedures`] came to their ends.
    pub(crate) fn afterwards() -> Self {
        let mut cloud = Self::new();
        for (object, is) in [
            ("node/node0", "on"),
            ("node/node1", "draining"),
            ("node/node2", "standby"),
            ("vip/a", "node1"),
            ("pool/db", "node2"),
            ("coordinator", "node2"),
            ("store", "node1"),
        ] {
            cloud.0.insert(object.to_owned(), is.to_owned());
        }
        cloud
    }

    fn is(&self, object: &str) -> &str {
        self.0.get(object).map_or("", String::as_str)
    }

    /// What a step does, or why not.
    pub(crate) fn does(&mut self, what: &Step) -> Result<(), String> {
        match read(what) {
            Ok(Deed::Empty { node, .. }) if self.is(&format!("node/{node}")) == "on" => {
                Err(format!("{node} is on duty again"))
            }
            Ok(Deed::Empty { .. }) => Ok(()),
            Ok(Deed::Begin(wanted)) => {
                let (object, to) = target(&wanted);
                if to == UNFIT {
                    return Err(format!("{to} did not take {object}"));
                }
                self.0.insert(object, to);
                Ok(())
            }
            // A step that is none of the product's.
            Err(_) if what.verb == "fail" => Err("it does not work".to_owned()),
            Err(_) => Ok(()),
        }
    }

    /// Whether what a step wants is so; none: it cannot be seen.
    pub(crate) fn is_done(&self, what: &Step) -> Option<bool> {
        match read(what).ok()? {
            Deed::Empty { .. } => Some(false),
            Deed::Begin(wanted) => {
                let (object, to) = target(&wanted);
                Some(self.is(&object) == to)
            }
        }
    }
}

/// What is changed, and to what.
fn target(wanted: &Wanted) -> (String, String) {
    match wanted.clone() {
        Wanted::Standby { node } => (format!("node/{node}"), "standby".to_owned()),
        Wanted::Drain { node, .. } => (format!("node/{node}"), "draining".to_owned()),
        Wanted::Resume { node } => (format!("node/{node}"), "on".to_owned()),
        Wanted::Move { vip, to } => (format!("vip/{vip}"), to),
        Wanted::Anywhere { vip } => (format!("vip/{vip}"), "anywhere".to_owned()),
        Wanted::Use { pool, to } => (format!("pool/{pool}"), to),
        Wanted::Coordinate { to } => ("coordinator".to_owned(), to),
        Wanted::Lead { to } => ("store".to_owned(), to),
    }
}
