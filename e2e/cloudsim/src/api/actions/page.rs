//! Paging: by number and size, and by token.

use super::super::parameters::Parameters;
use crate::model::error::{self, ApiError};

/// A numbered page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct Page<T> {
    pub number: usize,
    pub size: usize,
    pub total: usize,
    pub items: Vec<T>,
}

/// The number and size of a requested page.
pub(super) struct PageRequest {
    number: usize,
    size: usize,
}

impl PageRequest {
    /// Reads PageNumber and PageSize.
    pub fn read(parameters: &Parameters, default: u32, max: u32) -> Result<PageRequest, ApiError> {
        let number = parameters.number("PageNumber", 1..=u32::MAX)?.unwrap_or(1) as usize;
        let size = parameters.number("PageSize", 1..=max)?.unwrap_or(default) as usize;
        Ok(PageRequest { number, size })
    }

    /// This page of all matches.
    pub fn of<T>(self, matches: impl Iterator<Item = T>) -> Page<T> {
        let (number, size) = (self.number, self.size);
        let first = (number - 1).saturating_mul(size);
        let mut page = Page {
            number,
            size,
            total: 0,
            items: Vec::new(),
        };
        for item in matches {
            if page.total >= first && page.items.len() < size {
                page.items.push(item);
            }
            page.total += 1;
        }
        page
    }
}

/// The NextToken for a page that follows item `serial`. Callers treat a NextToken as opaque.
pub(in crate::api) fn next_token(serial: u64) -> String {
    format!("next-{serial:016x}")
}

/// The serial of the item that a NextToken names; 0 for the first page.
pub(super) fn read_next_token(parameters: &Parameters) -> Result<u64, ApiError> {
    let Some(token) = parameters.get("NextToken") else {
        return Ok(0);
    };
    token
        .strip_prefix("next-")
        .and_then(|serial| u64::from_str_radix(serial, 16).ok())
        .ok_or_else(|| {
            error::INVALID_NEXT_TOKEN.because("The specified NextToken is not one that was handed out.")
        })
}

/// Up to `limit` items after item `after`, and the token of the next part.
pub(super) fn part<T>(items: impl Iterator<Item = T>, after: u64, limit: usize) -> (Vec<T>, Option<u64>) {
    let skipped = usize::try_from(after).unwrap_or(usize::MAX);
    let mut rest = items.skip(skipped).peekable();
    let page: Vec<T> = rest.by_ref().take(limit).collect();
    let next = rest.peek().map(|_| after + page.len() as u64);
    (page, next)
}
