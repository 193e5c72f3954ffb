//! The account in the world file: access keys and RAM roles.

use serde::{Deserialize, Serialize};

use super::timing::Span;

/// An access key pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credential {
    pub access_key_id: String,
    pub access_key_secret: String,
}

/// A RAM role. The metadata service and STS give its credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RamRole {
    pub name: String,
    /// Life of credentials from the metadata service.
    #[serde(default = "role_life")]
    pub life: Span,
    /// Longest life of credentials from STS.
    #[serde(default = "max_session")]
    pub max_session: Span,
    /// Access keys that may assume the role; any key when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_keys: Option<Vec<String>>,
    /// OIDC tokens that may assume the role.
    #[serde(default)]
    pub oidc: Vec<OidcTrust>,
}

fn role_life() -> Span {
    Span::secs(6 * 3600)
}

fn max_session() -> Span {
    Span::secs(3600)
}

/// OIDC tokens that a role trusts, such as those of a cluster's service accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcTrust {
    /// ARN of the identity provider.
    pub provider: String,
    pub issuer: String,
    pub audience: String,
    /// Subjects, such as `system:serviceaccount:kube-system:terway`; one may end in `*`.
    pub subjects: Vec<String>,
}
