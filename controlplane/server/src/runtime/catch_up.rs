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
use terway_core::meta::version;

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
    let mut list_version = 0;
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list_metadata(&page).await?;
        // Every page tells the version of the whole list.
        list_version = version(list.metadata.resource_version.as_deref()).max(list_version);
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
    let mut behind = Behind::new(before, listed, list_version);
    while !behind.caught_up(cache) {
        if changes.changed().await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What the cache has yet to take in.
struct Behind {
    /// Objects of the list, by version.
    listed: HashMap<Key, u64>,
    /// Objects of the cache that the list did not have.
    stale: Vec<Key>,
    list_version: u64,
}

impl Behind {
    fn new(before: Vec<Key>, listed: HashMap<Key, u64>, list_version: u64) -> Self {
        let stale = before
            .into_iter()
            .filter(|key| !listed.contains_key(key))
            .collect();
        Self {
            listed,
            stale,
            list_version,
        }
    }

    fn caught_up<T: Cached>(&mut self, cache: &Cache<T>) -> bool {
        self.listed
            .retain(|key, version| !cache.has_reached(key, *version));
        // One of the same name that was made after the list is not the one that is to go.
        self.stale.retain(|key| {
            cache
                .get(key)
                .is_some_and(|object| object.version() <= self.list_version)
        });
        self.listed.is_empty() && self.stale.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(u64);
    impl Cached for Thing {
        fn key(&self) -> Key {
            Key::cluster("a")
        }
        fn version(&self) -> u64 {
            self.0
        }
    }

    fn behind(listed: &[u64], list_version: u64) -> Behind {
        let key = Key::cluster("a");
        let listed = listed.iter().map(|version| (key.clone(), *version)).collect();
        Behind::new(vec![key], listed, list_version)
    }

    #[test]
    fn what_the_list_did_not_have_must_go_first() {
        let cache = Cache::default();
        cache.apply(Thing(5), false);
        let mut behind = behind(&[], 9);
        assert!(!behind.caught_up(&cache));
        cache.remove(&Key::cluster("a"), 7);
        assert!(behind.caught_up(&cache));
    }

    #[test]
    fn one_of_the_same_name_made_after_the_list_is_not_waited_for() {
        let cache = Cache::default();
        cache.apply(Thing(5), false);
        let mut behind = behind(&[], 9);
        // Both before anybody looks again.
        cache.remove(&Key::cluster("a"), 7);
        cache.apply(Thing(11), false);
        assert!(behind.caught_up(&cache));
    }

    #[test]
    fn an_older_version_than_the_listed_one_is_waited_for() {
        let cache = Cache::default();
        cache.apply(Thing(5), false);
        let mut behind = behind(&[6], 9);
        assert!(!behind.caught_up(&cache));
        cache.apply(Thing(6), false);
        assert!(behind.caught_up(&cache));
    }
}
