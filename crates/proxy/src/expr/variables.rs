//! Variables of a session, a transaction, a request, an answer.

use config::haproxy::expr::{Life, Value, Variable};

/// All that rules keep in variables of one session takes no more (bytes): `tune.vars` has no limit in
/// HAProxy, and a client decides how long a header is.
const MOST: usize = 64 * 1024;

/// Few at a time: they are looked for one after the other, by the number of their name.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    all: Vec<(Life, u64, Value)>,
}

impl Variables {
    pub(crate) fn value(&self, variable: &Variable) -> Option<&Value> {
        self.all.iter().find(|(_, id, _)| *id == variable.id).map(|(_, _, value)| value)
    }

    pub(crate) fn set(&mut self, variable: &Variable, value: Value) {
        self.unset(variable);
        let size = |value: &Value| match value {
            Value::Str(bytes) | Value::Bin(bytes) => bytes.len(),
            Value::Bool(_) | Value::Int(_) | Value::Ip(_) => 0,
        };
        let held: usize = self.all.iter().map(|(_, _, value)| size(value)).sum();
        if held + size(&value) <= MOST {
            self.all.push((variable.life, variable.id, value));
        }
    }

    pub(crate) fn unset(&mut self, variable: &Variable) {
        self.all.retain(|(_, id, _)| *id != variable.id);
    }

    /// Forgets those of the transaction, and gives their memory back.
    pub(crate) fn end_transaction(&mut self) {
        if !self.all.is_empty() {
            self.all.retain(|(life, _, _)| *life == Life::Session);
            if self.all.is_empty() {
                self.all = Vec::new();
            }
        }
    }

    /// The answer is there: those of the request are gone.
    pub(crate) fn end_request(&mut self) {
        self.all.retain(|(life, _, _)| *life != Life::Request);
    }
}
