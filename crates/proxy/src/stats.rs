//! What the balancer says about itself.

#[cfg(test)]
pub(crate) mod example;
