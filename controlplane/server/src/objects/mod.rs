//! Reads and writes of custom resources and nodes: caches in, guarded writes out.

mod caches;
mod merge;
mod write;

pub use caches::{Caches, Feeds, NodeRecord};
pub use write::{Created, Writer};
