//! HTTP/1.x as bytes: heads, bodies, rules on headers, the proxy's own answers. No I/O.

pub(crate) mod body;
pub(crate) mod head;
pub(crate) mod reply;
pub(crate) mod rules;
pub(crate) mod write;

#[cfg(test)]
mod tests;
