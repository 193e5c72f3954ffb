//! Who we are to the cloud: keys from configuration, a token file or the instance's RAM role, renewed
//! before they expire.

mod token_file;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;
use tokio::sync::Mutex;

pub use self::token_file::TokenFileError;
use crate::metadata::{Metadata, MetadataError};
use crate::secret::Secret;

/// Keys that expire are renewed this long before: the cloud renews a role's keys half an hour ahead, and
/// the last minutes belong to calls under way.
const AHEAD: SignedDuration = SignedDuration::from_mins(15);
/// A token file is read again at least this often; it is rewritten in place.
const REREAD: SignedDuration = SignedDuration::from_mins(30);
/// After a failed renewal with keys still valid, the next try waits this long.
const RETRY: SignedDuration = SignedDuration::from_secs(30);

/// Where the keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// An access key pair that never expires.
    AccessKey { id: String, secret: Secret },
    /// The encrypted token file that the cluster's add-on manager mounts (`credentialPath`).
    TokenFile { path: PathBuf },
    /// The RAM role of the instance, through the metadata service.
    InstanceRole,
}

impl CredentialSource {
    /// The first that is usable, in upstream's order: key pair, token file, role.
    pub fn choose(access_key: &str, access_secret: &str, credential_path: &str) -> Self {
        if !access_key.is_empty() && !access_secret.is_empty() {
            CredentialSource::AccessKey {
                id: access_key.to_owned(),
                secret: access_secret.into(),
            }
        } else if !credential_path.is_empty() {
            CredentialSource::TokenFile {
                path: credential_path.into(),
            }
        } else {
            CredentialSource::InstanceRole
        }
    }
}

/// Why there are no keys to sign with.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("getting credentials of the instance's RAM role")]
    Role(#[source] MetadataError),
    #[error("reading credentials from a token file")]
    TokenFile(#[source] TokenFileError),
    #[error("the credentials expired at {at} and cannot be renewed: see the warnings before this")]
    Expired { at: Timestamp },
}

/// Keys good for signing now.
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
    source: CredentialSource,
    metadata: Arc<Metadata>,
    held: RwLock<Option<Held>>,
    renewal: Mutex<()>,
}

impl Credentials {
    pub(crate) fn new(source: CredentialSource, metadata: Arc<Metadata>) -> Self {
        Credentials {
            source,
            metadata,
            held: RwLock::new(None),
            renewal: Mutex::new(()),
        }
    }

    /// Keys to sign with now. Valid keys are used on when a renewal fails.
    pub(crate) async fn keys(&self) -> Result<Arc<Keys>, CredentialError> {
        if let Some(keys) = self.fresh(Timestamp::now()) {
            return Ok(keys);
        }
        let _one_at_a_time = self.renewal.lock().await;
        let now = Timestamp::now();
        if let Some(keys) = self.fresh(now) {
            return Ok(keys);
        }
        match self.fetch().await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                *self.held.write() = Some(Held {
                    keys: keys.clone(),
                    renew_at: renew_at(&self.source, &keys, now),
                });
                Ok(keys)
            }
            Err(error) => self.keep_using(error, now),
        }
    }

    /// Forgets the keys after the cloud called them expired or unknown, so that the next call gets new ones.
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

    async fn fetch(&self) -> Result<Keys, CredentialError> {
        let keys = match &self.source {
            CredentialSource::AccessKey { id, secret } => Keys {
                id: id.clone(),
                secret: secret.clone(),
                security_token: None,
                expires_at: None,
            },
            CredentialSource::TokenFile { path } => {
                token_file::read(path).await.map_err(CredentialError::TokenFile)?
            }
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

/// When to look for new keys. Keys that live shorter than the margin are renewed after half their rest.
fn renew_at(source: &CredentialSource, keys: &Keys, now: Timestamp) -> Option<Timestamp> {
    let before_expiry = keys.expires_at.map(|at| {
        let rest = at.duration_since(now);
        let ahead = if rest > AHEAD + AHEAD { AHEAD } else { rest / 2 };
        at.saturating_sub(ahead).unwrap_or(now)
    });
    match source {
        CredentialSource::TokenFile { .. } => {
            let reread = now.saturating_add(REREAD).unwrap_or(Timestamp::MAX);
            Some(before_expiry.map_or(reread, |at| at.min(reread)))
        }
        CredentialSource::AccessKey { .. } | CredentialSource::InstanceRole => before_expiry,
    }
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
    fn the_first_usable_source_wins() {
        assert!(matches!(
            CredentialSource::choose("a", "s", "/p"),
            CredentialSource::AccessKey { .. }
        ));
        assert!(matches!(
            CredentialSource::choose("a", "", "/p"),
            CredentialSource::TokenFile { .. }
        ));
        assert_eq!(
            CredentialSource::choose("", "", ""),
            CredentialSource::InstanceRole
        );
    }

    #[test]
    fn renewal_comes_before_expiry() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let later = |seconds| now + SignedDuration::from_secs(seconds);
        let role = CredentialSource::InstanceRole;
        let file = CredentialSource::TokenFile { path: "/t".into() };
        assert_eq!(renew_at(&role, &keys(None), now), None);
        assert_eq!(
            renew_at(&role, &keys(Some(later(21_600))), now),
            Some(later(21_600 - 900))
        );
        assert_eq!(renew_at(&role, &keys(Some(later(600))), now), Some(later(300)));
        assert_eq!(
            renew_at(&file, &keys(Some(later(21_600))), now),
            Some(later(1_800))
        );
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

    #[tokio::test]
    async fn distrusted_keys_are_fetched_again() {
        let metadata = Arc::new(Metadata::new("http://127.0.0.1:1").unwrap());
        let credentials = Credentials::new(CredentialSource::choose("ak", "sk", ""), metadata);
        let first = credentials.keys().await.unwrap();
        assert!(Arc::ptr_eq(&first, &credentials.keys().await.unwrap()));
        credentials.distrust(&first);
        assert!(!Arc::ptr_eq(&first, &credentials.keys().await.unwrap()));
    }
}
