//! What is where.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::gate::Counts;
use crate::guard::{self, Door};
use crate::heard::{Heard, Watch};
use crate::page::{self, Place, View};
use crate::reasons::Reasons;
use crate::stats::Counters;
use crate::{live, metrics, twin};

/// What every answer is made from.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) host: Arc<str>,
    pub(crate) watch: Watch,
    pub(crate) counters: Arc<Counters>,
    pub(crate) reasons: Arc<Reasons>,
    pub(crate) handshakes: Arc<Counts>,
}

pub(crate) fn router(site: Site, door: Door) -> Router {
    Router::new()
        .route("/live", get(live::stream))
        .route("/metrics", get(metrics::scrape))
        .route("/assets/{name}", get(asset))
        .fallback(get(answer))
        .with_state(site)
        .layer(middleware::from_fn_with_state(door, guard::guard))
}

impl Site {
    /// A page's material, from what was heard now or a moment ago.
    pub(crate) async fn view(&self, place: &Place, heard: Arc<Heard>) -> View {
        let is_stale = heard.is_stale(sys::clock::now());
        let why = match place.object() {
            // Who is silent is not asked again, so that the page comes at once.
            Some(_) if is_stale => Some(Err("the agent does not answer".to_owned())),
            Some(object) => Some(self.reasons.why(&self.watch, object, heard.at).await),
            None => None,
        };
        let counters =
            if place.wants_counters() { Some(self.counters.table().await) } else { None };
        View { host: Arc::clone(&self.host), heard, now: sys::clock::now(), why, counters }
    }
}

/// A page, or its twin for programs.
async fn answer(State(site): State<Site>, uri: Uri) -> Response {
    let path = uri.path();
    let heard = site.watch.fresh().await;
    let exists = |place: &Place| heard.status.as_ref().is_none_or(|status| place.exists(status));
    // An object may be called `x.json`, so a page is looked for first.
    if let Some(place) = Place::of(path).filter(|place| exists(place) && !is_twin(path, &heard)) {
        let view = site.view(&place, Arc::clone(&heard)).await;
        return html(StatusCode::OK, page::document(&place, &view).into_string());
    }
    let stem = path.strip_suffix(".json").map(|stem| if stem == "/index" { "/" } else { stem });
    if let Some(place) = stem.and_then(Place::of).filter(&exists) {
        return twin::answer(&site.view(&place, Arc::clone(&heard)).await, &place);
    }
    if stem.is_some() {
        let body = "{\"error\":\"there is no such object\"}\n";
        return (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, twin::JSON)], body).into_response();
    }
    let view = site.view(&Place::Overview, heard).await;
    html(StatusCode::NOT_FOUND, page::nowhere(&view).into_string())
}

/// Before the first status nothing is known to exist, and the ending decides.
fn is_twin(path: &str, heard: &Heard) -> bool {
    heard.status.is_none() && path.ends_with(".json")
}

fn html(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

/// Files that never change under one name.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Files of this program: a new version has new ones.
const ASK: &str = "no-cache";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// One file: htmx looks at the page as soon as its own has run, and an extension that comes later
/// is never asked, so the page would not be live.
const HTMX: &str = concat!(
    include_str!("../assets/htmx-4.0.1.min.js"),
    ";\n",
    include_str!("../assets/hx-sse-4.0.1.min.js")
);

async fn asset(axum::extract::Path(name): axum::extract::Path<String>) -> Response {
    let (kind, keep, text) = match name.as_str() {
        "outlast.css" => ("text/css; charset=utf-8", ASK, include_str!("../assets/outlast.css")),
        "outlast.svg" => ("image/svg+xml", ASK, include_str!("../assets/outlast.svg")),
        "live.js" => (SCRIPT, ASK, include_str!("../assets/live.js")),
        "htmx-sse-4.0.1.min.js" => (SCRIPT, FOREVER, HTMX),
        "LICENSE-htmx" => {
            ("text/plain; charset=utf-8", FOREVER, include_str!("../assets/LICENSE-htmx"))
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)], text).into_response()
}
