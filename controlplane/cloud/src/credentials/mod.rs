//! The keys that sign calls. They come from the configuration, a token file, the RAM role of the service account, or
//! the RAM role of the instance. Keys are renewed before they expire.

mod oidc;
mod source;
mod token_file;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;
use reqwest::Client;
use tokio::sync::Mutex;

pub use self::oidc::OidcError;
pub use self::source::{CredentialSource, OidcRole, Reread};
pub use self::token_file::TokenFileError;
use crate::metadata::{Metadata, MetadataError};
use crate::secret::Secret;

/// Keys are renewed this long before they expire. The metadata service replaces a role's keys half an hour before their
/// end (unverified), and the last minutes are left for calls under way.
const AHEAD: SignedDuration = SignedDuration::from_mins(15);
/// Files are read again at least this often, because they are rewritten in place.
const REREAD: SignedDuration = SignedDuration::from_mins(30);
/// Time between a failed renewal and the next one, while the old keys are valid.
const RETRY: SignedDuration = SignedDuration::from_secs(30);

/// Why there are no keys to sign with.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("getting credentials of the instance's RAM role")]
    Role(#[source] MetadataError),
    #[error("getting credentials of the service account's RAM role")]
    Oidc(#[source] OidcError),
    #[error("reading credentials from a token file")]
    TokenFile(#[source] TokenFileError),
    #[error("the credentials expired at {at} and cannot be renewed: see the warnings before this")]
    Expired { at: Timestamp },
}

/// Keys that are valid for signing now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: Secret,
    pub(crate) security_token: Option<Secret>,
    pub(crate) expires_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Held {
    keys: Arc<Keys>,
    renew_at: Option<Timestamp>,
}

/// Holds the current keys and renews them, one renewal at a time.
#[derive(Debug)]
pub(crate) struct Credentials {
    source: RwLock<CredentialSource>,
    reread: Option<Reread>,
    metadata: Arc<Metadata>,
    http: Client,
    region_id: String,
    held: RwLock<Option<Held>>,
    renewal: Mutex<()>,
}

impl Credentials {
    pub(crate) fn new(
        source: CredentialSource,
        metadata: Arc<Metadata>,
        http: Client,
        region_id: &str,
    ) -> Self {
        Credentials {
            source: RwLock::new(source),
            reread: None,
            metadata,
            http,
            region_id: region_id.to_owned(),
            held: RwLock::new(None),
            renewal: Mutex::new(()),
        }
    }

    /// Finds the source again at each renewal.
    pub(crate) fn reread_by(mut self, reread: Option<Reread>) -> Self {
        self.reread = reread;
        self
    }

    /// Keys to sign with. Valid keys stay in use while they are renewed, and when the renewal fails.
    pub(crate) async fn keys(&self) -> Result<Arc<Keys>, CredentialError> {
        if let Some(keys) = self.fresh(Timestamp::now()) {
            return Ok(keys);
        }
        let _one_at_a_time = match self.renewal.try_lock() {
            Ok(guard) => guard,
            Err(_) => match self.valid(Timestamp::now()) {
                Some(keys) => return Ok(keys),
                None => self.renewal.lock().await,
            },
        };
        let now = Timestamp::now();
        if let Some(keys) = self.fresh(now) {
            return Ok(keys);
        }
        let source = self.find_source().await;
        match self.fetch(&source).await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                *self.held.write() = Some(Held {
                    keys: keys.clone(),
                    renew_at: renew_at(&source, self.reread.is_some(), &keys, now),
                });
                Ok(keys)
            }
            Err(error) => self.keep_using(error, now),
        }
    }

    /// Drops keys that the cloud called expired or unknown, so that the next call gets new keys.
    pub(crate) fn distrust(&self, keys: &Keys) {
        let mut held = self.held.write();
        if held.as_ref().is_some_and(|held| *held.keys == *keys) {
            *held = None;
        }
    }

    fn fresh(&self, now: Timestamp) -> Option<Arc<Keys>> {
        let held = self.held.read();
        held.as_ref()
            .filter(|held| held.renew_at.is_none_or(|at| now < at))
            .map(|held| held.keys.clone())
    }

    /// Keys that have not expired. They may be due for renewal.
    fn valid(&self, now: Timestamp) -> Option<Arc<Keys>> {
        let held = self.held.read();
        let keys = held.as_ref().map(|held| held.keys.clone());
        keys.filter(|keys| keys.expires_at.is_none_or(|at| now < at))
    }

    /// The source that the configuration names now. While the file cannot be read, for example while it is replaced,
    /// the source is the earlier one.
    async fn find_source(&self) -> CredentialSource {
        if let Some(reread) = self.reread.clone() {
            match tokio::task::spawn_blocking(move || reread.find()).await {
                Ok(Ok(source)) => *self.source.write() = source,
                Ok(Err(error)) => tracing::warn!(
                    error = &*error as &dyn std::error::Error,
                    "the credentials' settings cannot be read; what was read before is used"
                ),
                Err(ended) => std::panic::resume_unwind(ended.into_panic()),
            }
        }
        self.source.read().clone()
    }

    fn keep_using(&self, error: CredentialError, now: Timestamp) -> Result<Arc<Keys>, CredentialError> {
        let mut held = self.held.write();
        match held.as_mut() {
            Some(held) if held.keys.expires_at.is_none_or(|at| now < at) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "credentials not renewed, the old ones are still valid"
                );
                held.renew_at = Some(now.saturating_add(RETRY).unwrap_or(Timestamp::MAX));
                Ok(held.keys.clone())
            }
            Some(_) | None => Err(error),
        }
    }

    async fn fetch(&self, source: &CredentialSource) -> Result<Keys, CredentialError> {
        let keys = match source {
            CredentialSource::AccessKey { id, secret } => Keys {
                id: id.clone(),
                secret: secret.clone(),
                security_token: None,
                expires_at: None,
            },
            CredentialSource::TokenFile { path } => {
                token_file::read(path).await.map_err(CredentialError::TokenFile)?
            }
            CredentialSource::Oidc(role) => oidc::assume(role, &self.region_id, &self.http)
                .await
                .map_err(CredentialError::Oidc)?,
            CredentialSource::InstanceRole => {
                let role = self
                    .metadata
                    .role_credentials()
                    .await
                    .map_err(CredentialError::Role)?;
                Keys {
                    id: role.access_key_id,
                    secret: role.access_key_secret.into(),
                    security_token: Some(role.security_token.into()),
                    expires_at: role.expiration.parse().ok(),
                }
            }
        };
        match keys.expires_at {
            Some(at) if at <= Timestamp::now() => Err(CredentialError::Expired { at }),
            _ => Ok(keys),
        }
    }
}

/// When to renew keys. Keys that live shorter than the margin are renewed after half of their remaining life.
fn renew_at(source: &CredentialSource, reread: bool, keys: &Keys, now: Timestamp) -> Option<Timestamp> {
    let before_expiry = keys.expires_at.map(|at| {
        let rest = at.duration_since(now);
        let ahead = if rest > AHEAD + AHEAD { AHEAD } else { rest / 2 };
        at.saturating_sub(ahead).unwrap_or(now)
    });
    let from_a_file = reread || matches!(source, CredentialSource::TokenFile { .. });
    let next_look = from_a_file.then(|| now.saturating_add(REREAD).unwrap_or(Timestamp::MAX));
    before_expiry.into_iter().chain(next_look).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(expires_at: Option<Timestamp>) -> Keys {
        Keys {
            id: "ak".into(),
            secret: "sk".into(),
            security_token: Some("st".into()),
            expires_at,
        }
    }

    #[test]
    fn renewal_comes_before_expiry() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let later = |seconds| now + SignedDuration::from_secs(seconds);
        let role = CredentialSource::InstanceRole;
        let file = CredentialSource::TokenFile { path: "/t".into() };
        assert_eq!(renew_at(&role, false, &keys(None), now), None);
        assert_eq!(
            renew_at(&role, false, &keys(Some(later(21_600))), now),
            Some(later(21_600 - 900))
        );
        assert_eq!(
            renew_at(&role, false, &keys(Some(later(600))), now),
            Some(later(300))
        );
        assert_eq!(
            renew_at(&file, false, &keys(Some(later(21_600))), now),
            Some(later(1_800))
        );
        assert_eq!(renew_at(&role, true, &keys(None), now), Some(later(1_800)));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let source = CredentialSource::choose("LTAI-id", "very-secret", "");
        let shown = format!("{source:?} {:?}", keys(None));
        assert!(
            !shown.contains("very-secret") && !shown.contains("sk\"") && !shown.contains("st\""),
            "{shown}"
        );
    }

    fn credentials(source: CredentialSource) -> Credentials {
        let metadata = Arc::new(Metadata::new("http://127.0.0.1:1").unwrap());
        Credentials::new(source, metadata, Client::new(), "cn-hangzhou")
    }

    #[tokio::test]
    async fn distrusted_keys_are_fetched_again() {
        let credentials = credentials(CredentialSource::choose("ak", "sk", ""));
        let first = credentials.keys().await.unwrap();
        assert!(Arc::ptr_eq(&first, &credentials.keys().await.unwrap()));
        credentials.distrust(&first);
        assert!(!Arc::ptr_eq(&first, &credentials.keys().await.unwrap()));
    }

    #[tokio::test]
    async fn a_corrected_file_is_noticed_and_a_broken_one_survived() {
        let file = Arc::new(RwLock::new(Some("new")));
        let read = file.clone();
        let find = move || match *read.read() {
            Some(id) => Ok(CredentialSource::choose(id, "sk", "")),
            None => Err("half a file".into()),
        };
        let credentials =
            credentials(CredentialSource::choose("old", "sk", "")).reread_by(Some(Reread::new(find)));
        let keys = credentials.keys().await.unwrap();
        assert_eq!(keys.id, "new");
        *file.write() = None;
        credentials.distrust(&keys);
        let keys = credentials.keys().await.unwrap();
        assert_eq!(keys.id, "new");
        *file.write() = Some("newer");
        credentials.distrust(&keys);
        assert_eq!(credentials.keys().await.unwrap().id, "newer");
    }
}
