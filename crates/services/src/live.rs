//! The live stream: fragments of a page as they change, over server-sent events.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Bytes, Frame};
use tokio::sync::{mpsc, watch};

use crate::heard::{Follower, Heard};
use crate::page::{self, Fragment, Place};
use crate::site::Site;

/// Pages that are live at once, over all listeners.
pub(crate) const FOLLOWERS: usize = 32;
/// Not more than two updates a second reach a browser.
const PACE: Duration = Duration::from_millis(500);
/// From the first sign of a change to the update that has all of it.
const TOGETHER: Duration = Duration::from_millis(120);
/// Ages grow without news, and the browser must know that the stream lives.
const TICK: Duration = Duration::from_secs(1);
/// A browser that does not read for so long is let go; it comes back by itself.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, serde::Deserialize)]
pub(crate) struct Wish {
    page: String,
}

pub(crate) async fn stream(State(site): State<Site>, Query(wish): Query<Wish>) -> Response {
    let Some(place) = Place::of(&wish.page) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some((follower, news)) = site.watch.follow(FOLLOWERS) else {
        let later = [(header::RETRY_AFTER, "5")];
        return (StatusCode::SERVICE_UNAVAILABLE, later, "too many followers\n").into_response();
    };
    // One message waits at most: the next one is made from what is true then.
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(Live { site, place, tell, sent: HashMap::new() }.run(follower, news));
    let headers = [(header::CONTENT_TYPE, "text/event-stream")];
    (headers, Body::new(Told(told))).into_response()
}

struct Live {
    site: Site,
    place: Place,
    tell: mpsc::Sender<Bytes>,
    /// What the browser shows.
    sent: HashMap<&'static str, String>,
}

impl Live {
    async fn run(mut self, follower: Follower, mut news: watch::Receiver<Arc<Heard>>) {
        let _looks = follower;
        let mut ticked = sys::clock::now();
        let mut heard = self.site.watch.fresh().await;
        loop {
            let view = self.site.view(&self.place, heard).await;
            let mut message = self.changes(page::fragments(&self.place, &view));
            let changed = !message.is_empty();
            if view.now.since(ticked) >= TICK {
                ticked = view.now;
                let age = view.heard.age(view.now).as_millis();
                message.push_str(&format!("event: tick\ndata: {age}\n\n"));
            }
            if !message.is_empty() {
                let sent = tokio::time::timeout(PATIENCE, self.tell.send(message.into())).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
            if changed {
                tokio::time::sleep(PACE.saturating_sub(TOGETHER)).await;
            }
            // The sender lives as long as the site, which is ours too.
            let _ = tokio::time::timeout(TICK, news.changed()).await;
            // The event runs ahead of the status that it announces; they go together.
            tokio::time::sleep(TOGETHER).await;
            heard = Arc::clone(&news.borrow_and_update());
        }
    }

    /// One message with those that are not as they were.
    fn changes(&mut self, parts: Vec<Fragment>) -> String {
        let mut lines = String::new();
        for part in parts {
            let text = part.markup.into_string();
            if self.sent.get(part.id) == Some(&text) {
                continue;
            }
            let id = part.id;
            lines.push_str(&format!("<hx-partial hx-target=\"#{id}\" hx-swap=\"outerMorph\">"));
            lines.push_str(&text);
            lines.push_str("</hx-partial>\n");
            self.sent.insert(id, text);
        }
        if lines.is_empty() {
            return lines;
        }
        // A line of the message per line of the text (and CR alone would end one too).
        let data = lines.replace('\r', " ");
        let mut message: String = data.lines().map(|line| format!("data: {line}\n")).collect();
        message.push('\n');
        message
    }
}

/// The body of an answer that comes in pieces.
struct Told(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Told {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
