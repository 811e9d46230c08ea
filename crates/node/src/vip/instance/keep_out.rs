//! Addresses that this node has for others alone (`no_accept`): it forwards by them and answers for them, and nobody reaches it there.
//!
//! A table stands from the start of the process to its end: packets for an address that is not here are not for this node in any case,
//! and a claim waits for nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::Report;
use sys::nft::{self, Tables};

use super::super::slow::{Orders, Task};
use super::super::{Driver, tell};
use super::Instance;

/// The owner accepts in any case (RFC 9568 6.1).
const OWNER: u8 = 255;
/// All that we make are called so.
const PREFIX: &str = "outlast.";

pub(in crate::vip) fn is_kept_out(vip: &config::vip::Vip) -> bool {
    !vip.accepts && vip.priority != OWNER
}

/// Of that group alone.
pub(in crate::vip) fn table(vip: &config::vip::Vip) -> String {
    let kind = if vip.is_v6() { 6 } else { 4 };
    format!("{PREFIX}{}.{}.{kind}", vip.interface, vip.router_id)
}

/// All of these, of which nothing is here any more.
pub(in crate::vip) fn let_in<'a>(vips: impl Iterator<Item = &'a config::vip::Vip>) {
    let all: Vec<String> = vips.filter(|vip| is_kept_out(vip)).map(table).collect();
    if !all.is_empty() {
        // One that stays is looked for at the next start.
        let _kept = Tables::open().and_then(|tables| tables.forget(all.iter().map(String::as_str)));
    }
}

/// Those that are none of these, of a process that was killed with all that could have removed them. A kernel that has no
/// tables yet is not made to load what makes them.
fn left_over(wanted: &BTreeSet<String>) -> Vec<String> {
    if !nft::is_there() {
        return vec![];
    }
    let names = Tables::open().and_then(|tables| tables.names()).unwrap_or_default();
    names.into_iter().filter(|name| name.starts_with(PREFIX) && !wanted.contains(name)).collect()
}

/// How the kernel is told, and what it said.
#[derive(Debug, Default)]
pub(super) struct KeptOut {
    orders: Option<Orders>,
    /// As it was told last.
    table: String,
    places: Vec<(IpAddr, u32)>,
    refused: String,
    told: String,
}

impl KeptOut {
    pub(super) fn new(vip: &config::vip::Vip, orders: Option<&Orders>) -> Self {
        let orders = orders.filter(|_| is_kept_out(vip)).cloned();
        Self { orders, ..Self::default() }
    }
}

impl Instance {
    /// Before its addresses are here; nothing happens where the kernel was told the same before.
    pub(super) fn keep_out(&mut self) {
        let Some(orders) = self.kept_out.orders.clone() else { return };
        // Of one whose network is not there yet nothing can be here.
        if self.vip.interface.is_empty() {
            return;
        }
        let device = |name: &str| self.indexes.get(name).copied().unwrap_or(0);
        let places = self.vip.places();
        let places: Vec<(IpAddr, u32)> = places.map(|(ip, _, name)| (ip, device(name))).collect();
        let table = table(&self.vip);
        let told = &mut self.kept_out;
        if (&told.table, &told.places) == (&table, &places) {
            return;
        }
        let before = std::mem::replace(&mut told.table, table.clone());
        told.places.clone_from(&places);
        let instance = usize::from(self.number);
        orders.give(Task::KeepOut { instance, table: table.clone(), places });
        if !before.is_empty() && before != table {
            orders.give(Task::Forget { tables: vec![before] });
        }
    }

    /// What the kernel did not do, if the event log does not know it yet; empty: it did.
    fn kept_out_news(&mut self) -> Option<String> {
        let news = &mut self.kept_out;
        let is_news = news.refused != news.told;
        news.told.clone_from(&news.refused);
        is_news.then(|| news.refused.clone())
    }
}

impl Driver<'_> {
    /// Tables of groups that are kept out no more go, those of all that are stand from now on.
    pub(in crate::vip) fn begin_kept_out(&mut self) {
        let kept_out = self.instances.iter().map(|it| &it.vip).filter(|vip| is_kept_out(vip));
        let left = left_over(&kept_out.map(table).collect());
        if !left.is_empty() {
            self.do_slowly(Task::Forget { tables: left });
        }
        self.instances.iter_mut().for_each(Instance::keep_out);
    }

    pub(in crate::vip) fn note_kept_out(&mut self, number: usize, refused: String) {
        let Some(instance) = self.instances.get_mut(number) else { return };
        instance.kept_out.refused = refused;
        if let Some(refused) = instance.kept_out_news() {
            let event = tell::kept_out(&self.instances[number], &self.node, &refused);
            self.tell(&Report::Event(event));
        }
    }

    /// Nobody follows this process: what it ordered before is done, and its tables go.
    pub(in crate::vip) fn end_slow(&mut self) {
        let tables = self.instances.iter().map(|it| it.kept_out.table.clone());
        let tables: Vec<String> = tables.filter(|table| !table.is_empty()).collect();
        if !tables.is_empty() {
            self.do_slowly(Task::Forget { tables });
        }
        if let Some(slow) = self.around.slow.take() {
            slow.finish();
        }
    }
}
