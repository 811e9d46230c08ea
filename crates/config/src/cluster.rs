//! `outlast.toml`: the cluster.

pub use model::{Cluster, Node, Service, ServiceKind, Vip, VipCheck};

mod model;
