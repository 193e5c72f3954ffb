//! Tokens of the metadata service's security-hardened mode.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

const LONGEST_LIFE: u64 = 21_600;

/// Tokens that one instance's service has issued.
#[derive(Debug, Default)]
pub struct TokenBook {
    tokens: HashMap<String, Timestamp>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// The instance requires a token, and the request has none.
    Absent,
    /// The token was never issued, or has expired.
    Unknown,
}

impl TokenBook {
    /// Issues a token that lives `ttl` seconds. Returns `None` when `ttl` is not a number from 1 to 21600.
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

    /// Checks the token of a request.
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
