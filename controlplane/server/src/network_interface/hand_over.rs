//! Hands an ENI that nobody needs any more to a NetworkInterface that is being deleted.

use std::collections::BTreeMap;

use terway_core::network_interface::for_release;
use terway_crds::names::label;

use crate::error::ReconcileError;
use crate::objects::{Caches, Writer};
use crate::runtime::Key;

/// Makes a NetworkInterface for an ENI, unless there is one, and deletes it. Its controller then detaches and deletes
/// the ENI. `node` is woken when the ENI is gone.
///
/// # Errors
/// When a write fails, or when the cache does not show the write yet.
pub async fn hand_over(
    caches: &Caches,
    write: &Writer,
    id: &str,
    node: Option<&str>,
) -> Result<(), ReconcileError> {
    let key = Key::cluster(id);
    if caches.interfaces.get(&key).is_none() {
        let mut interface = for_release(id, None);
        let label = |name: &str| BTreeMap::from([(label::NODE.to_owned(), name.to_owned())]);
        interface.metadata.labels = node.map(label);
        write.create_interface(&interface).await?;
    }
    match caches.interfaces.get(&key) {
        Some(interface) if interface.metadata.deletion_timestamp.is_none() => {
            write.delete_interface(&interface).await
        }
        Some(_) => Ok(()),
        // The object exists and was not deleted, so the call must not succeed.
        None => Err(ReconcileError::Behind {
            kind: "NetworkInterface",
            key,
        }),
    }
}
