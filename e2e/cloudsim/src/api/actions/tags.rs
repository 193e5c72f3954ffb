//! Tags of resources.

use std::collections::BTreeSet;

use super::super::answer::Answer;
use super::super::parameters::Parameters;
use super::page::read_next_token;
use crate::model::error::{self, ApiError};
use crate::model::{Cloud, TagQuery, TaggedKind};

/// Number of resources that one call may name (ECS API page TagResources).
const MAX_RESOURCES: usize = 50;
/// Number of tags that one call may name (ECS API page TagResources).
const MAX_TAGS: usize = 20;
/// Number of resources whose tags are on one page (unverified: the real number is not documented).
const PAGE: usize = 50;

pub(super) fn tag(cloud: &mut Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let (kind, ids) = (read_kind(parameters)?, read_ids(parameters)?);
    let tags: Vec<(String, String)> = parameters
        .tags()?
        .into_iter()
        .map(|(key, value)| (key, value.unwrap_or_default()))
        .collect();
    if ids.is_empty() {
        return Err(error::RESOURCES_MISSING.because("You must specify ResourceId.N."));
    }
    check_number(tags.len())?;
    cloud.tag_resources(kind, &ids, &tags)?;
    Ok(Answer::Done)
}

pub(super) fn untag(cloud: &mut Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let (kind, ids) = (read_kind(parameters)?, read_ids(parameters)?);
    let keys: BTreeSet<String> = parameters.list("TagKey")?.into_iter().collect();
    if ids.is_empty() {
        return Err(error::RESOURCES_MISSING.because("You must specify ResourceId.N."));
    }
    check_number(keys.len())?;
    if keys.is_empty() && parameters.flag("All")? != Some(true) {
        return Err(error::TAGS_MISSING.because("The parameter - Tags should not be null"));
    }
    cloud.untag_resources(kind, &ids, &keys)?;
    Ok(Answer::Done)
}

pub(super) fn list(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let query = TagQuery {
        kind: read_kind(parameters)?,
        ids: read_ids(parameters)?,
        tags: parameters.tags()?,
        after: read_next_token(parameters)?,
        limit: PAGE,
    };
    if query.ids.is_empty() && query.tags.is_empty() {
        return Err(error::TAGS_MISSING.because("Tag.N or ResourceId.N must be specified."));
    }
    check_number(query.tags.len())?;
    let (rows, next) = cloud.list_tag_resources(&query);
    Ok(Answer::Tags {
        kind: query.kind,
        rows,
        next,
    })
}

fn read_kind(parameters: &Parameters) -> Result<TaggedKind, ApiError> {
    match parameters.get("ResourceType") {
        Some("eni") => Ok(TaggedKind::Eni),
        Some("instance") => Ok(TaggedKind::Instance),
        Some(_) => {
            Err(error::RESOURCE_TYPE.because("The ResourceType provided does not exist in our records."))
        }
        None => Err(error::RESOURCE_TYPE_MISSING.because("The parameter - ResourceType should not be null")),
    }
}

fn read_ids(parameters: &Parameters) -> Result<Vec<String>, ApiError> {
    let ids = parameters.list("ResourceId")?;
    if ids.len() > MAX_RESOURCES {
        return Err(
            error::RESOURCES_TOO_MANY.because("The ResourceIds parameter's number is exceed, valid: 50")
        );
    }
    Ok(ids)
}

fn check_number(tags: usize) -> Result<(), ApiError> {
    if tags > MAX_TAGS {
        return Err(error::TAGS_TOO_MANY.because("The Tags parameter's number is exceed, valid: 20"));
    }
    Ok(())
}
