//! Watches that keep a [`Cache`] filled.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::runtime::watcher;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use terway_core::meta::version;
use terway_process::WatchPauses;
use tracing::warn;

use super::{Cache, Cached, Key};

/// The resourceVersion of an object as a number; 0 if it is not a number.
pub fn version_of<K: Resource>(object: &K) -> u64 {
    version(object.meta().resource_version.as_deref())
}

/// Keeps `cache` filled from `api` until the process ends. `convert` trims an object to the fields that controllers
/// need. `None` means that the object is unreadable; an unreadable object is never taken for absent.
pub async fn feed<W, T>(
    api: Api<W>,
    config: watcher::Config,
    cache: Arc<Cache<T>>,
    convert: impl Fn(W) -> Option<T> + Send,
) where
    W: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    T: Cached,
{
    let kind = W::kind(&()).to_string();
    let mut listed: Vec<T> = Vec::new();
    let mut events = watcher(api, config).boxed();
    let mut pauses = WatchPauses::default();
    loop {
        match events.try_next().await {
            Ok(Some(event)) => {
                pauses.succeeded(&event);
                take(event, &cache, &mut listed, &convert);
            }
            // The watcher never ends by itself. A return from here would leave a cache that is out of date.
            Ok(None) => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(error) => {
                warn!(
                    kind,
                    error = &error as &dyn std::error::Error,
                    "watch was interrupted"
                );
                tokio::time::sleep(pauses.after(&kind, &error)).await;
            }
        }
    }
}

fn take<W, T>(
    event: watcher::Event<W>,
    cache: &Cache<T>,
    listed: &mut Vec<T>,
    convert: &impl Fn(W) -> Option<T>,
) where
    W: Resource<DynamicType = ()>,
    T: Cached,
{
    match event {
        watcher::Event::Init => {
            listed.clear();
            cache.begin_list();
        }
        watcher::Event::InitApply(object) => match convert_or_warn(object, convert) {
            Ok(object) => listed.push(object),
            // An unreadable object is not absent. Its last readable form stays.
            Err((key, version)) => cache.mark_unreadable(key, version),
        },
        watcher::Event::InitDone => cache.end_list(std::mem::take(listed)),
        watcher::Event::Apply(object) => match convert_or_warn(object, convert) {
            Ok(object) => {
                cache.apply(object, false);
            }
            Err((key, version)) => cache.mark_unreadable(key, version),
        },
        watcher::Event::Delete(object) => cache.remove(&Key::of(&object), version_of(&object)),
    }
}

fn convert_or_warn<W: Resource<DynamicType = ()>, T>(
    object: W,
    convert: &impl Fn(W) -> Option<T>,
) -> Result<T, (Key, u64)> {
    let (key, version) = (Key::of(&object), version_of(&object));
    convert(object).ok_or_else(|| {
        warn!(kind = %W::kind(&()), %key, "object cannot be read by this version and is left alone");
        (key, version)
    })
}
