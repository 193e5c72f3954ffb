//! Tags of ENIs and instances: TagResources, UntagResources and ListTagResources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Cloud;
use super::describe::{EniFilter, EniPage};
use super::error::{self, ApiError};

/// Number of tags that a resource may have, and that one call may name (ECS API page TagResources).
const MAX_TAGS: usize = 20;
/// Largest number of characters of a key, and of a value (ECS API page TagResources).
const MAX_LENGTH: usize = 128;
/// Prefixes of keys that only the cloud itself may use (ECS API page TagResources).
const SYSTEM_KEYS: [&str; 2] = ["aliyun", "acs:"];

/// The kinds of resources that can have tags in the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaggedKind {
    Eni,
    Instance,
}

impl TaggedKind {
    /// The word the API uses.
    pub fn name(self) -> &'static str {
        match self {
            TaggedKind::Eni => "eni",
            TaggedKind::Instance => "instance",
        }
    }
}

/// Parameters of ListTagResources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagQuery {
    pub kind: TaggedKind,
    /// Ids to match; every id when empty.
    pub ids: Vec<String>,
    /// Keys with their values; a resource must have all of them. `None` matches any value.
    pub tags: Vec<(String, Option<String>)>,
    /// Number of the resource before the page; 0 for the first page.
    pub after: u64,
    /// Number of resources of a page.
    pub limit: usize,
}

/// A tag of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    pub resource_id: String,
    pub key: String,
    pub value: String,
}

impl Cloud {
    /// Sets tags of all resources, or of none. A tag replaces a tag with the same key.
    pub fn tag_resources(
        &mut self,
        kind: TaggedKind,
        ids: &[String],
        tags: &[(String, String)],
    ) -> Result<(), ApiError> {
        if tags.is_empty() {
            return Err(error::TAGS_MISSING.because("The parameter - Tags should not be null"));
        }
        let tags = check_tags(tags)?;
        for id in ids {
            let mut keys = self.tag_keys(kind, id)?;
            keys.extend(tags.keys().cloned());
            if keys.len() > MAX_TAGS {
                return Err(
                    error::TAGS_FULL.because("The quota of tags on resource is beyond permitted range.")
                );
            }
        }
        for id in ids {
            self.change_tags(kind, id, |held| held.extend(tags.clone()));
        }
        Ok(())
    }

    /// Removes tags of these keys from resources; all tags when no key is named.
    pub fn untag_resources(
        &mut self,
        kind: TaggedKind,
        ids: &[String],
        keys: &BTreeSet<String>,
    ) -> Result<(), ApiError> {
        for id in ids {
            self.tag_keys(kind, id)?;
        }
        for id in ids {
            self.change_tags(kind, id, |held| {
                held.retain(|key, _| !keys.is_empty() && !keys.contains(&**key));
            });
        }
        Ok(())
    }

    fn tag_keys(&self, kind: TaggedKind, id: &str) -> Result<BTreeSet<Arc<str>>, ApiError> {
        let keys = match kind {
            TaggedKind::Eni => self.enis.get(id).map(|eni| eni.tags.keys().cloned().collect()),
            TaggedKind::Instance => self
                .instances
                .get(id)
                .map(|instance| instance.spec.tags.keys().map(|key| key.as_str().into()).collect()),
        };
        keys.ok_or_else(|| {
            error::RESOURCE_NOT_FOUND.because(format!(
                "The specified ResourceIds are not found in our records: {id}."
            ))
        })
    }

    fn change_tags(
        &mut self,
        kind: TaggedKind,
        id: &str,
        change: impl FnOnce(&mut BTreeMap<Arc<str>, Arc<str>>),
    ) {
        match kind {
            TaggedKind::Eni => {
                self.enis.update(id, |eni| change(&mut eni.tags));
            }
            TaggedKind::Instance => {
                if let Some(instance) = self.instances.get_mut(id) {
                    let tags = &mut instance.spec.tags;
                    let mut held = tags
                        .iter()
                        .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
                        .collect();
                    change(&mut held);
                    *tags = held
                        .into_iter()
                        .map(|(key, value)| (key.to_string(), value.to_string()))
                        .collect();
                }
            }
        }
    }

    /// The requested tags of matching resources, or all tags when the query names only ids. The second value is the
    /// number of the last resource, if more resources follow.
    pub fn list_tag_resources(&self, query: &TagQuery) -> (Vec<TagRow>, Option<u64>) {
        match query.kind {
            TaggedKind::Eni => self.list_eni_tags(query),
            TaggedKind::Instance => self.list_instance_tags(query),
        }
    }

    fn list_eni_tags(&self, query: &TagQuery) -> (Vec<TagRow>, Option<u64>) {
        let filter = EniFilter {
            ids: query.ids.clone(),
            tags: query.tags.clone(),
            ..EniFilter::default()
        };
        let (after, limit) = (query.after, query.limit);
        let listing = self.describe_network_interfaces(&filter, EniPage::After { after, limit });
        let rows = listing.enis.iter().flat_map(|eni| {
            let tags = eni.tags.iter().map(|(key, value)| (&**key, &**value));
            query.rows(&eni.id, tags)
        });
        (rows.collect(), listing.next)
    }

    fn list_instance_tags(&self, query: &TagQuery) -> (Vec<TagRow>, Option<u64>) {
        let after = usize::try_from(query.after).unwrap_or(usize::MAX);
        let mut matches = self
            .instances
            .values()
            .filter(|instance| query.ids.is_empty() || query.ids.contains(&instance.spec.id))
            .filter(|instance| {
                let tags = &instance.spec.tags;
                query.tags.iter().all(|(key, value)| {
                    tags.get(key)
                        .is_some_and(|held| value.as_ref().is_none_or(|wanted| wanted == held))
                })
            })
            .skip(after)
            .peekable();
        let page: Vec<_> = matches.by_ref().take(query.limit).collect();
        let next = matches.peek().map(|_| (after + page.len()) as u64);
        let rows = page.into_iter().flat_map(|instance| {
            let tags = instance
                .spec
                .tags
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()));
            query.rows(&instance.spec.id, tags)
        });
        (rows.collect(), next)
    }
}

impl TagQuery {
    fn rows<'a>(&self, id: &str, tags: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<TagRow> {
        tags.filter(|(key, _)| self.tags.is_empty() || self.tags.iter().any(|(wanted, _)| wanted == key))
            .map(|(key, value)| TagRow {
                resource_id: id.to_owned(),
                key: key.to_owned(),
                value: value.to_owned(),
            })
            .collect()
    }
}

/// The tags of a request, by key.
pub(super) fn check_tags(tags: &[(String, String)]) -> Result<BTreeMap<Arc<str>, Arc<str>>, ApiError> {
    if tags.len() > MAX_TAGS {
        return Err(error::TOO_MANY_TAGS.because(format!("At most {MAX_TAGS} tags can be specified.")));
    }
    let mut checked = BTreeMap::new();
    for (key, value) in tags {
        let is_link = |text: &str| text.contains("http://") || text.contains("https://");
        let is_system = SYSTEM_KEYS.iter().any(|prefix| key.starts_with(prefix));
        if key.is_empty() || key.chars().count() > MAX_LENGTH || is_system || is_link(key) {
            return Err(error::TAG_KEY_MALFORMED.because(
                "A tag key has 1 to 128 characters, no link, and does not begin with aliyun or acs:.",
            ));
        }
        if value.chars().count() > MAX_LENGTH || is_link(value) {
            return Err(
                error::TAG_VALUE_MALFORMED.because("A tag value has up to 128 characters and no link.")
            );
        }
        if checked
            .insert(Arc::from(key.as_str()), Arc::from(value.as_str()))
            .is_some()
        {
            return Err(error::TAG_KEY_TWICE.because(format!("The tag key {key} is specified twice.")));
        }
    }
    Ok(checked)
}
