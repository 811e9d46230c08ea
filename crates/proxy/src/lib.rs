//! The data plane: one control thread, one worker thread per core.

#![allow(dead_code, reason = "while it is built up")]

mod check;
mod control;
mod counters;
mod log;
mod record;
mod stats;
mod view;
