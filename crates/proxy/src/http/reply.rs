//! The proxy's own answers, byte for byte HAProxy's (2.6).

/// What the proxy says itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reply {
    /// `monitor-uri`.
    Ready,
    BadRequest,
    Timeout,
    Unprocessable,
    /// A rule's status.
    Denied(u16),
    BadGateway,
    Unavailable,
    GatewayTimeout,
}

/// Status, reason, sentence.
type Page = (u16, &'static str, &'static str);

const PAGES: [Page; 18] = [
    (200, "OK", "Service ready."),
    (400, "Bad request", "Your browser sent an invalid request."),
    (401, "Unauthorized", "You need a valid user and password to access this content."),
    (403, "Forbidden", "Request forbidden by administrative rules."),
    (404, "Not Found", "The resource could not be found."),
    (
        405,
        "Method Not Allowed",
        "A request was made of a resource using a request method not supported by that resource",
    ),
    (407, "Unauthorized", "You need a valid user and password to access this content."),
    (408, "Request Time-out", "Your browser didn't send a complete request in time."),
    (410, "Gone", "The resource is no longer available and will not be available again."),
    (413, "Payload Too Large", "The request entity exceeds the maximum allowed."),
    (422, "Unprocessable Content", "The server cannot process the contained instructions."),
    (425, "Too Early", "Your browser sent early data."),
    (429, "Too Many Requests", "You have sent too many requests in a given amount of time."),
    (500, "Internal Server Error", "An internal server error occurred."),
    (
        501,
        "Not Implemented",
        "The server does not support the functionality required to fulfill the request.",
    ),
    (502, "Bad Gateway", "The server returned an invalid or incomplete response."),
    (503, "Service Unavailable", "No server is available to handle this request."),
    (504, "Gateway Time-out", "The server didn't respond in time."),
];

impl Reply {
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Ready => 200,
            Self::BadRequest => 400,
            Self::Timeout => 408,
            Self::Unprocessable => 422,
            Self::Denied(status) => status,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::GatewayTimeout => 504,
        }
    }

    /// HAProxy answers what it could not parse before its message layer, hence the other spelling,
    /// and closes.
    pub(crate) const fn is_raw(self) -> bool {
        matches!(self, Self::BadRequest | Self::Timeout | Self::Unprocessable)
    }

    /// Writes head and body. `close`: this connection ends; `keep_alive`: an HTTP/1.0 client wants
    /// to hear that it does not; `head`: no body.
    pub(crate) fn write(self, close: bool, modern: bool, head: bool, out: &mut Vec<u8>) {
        let (status, reason, sentence) = page(self.status());
        let body = format!("<html><body><h1>{status} {reason}</h1>\n{sentence}\n</body></html>\n");
        let length = body.len();
        let text = if self.is_raw() {
            let last = if self == Self::Unprocessable { "" } else { "Connection: close\r\n" };
            format!(
                "HTTP/1.1 {status} {reason}\r\nContent-length: {length}\r\n\
                 Cache-Control: no-cache\r\n{last}Content-Type: text/html\r\n\r\n"
            )
        } else {
            let last = match (close, modern) {
                (true, _) => "connection: close\r\n",
                (false, false) => "connection: keep-alive\r\n",
                (false, true) => "",
            };
            format!(
                "HTTP/1.1 {status} {reason}\r\ncontent-length: {length}\r\n\
                 cache-control: no-cache\r\ncontent-type: text/html\r\n{last}\r\n"
            )
        };
        out.extend_from_slice(text.as_bytes());
        if !head {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

/// A status without page gets 403's, as in HAProxy.
fn page(status: u16) -> Page {
    let find = |wanted| PAGES.iter().copied().find(|page: &Page| page.0 == wanted);
    find(status).or_else(|| find(403)).unwrap_or(PAGES[3])
}
