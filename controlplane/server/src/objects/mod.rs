//! Custom resources and nodes: caches for reads, and guarded writes.

mod caches;
pub(crate) mod kinds;
mod merge;
mod pods_of_nodes;
mod write;

pub use caches::{Caches, NamespaceLabels, NodeRecord};
pub use pods_of_nodes::PodsOfNodes;
pub use write::{Created, Turn, Writer};
