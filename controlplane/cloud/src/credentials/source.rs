//! The sources of keys, and the choice when several are configured.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::secret::Secret;

/// A source of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// An access key pair that never expires.
    AccessKey { id: String, secret: Secret },
    /// The encrypted token file that the cluster's add-on manager mounts (`credentialPath`).
    TokenFile { path: PathBuf },
    /// A RAM role that trusts the pod's service account (RRSA).
    Oidc(OidcRole),
    /// The RAM role of the instance, through the metadata service.
    InstanceRole,
}

/// A RAM role that trusts the tokens of a cluster's service accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcRole {
    pub role_arn: String,
    pub provider_arn: String,
    /// File of the projected service account token. The kubelet renews the token in place.
    pub token_file: PathBuf,
    /// Name of the session in the audit log of the cloud.
    pub session_name: String,
    /// Base address of STS; `None`: the address follows from region and environment.
    pub sts_endpoint: Option<String>,
}

impl OidcRole {
    /// The role in the environment variables that RRSA's webhook or a manifest sets.
    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Some(OidcRole {
            role_arn: set("ALIBABA_CLOUD_ROLE_ARN")?,
            provider_arn: set("ALIBABA_CLOUD_OIDC_PROVIDER_ARN")?,
            token_file: set("ALIBABA_CLOUD_OIDC_TOKEN_FILE")?.into(),
            session_name: set("ALIBABA_CLOUD_ROLE_SESSION_NAME")
                .unwrap_or_else(|| "terway-controlplane".to_owned()),
            sts_endpoint: None,
        })
    }
}

impl CredentialSource {
    /// The first configured source: key pair, token file, the service account's role, the instance's role.
    pub fn choose(access_key: &str, access_secret: &str, credential_path: &str) -> Self {
        Self::choose_from(access_key, access_secret, credential_path, |name| {
            std::env::var(name).ok()
        })
    }

    pub(super) fn choose_from(
        access_key: &str,
        access_secret: &str,
        credential_path: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Self {
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
            OidcRole::from_lookup(lookup).map_or(CredentialSource::InstanceRole, CredentialSource::Oidc)
        }
    }
}

type Find = dyn Fn() -> Result<CredentialSource, Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

/// Finds the source of keys again, from the file that names it.
#[derive(Clone)]
pub struct Reread(Arc<Find>);

impl Reread {
    /// `find` reads the file and may block.
    pub fn new(
        find: impl Fn() -> Result<CredentialSource, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Reread(Arc::new(find))
    }

    pub(super) fn find(&self) -> Result<CredentialSource, Box<dyn std::error::Error + Send + Sync>> {
        (self.0)()
    }
}

impl fmt::Debug for Reread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reread")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rrsa(name: &str) -> Option<String> {
        let value = match name {
            "ALIBABA_CLOUD_ROLE_ARN" => "acs:ram::1:role/terway",
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN" => "acs:ram::1:oidc-provider/ack-rrsa-c1",
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE" => "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens/token",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn the_first_usable_source_wins() {
        let choose = |id, secret, path| CredentialSource::choose_from(id, secret, path, rrsa);
        assert!(matches!(
            choose("a", "s", "/p"),
            CredentialSource::AccessKey { .. }
        ));
        assert!(matches!(
            choose("a", "", "/p"),
            CredentialSource::TokenFile { .. }
        ));
        let CredentialSource::Oidc(role) = choose("", "", "") else {
            panic!("the service account's role")
        };
        assert_eq!(role.role_arn, "acs:ram::1:role/terway");
        assert_eq!(role.session_name, "terway-controlplane");
        assert_eq!(
            CredentialSource::choose_from("", "", "", |_| None),
            CredentialSource::InstanceRole
        );
        let half = |name: &str| rrsa(name).filter(|_| name != "ALIBABA_CLOUD_OIDC_TOKEN_FILE");
        assert_eq!(
            CredentialSource::choose_from("", "", "", half),
            CredentialSource::InstanceRole
        );
    }
}
