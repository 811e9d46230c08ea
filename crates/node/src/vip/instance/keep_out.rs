//! Addresses that this node holds for others alone (`no_accept`): it forwards by them and answers for them, and nobody reaches it there.

use std::net::IpAddr;

use sys::nft::Tables;

use super::Instance;

/// The owner accepts in any case (RFC 9568 6.1).
const OWNER: u8 = 255;

pub(in crate::vip) fn is_kept_out(vip: &config::vip::Vip) -> bool {
    !vip.accepts && vip.priority != OWNER
}

/// Of that group alone.
pub(in crate::vip) fn table(vip: &config::vip::Vip) -> String {
    let kind = if vip.is_v6() { 6 } else { 4 };
    format!("outlast.{}.{}.{kind}", vip.interface, vip.router_id)
}

/// All of these, of which nothing is here any more.
pub(in crate::vip) fn let_in<'a>(vips: impl Iterator<Item = &'a config::vip::Vip>) {
    let mut all = vips.filter(|vip| is_kept_out(vip)).peekable();
    let Some(tables) = all.peek().and_then(|_| Tables::open().ok()) else { return };
    // A table without its addresses does nothing.
    all.for_each(|vip| drop(tables.let_in(&table(vip))));
}

/// How the kernel is told, and what it said.
#[derive(Debug, Default)]
pub(super) struct KeptOut {
    tables: Option<Tables>,
    refused: String,
    told: String,
}

impl KeptOut {
    /// In the namespace of the instance.
    pub(super) fn new(vip: &config::vip::Vip) -> Self {
        let tables = is_kept_out(vip).then(Tables::open).and_then(Result::ok);
        Self { tables, ..Self::default() }
    }
}

impl Instance {
    /// Before its addresses are here.
    pub(super) fn keep_out(&mut self) {
        if !is_kept_out(&self.vip) {
            return;
        }
        let device = |name: &str| self.indexes.get(name).copied().unwrap_or(0);
        let places = self.vip.places();
        let places: Vec<(IpAddr, u32)> = places.map(|(ip, _, name)| (ip, device(name))).collect();
        self.kept_out.refused = match &self.kept_out.tables {
            Some(tables) => tables.keep_out(&table(&self.vip), &places).err(),
            None => Some(std::io::ErrorKind::Unsupported.into()),
        }
        .map_or_else(String::new, |error| error.to_string());
    }

    /// After its addresses are gone. An empty table does nothing, so what is refused harms nobody.
    pub(super) fn let_in(&self) {
        let tables = self.kept_out.tables.as_ref();
        let _empty = tables.map(|tables| tables.let_in(&table(&self.vip)));
    }

    /// Of one that was adopted and accepts: the process before may have been told otherwise.
    pub(in crate::vip) fn accept_again(&self) {
        if !is_kept_out(&self.vip) {
            let _none = Tables::open().map(|tables| tables.forget(&table(&self.vip)));
        }
    }

    /// What the kernel did not do, if the event log does not know it yet; empty: it did.
    pub(in crate::vip) fn kept_out_news(&mut self) -> Option<String> {
        let news = &mut self.kept_out;
        let is_news = news.refused != news.told;
        news.told.clone_from(&news.refused);
        is_news.then(|| news.refused.clone())
    }
}
