//! Each page for programs: the same facts as JSON.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::page::{self, Place, View};
use crate::trouble;

pub(crate) const JSON: &str = "application/json";

/// 503 where nothing was ever heard.
pub(crate) fn answer(view: &View, place: &Place) -> Response {
    let status =
        if view.heard.status.is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut text = body(view, place).to_string();
    text.push('\n');
    (status, [(header::CONTENT_TYPE, JSON)], text).into_response()
}

fn body(view: &View, place: &Place) -> Value {
    let heard = &view.heard;
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("node", json!(&*view.host));
    put("stale", json!(view.is_stale()));
    put("silence", json!(heard.silence));
    let Some(status) = &heard.status else {
        put("age_ms", Value::Null);
        return Value::Object(body);
    };
    let age = u64::try_from(heard.age(view.now).as_millis()).unwrap_or(u64::MAX);
    put("age_ms", json!(age));
    put("at_ms", json!(status.at_ms));
    match place {
        Place::Overview => {
            put("troubles", json!(trouble::all(status)));
            put("status", json!(**status));
            put("events", json!(heard.events));
        }
        Place::Cluster => {
            put("networks", json!(status.networks));
            put("nodes", json!(status.nodes));
            put("vips", json!(status.vips));
            put("choices", json!(status.choices));
            put("generation", json!(status.generation));
            let store = status.processes.iter().find(|process| process.role == api::Role::Store);
            put("store", json!(store));
            put("store_state", json!(status.store));
        }
        Place::Nodes(number) => {
            put("networks", json!(status.networks));
            put("page", json!(number));
            put("nodes", json!(page::nodes::leaf(status, *number)));
        }
        Place::Events => {
            put("events", json!(heard.events));
        }
        Place::Vip(name) => {
            put("vip", json!(status.vips.iter().find(|vip| vip.name == *name)));
        }
        Place::Pool(name) => {
            let servers = status.servers.iter().filter(|server| server.proxy == *name);
            put("pool", json!(status.proxies.iter().find(|proxy| proxy.name == *name)));
            put("servers", json!(servers.collect::<Vec<_>>()));
            put("choice", json!(status.choices.iter().find(|choice| choice.proxy == *name)));
            put("counters", counters(view, name));
        }
        Place::Node(name) => {
            put("state", json!(status.nodes.iter().find(|line| line.state.node == *name)));
            if *name == status.node {
                put("processes", json!(status.processes));
                put("balancer", json!(status.balancer));
            }
        }
    }
    match &view.why {
        Some(Ok(why)) => put("why", json!(why)),
        Some(Err(silence)) => put("why_not", json!(silence)),
        None => None,
    };
    Value::Object(body)
}

fn counters(view: &View, pool: &str) -> Value {
    let rows = view.counters.iter().flat_map(|table| table.rows.iter());
    let rows = rows.filter(|row| row.proxy == pool).map(|row| {
        let mut object = Map::new();
        for (column, value) in row.filled() {
            let value = value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number));
            object.insert(column.to_owned(), value);
        }
        Value::Object(object)
    });
    Value::Array(rows.collect())
}
