//! The proxy's counters: `show stat` on its stats socket, as any tool for HAProxy asks it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::{Chain, Time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

/// A proxy that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(1);
/// No table is longer (bytes): ten thousand servers fit.
const MAX_TABLE: u64 = 16 * 1024 * 1024;
/// Pages and scrapes within this share one question.
const FRESH: Duration = Duration::from_millis(900);

/// Whose row it is; the numbers of column `type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Frontend,
    Backend,
    Server,
}

/// One row, by the names of its columns.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) side: Side,
    pub(crate) proxy: String,
    pub(crate) server: String,
    columns: Arc<Vec<String>>,
    values: Vec<String>,
}

impl Row {
    /// None: not measured, or another program's table.
    pub(crate) fn number(&self, column: &str) -> Option<u64> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.values.get(at)?.parse().ok()
    }

    /// Columns with a value.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (&str, &str)> {
        let columns = self.columns.iter().map(String::as_str);
        let all = columns.zip(self.values.iter().map(String::as_str));
        all.filter(|(column, value)| !value.is_empty() && !["", "-"].contains(column))
    }
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatsError {
    #[error("cannot reach the proxy's stats socket")]
    Connect(#[source] io::Error),
    #[error("the stats socket's answer broke off")]
    Broken(#[source] io::Error),
    #[error("the stats socket did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("the stats socket answered no table")]
    NoTable,
}

/// The newest table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Arc<Vec<Row>>,
    /// Why there is none.
    pub(crate) silence: Option<String>,
}

impl Table {
    pub(crate) fn server(&self, proxy: &str, server: &str) -> Option<&Row> {
        let wanted = |row: &&Row| row.proxy == proxy && row.server == server;
        self.rows.iter().filter(|row| row.side == Side::Server).find(wanted)
    }

    pub(crate) fn side(&self, proxy: &str, side: Side) -> Option<&Row> {
        self.rows.iter().find(|row| row.side == side && row.proxy == proxy)
    }
}

/// Asks at most once per [`FRESH`], however many want to know.
#[derive(Debug)]
pub(crate) struct Counters {
    path: PathBuf,
    newest: Mutex<Option<(Time, Table)>>,
}

impl Counters {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, newest: Mutex::new(None) }
    }

    pub(crate) async fn table(&self) -> Table {
        let mut newest = self.newest.lock().await;
        let now = sys::clock::now();
        if let Some((at, table)) = &*newest
            && now.since(*at) < FRESH
        {
            return table.clone();
        }
        let table = match ask(&self.path).await {
            Ok(rows) => Table { rows: Arc::new(rows), silence: None },
            Err(error) => Table { rows: Arc::default(), silence: Some(Chain(&error).to_string()) },
        };
        *newest = Some((now, table.clone()));
        table
    }
}

async fn ask(path: &Path) -> Result<Vec<Row>, StatsError> {
    let work = async {
        let mut stream = UnixStream::connect(path).await.map_err(StatsError::Connect)?;
        stream.write_all(b"show stat\n").await.map_err(StatsError::Broken)?;
        let mut text = vec![];
        stream.take(MAX_TABLE).read_to_end(&mut text).await.map_err(StatsError::Broken)?;
        parse(&String::from_utf8_lossy(&text)).ok_or(StatsError::NoTable)
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(StatsError::Silent))
}

fn parse(text: &str) -> Option<Vec<Row>> {
    let mut lines = text.lines();
    let heading = lines.next()?.strip_prefix("# ")?;
    let columns: Arc<Vec<String>> = Arc::new(fields(heading));
    let at = |name: &str| columns.iter().position(|column| column == name);
    let (proxy, server, kind) = (at("pxname")?, at("svname")?, at("type")?);
    let row = |line: &str| {
        let values = fields(line);
        let side = match values.get(kind)?.as_str() {
            "0" => Side::Frontend,
            "1" => Side::Backend,
            "2" => Side::Server,
            _ => return None,
        };
        let (proxy, server) = (values.get(proxy)?.clone(), values.get(server)?.clone());
        Some(Row { side, proxy, server, columns: Arc::clone(&columns), values })
    };
    Some(lines.filter_map(row).collect())
}

/// A line of comma-separated values, with quotes doubled inside quotes (RFC 4180).
fn fields(line: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let last = found.last_mut().expect("there is one from the beginning");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                last.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => found.push(String::new()),
            other => last.push(other),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_names_of_columns_wherever_these_stand() {
        let text = "# pxname,svname,last_chk,type,scur,\nweb,FRONTEND,,0,5,\n\
                    web,node01,\"a \"\"b\"\", c\",2,3,\nweb,BACKEND,,1,,\nweb,sock-1,,3,,\n\n";
        let table = Table { rows: Arc::new(parse(text).unwrap()), silence: None };
        assert_eq!(table.rows.len(), 3);
        let server = table.server("web", "node01").unwrap();
        assert_eq!(server.number("scur"), Some(3));
        assert_eq!(server.values[2], "a \"b\", c");
        assert_eq!(table.side("web", Side::Frontend).unwrap().number("scur"), Some(5));
        assert_eq!(table.side("web", Side::Backend).unwrap().number("scur"), None);
        assert_eq!(server.number("no_such"), None);
    }

    #[test]
    fn what_is_no_table_is_none() {
        assert!(parse("Unknown command.\n").is_none());
        assert!(parse("").is_none());
        assert!(parse("# a,b\n1,2\n").is_none());
    }
}
