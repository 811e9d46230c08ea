//! What the proxy counts.

use super::family::Text;
use super::float;
use crate::stats::{Row, Side, Table};

/// Metric and column of `show stat`.
const FRONTEND: [(&str, &str); 6] = [
    ("outlast_frontend_sessions", "scur"),
    ("outlast_frontend_sessions_total", "stot"),
    ("outlast_frontend_received_bytes_total", "bin"),
    ("outlast_frontend_sent_bytes_total", "bout"),
    ("outlast_frontend_requests_total", "req_tot"),
    ("outlast_frontend_request_errors_total", "ereq"),
];

const BACKEND: [(&str, &str); 3] = [
    ("outlast_backend_sessions", "scur"),
    ("outlast_backend_sessions_total", "stot"),
    ("outlast_backend_queued_requests", "qcur"),
];

const SERVER: [(&str, &str); 8] = [
    ("outlast_server_sessions", "scur"),
    ("outlast_server_sessions_total", "stot"),
    ("outlast_server_received_bytes_total", "bin"),
    ("outlast_server_sent_bytes_total", "bout"),
    ("outlast_server_connection_errors_total", "econ"),
    ("outlast_server_response_errors_total", "eresp"),
    ("outlast_server_retries_total", "wretr"),
    ("outlast_server_redispatches_total", "wredis"),
];

const CLASSES: [(&str, &str); 6] = [
    ("1xx", "hrsp_1xx"),
    ("2xx", "hrsp_2xx"),
    ("3xx", "hrsp_3xx"),
    ("4xx", "hrsp_4xx"),
    ("5xx", "hrsp_5xx"),
    ("other", "hrsp_other"),
];

pub(super) fn write(text: &mut Text, table: &Table) {
    for row in table.rows.iter() {
        let pool = ("pool", row.proxy.as_str());
        let server = ("server", row.server.as_str());
        match row.side {
            Side::Frontend => {
                put(text, row, &FRONTEND, &[pool]);
                classes(text, row, "outlast_frontend_responses_total", &[pool]);
            }
            Side::Backend => put(text, row, &BACKEND, &[pool]),
            Side::Server => {
                put(text, row, &SERVER, &[pool, server]);
                classes(text, row, "outlast_server_responses_total", &[pool, server]);
            }
        }
    }
}

/// What is not measured has no sample: zero would be a guess.
fn put(text: &mut Text, row: &Row, columns: &[(&str, &str)], labels: &[(&str, &str)]) {
    for (name, column) in columns {
        if let Some(number) = row.number(column) {
            text.put(name, labels, float(number));
        }
    }
}

fn classes(text: &mut Text, row: &Row, name: &str, labels: &[(&str, &str)]) {
    for (class, column) in CLASSES {
        if let Some(number) = row.number(column) {
            let mut labels = labels.to_vec();
            labels.push(("class", class));
            text.put(name, &labels, float(number));
        }
    }
}
