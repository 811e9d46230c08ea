//! keepalived's language.
