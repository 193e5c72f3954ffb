//! Custom resources and nodes: caches for reads, and guarded writes.

mod caches;
mod key_index;
pub(crate) mod kinds;
mod merge;
mod unserved;
mod write;

pub use caches::{Caches, NamespaceLabels, NodeRecord};
pub use key_index::KeyIndex;
pub use unserved::Unserved;
pub use write::{Created, Turn, Writer};
