//! Tokens of the hardened metadata mode.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

const LONGEST_LIFE: u64 = 21_600;

/// Tokens that one instance's service has issued.
#[derive(Debug, Default)]
pub struct TokenBook {
    tokens: HashMap<String, Timestamp>,
}

/// Why a request may not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// The instance insists on a token.
    Absent,
    /// Never issued, or expired.
    Unknown,
}

impl TokenBook {
    /// A token that lives as many seconds as asked; `None` when that is not 1 to 21600.
    pub fn issue(&mut self, ttl: Option<&str>, now: Timestamp) -> Option<String> {
        let seconds = ttl?
            .parse()
            .ok()
            .filter(|seconds| (1..=LONGEST_LIFE).contains(seconds))?;
        self.tokens.retain(|_, expires| *expires > now);
        let token = uuid::Uuid::new_v4().simple().to_string();
        self.tokens
            .insert(token.clone(), now + Duration::from_secs(seconds));
        Some(token)
    }

    /// Whether a request with this token may read.
    pub fn check(&self, token: Option<&str>, needed: bool, now: Timestamp) -> Result<(), TokenRefusal> {
        match token {
            None if needed => Err(TokenRefusal::Absent),
            None => Ok(()),
            Some(token) => match self.tokens.get(token) {
                Some(expires) if *expires > now => Ok(()),
                _ => Err(TokenRefusal::Unknown),
            },
        }
    }
}
