//! The tables of the screen, as text with a tone; colour comes later and is never the only sign.

use std::time::Duration;

use api::{
    BalancerState, Cell as Proof, NodeLine, ServerState, Standing, Status, Verdict, VipLine,
    VipRole,
};

use super::known::STALE;
use crate::words;

/// With more servers that are not well (a node is silent) each pool names its own in one line.
const MOST_SERVERS: usize = 8;

/// What a text means; the theme makes colours or weights of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Good,
    /// Not as it should be, nobody suffers yet.
    Watch,
    Bad,
    Dim,
}

#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    /// What a question would be about.
    pub(super) object: String,
    /// Of the sign before it.
    pub(super) tone: Tone,
    pub(super) cells: Vec<Cell>,
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) title: String,
    /// A narrow terminal drops the highest first; 0 stays.
    pub(super) drop: u8,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
}

fn cell(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone }
}

fn plain(text: impl Into<String>) -> Cell {
    cell(text, Tone::Plain)
}

fn columns(titles: &[(&str, u8)]) -> Vec<Column> {
    titles.iter().map(|(title, drop)| Column { title: (*title).to_owned(), drop: *drop }).collect()
}

/// All tables, without lines that the filter hides; `age` is that of the status.
pub(super) fn tables(status: &Status, filter: &str, age: Duration) -> Vec<Table> {
    let mut tables = vec![vips(status), nodes(status, age), pools(status)];
    let filter = filter.to_lowercase();
    let matches = |row: &Row| {
        let text = row.cells.iter().map(|cell| cell.text.as_str());
        text.chain([row.object.as_str()]).any(|text| text.to_lowercase().contains(&filter))
    };
    for table in &mut tables {
        table.rows.retain(matches);
    }
    tables.retain(|table| !table.rows.is_empty());
    tables
}

/// What can be selected, from top to bottom.
pub(super) fn objects(status: &Status, filter: &str) -> Vec<String> {
    let tables = tables(status, filter, Duration::ZERO);
    tables.into_iter().flat_map(|table| table.rows).map(|row| row.object).collect()
}

fn nodes(status: &Status, age: Duration) -> Table {
    let mut columns = columns(&[("NODE", 0), ("VERDICT", 0)]);
    let network = |name: &String| Column { title: name.clone(), drop: 1 };
    columns.extend(status.networks.iter().map(network));
    columns.extend(self::columns(&[
        ("CPU", 5),
        ("MEMORY", 6),
        ("FIBRE", 7),
        ("HOLDS", 2),
        ("WHY", 4),
    ]));
    let listed = status.listed(false);
    let mut rows: Vec<Row> = listed.lines.iter().map(|line| node(line, status, age)).collect();
    rows.extend(listed.words().map(|words| Row {
        object: format!("node/{}", status.node),
        tone: Tone::Dim,
        cells: vec![cell(words, Tone::Dim)],
    }));
    Table { columns, rows }
}

fn node(line: &NodeLine, status: &Status, age: Duration) -> Row {
    let node = &line.state;
    let mut tone = match node.standing {
        Standing::Alive => Tone::Good,
        Standing::Suspect => Tone::Bad,
        Standing::Unknown => Tone::Watch,
        Standing::Left => Tone::Dim,
    };
    if matches!(node.opinion.verdict, Verdict::CutOff | Verdict::Suspect) && tone == Tone::Good {
        tone = Tone::Watch;
    }
    let verdict = words::opinion(node);
    // An old answer says what was concluded, not what is.
    let verdict = if age > STALE { format!("was {verdict}") } else { verdict };
    let mut cells = vec![cell(&node.node, Tone::Strong), cell(verdict, tone)];
    for network in &status.networks {
        let found = node.cells.iter().find(|proof| proof.network == *network);
        cells.push(found.map_or_else(|| plain("-"), |found| proof(found, age)));
    }
    cells.extend(words::load(line).into_iter().map(plain));
    let holds = line.holds.join(" ");
    cells.push(if holds.is_empty() { plain("-") } else { cell(holds, Tone::Strong) });
    cells.push(cell(words::why(node), Tone::Dim));
    Row { object: format!("node/{}", node.node), tone, cells }
}

/// An old answer says what was, not what is.
fn proof(proof: &Proof, later: Duration) -> Cell {
    let Some(age) = words::cell_age(proof, later) else {
        let tone = if proof.alive { Tone::Dim } else { Tone::Watch };
        return cell(words::cell(proof), tone);
    };
    match (proof.alive, later > STALE) {
        (true, false) => cell(format!("up {age}"), Tone::Good),
        (true, true) => cell(format!("was up {age}"), Tone::Watch),
        (false, _) => cell(format!("SILENT {age}"), Tone::Bad),
    }
}

fn vips(status: &Status) -> Table {
    let columns = columns(&[
        ("VIP", 0),
        ("ADDRESSES", 3),
        ("HOLDER", 0),
        ("NEXT", 1),
        ("HERE", 2),
        ("WHY", 4),
    ]);
    Table { columns, rows: status.vips.iter().map(vip).collect() }
}

fn vip(vip: &VipLine) -> Row {
    let here = match vip.state.role {
        VipRole::Fault => Tone::Bad,
        VipRole::Master | VipRole::Backup => Tone::Plain,
    };
    let holder = match vip.holders.len() {
        1 => Tone::Good,
        0 => Tone::Watch,
        _ => Tone::Bad,
    };
    let role = words::vip_role(vip.state.role);
    let holds = if vip.state.holding { format!("{role}, holds") } else { role.to_owned() };
    let cells = vec![
        cell(&vip.name, Tone::Strong),
        plain(vip.addresses.join(" ")),
        cell(words::holders(vip), holder),
        plain(words::next(vip)),
        cell(holds, here),
        cell(vip.state.cause.map_or("", words::cause), Tone::Dim),
    ];
    let tone = if here == Tone::Bad { Tone::Bad } else { holder };
    Row { object: format!("vip/{}", vip.name), tone, cells }
}

/// Pools that are not well come first, each with its servers that are not.
fn pools(status: &Status) -> Table {
    let columns = columns(&[("POOL, SERVER", 0), ("STATE", 0), ("WHY", 1)]);
    let mut rows = vec![];
    if status.balancer != BalancerState::Absent {
        rows.push(balancer(status));
    }
    let mut names: Vec<&str> = vec![];
    for server in &status.servers {
        if !names.contains(&server.proxy.as_str()) {
            names.push(&server.proxy);
        }
    }
    let of = |name: &str| -> Vec<&ServerState> {
        status.servers.iter().filter(|server| server.proxy == name).collect()
    };
    let is_well = |name: &&&str| of(name).iter().all(|server| words::is_up(server));
    let (well, ill): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| is_well(name));
    let down = status.servers.iter().filter(|server| !words::is_up(server)).count();
    for name in ill.into_iter().chain(well) {
        pool(status, name, &of(name), down <= MOST_SERVERS, &mut rows);
    }
    Table { columns, rows }
}

fn balancer(status: &Status) -> Row {
    let tone = match status.balancer {
        BalancerState::Serving => Tone::Good,
        BalancerState::Replacing => Tone::Watch,
        BalancerState::Failed => Tone::Bad,
        BalancerState::Absent => Tone::Plain,
    };
    let cells = vec![
        cell("balancer", Tone::Strong),
        cell(words::balancer(status.balancer), tone),
        plain(words::servers_up(status)),
    ];
    Row { object: "balancer".to_owned(), tone, cells }
}

fn pool(
    status: &Status,
    name: &str,
    servers: &[&ServerState],
    one_by_one: bool,
    rows: &mut Vec<Row>,
) {
    let up = servers.iter().filter(|server| words::is_up(server)).count();
    let tone = match up {
        0 => Tone::Bad,
        up if up < servers.len() => Tone::Watch,
        _ => Tone::Good,
    };
    let choice = status.choices.iter().find(|choice| choice.proxy == name);
    let choice =
        choice.map(|choice| format!("one writer: {} (choice {})", choice.server, choice.term));
    let ill = || servers.iter().filter(|server| !words::is_up(server));
    let short = ill().map(|server| format!("{} {}", server.server, words::server(server)));
    let said = choice.into_iter().chain(short.filter(|_| !one_by_one)).collect::<Vec<_>>();
    let cells = vec![
        cell(name, Tone::Strong),
        cell(format!("{up} of {} up", servers.len()), tone),
        plain(said.join("; ")),
    ];
    rows.push(Row { object: format!("pool/{name}"), tone, cells });
    for server in ill().filter(|_| one_by_one) {
        let tone = if server.suspect { Tone::Watch } else { Tone::Bad };
        let cells = vec![
            plain(format!("  {}", server.server)),
            cell(words::server(server), tone),
            cell(words::server_why(server), Tone::Dim),
        ];
        let object = format!("server/{name}/{}", server.server);
        rows.push(Row { object, tone, cells });
    }
}
