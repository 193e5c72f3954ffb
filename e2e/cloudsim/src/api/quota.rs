//! Per-API flow control: a bucket for each action that holds a minute's worth of calls.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::model::ApiError;
use crate::model::error;
use crate::world::Quotas;

/// Buckets by action.
#[derive(Debug)]
pub struct QuotaTable {
    default: Option<u32>,
    per_minute: BTreeMap<String, u32>,
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

impl QuotaTable {
    /// Full buckets with the sizes of the world.
    pub fn new(quotas: &Quotas) -> QuotaTable {
        QuotaTable {
            default: quotas.default_per_minute,
            per_minute: quotas.per_minute.clone(),
            buckets: HashMap::new(),
        }
    }

    /// Takes one call of `action` out of its bucket, or refuses it.
    pub fn take(&mut self, action: &str, now: Timestamp) -> Result<(), ApiError> {
        let Some(limit) = self.per_minute.get(action).copied().or(self.default) else {
            return Ok(());
        };
        let limit = f64::from(limit);
        let bucket = self.buckets.entry(action.to_owned()).or_insert(Bucket {
            tokens: limit,
            at: now,
        });
        let passed = now.duration_since(bucket.at).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + passed * limit / 60.0).min(limit);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(error::THROTTLING_USER.because("Request was denied due to user flow control."));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}
