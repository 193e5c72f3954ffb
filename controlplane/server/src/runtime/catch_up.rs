//! Waiting until a cache holds everything that a fresh list holds.
//!
//! A standby's caches may lag behind what the last leader wrote. Before the new leader decides
//! anything it lists each kind's metadata (a read that the API server answers from a quorum) and
//! waits until the cache has every object at least as new, and none that the list did not have.

use std::collections::HashMap;
use std::sync::Arc;

use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::feed::version_of;
use super::{Cache, Cached, Key};

/// Objects of a page; keeps the memory of a comparison small in a large cluster.
const PAGE: u32 = 1000;

/// Waits until `cache` is at least as new as a list made now.
///
/// # Errors
/// When the list fails; the caller tries again, it never goes on without.
pub async fn catch_up<K, T>(api: &Api<K>, cache: &Arc<Cache<T>>) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    T: Cached,
{
    // Receive changes from before the list on, or the last one could be missed.
    let mut changes = cache.changes();
    let before: Vec<Key> = cache.all().iter().map(|object| object.key()).collect();
    let mut listed: HashMap<Key, u64> = HashMap::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list_metadata(&page).await?;
        listed.extend(
            list.items
                .iter()
                .map(|object| (Key::of(object), version_of(object))),
        );
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    let mut stale: Vec<Key> = before
        .into_iter()
        .filter(|key| !listed.contains_key(key))
        .collect();
    loop {
        listed.retain(|key, version| !cache.has_reached(key, *version));
        stale.retain(|key| cache.get(key).is_some());
        if listed.is_empty() && stale.is_empty() {
            return Ok(());
        }
        if changes.changed().await.is_err() {
            return Ok(());
        }
    }
}
