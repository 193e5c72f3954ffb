//! Waits until a cache is as new as a fresh list.
//!
//! A standby's caches may lag behind the writes of the last leader. Before the new leader decides anything, it lists
//! the metadata of each kind with a quorum read. Then it waits until the cache has every listed object in this version
//! or a newer one, and no object that the list does not have.

use std::collections::HashMap;
use std::sync::Arc;

use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use terway_core::meta::version;

use super::feed::version_of;
use super::{Cache, Cached, Key};

/// Number of objects of a page. Pages keep the memory of a comparison small in a large cluster.
const PAGE: u32 = 1000;

/// Waits until `cache` is at least as new as a list made now.
///
/// # Errors
/// When the list fails. The caller tries again and never goes on without the list.
pub async fn catch_up<K, T>(api: &Api<K>, cache: &Arc<Cache<T>>) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    T: Cached,
{
    // The receiver is made before the list, so that no change is missed.
    let mut changes = cache.changes();
    let before: Vec<Key> = cache.all().iter().map(|object| object.key()).collect();
    let mut listed: HashMap<Key, u64> = HashMap::new();
    let mut list_version = 0;
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list_metadata(&page).await?;
        // Every page has the version of the whole list.
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

/// The objects for which the cache still waits.
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
        // An object of the same name that was made after the list is another object.
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
