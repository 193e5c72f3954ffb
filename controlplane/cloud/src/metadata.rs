//! The instance metadata service: region and RAM role credentials, in plain and in token mode.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;

use crate::secret::Secret;

/// Address of the service in every instance (ECS user guide, page "Instance metadata").
pub(crate) const BASE: &str = "http://100.100.100.200";
/// Life of a session token in seconds: the longest life that the service grants (ECS user guide, "Instance metadata").
const TOKEN_SECONDS: u64 = 21_600;
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why the metadata service gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    #[error(
        "asking the metadata service for {path}: check that this runs on an ECS instance, or configure it"
    )]
    Request { path: String, source: reqwest::Error },
    #[error("the metadata service answered HTTP {status} for {path}: check the instance's settings")]
    Status { path: String, status: u16 },
    #[error("the metadata service's answer for {path} cannot be read: check the instance's RAM role")]
    Answer { path: String, source: serde_json::Error },
    #[error("the instance has no RAM role: attach one, or configure an access key")]
    NoRole,
}

/// Credentials in the service's form.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RoleCredentials {
    pub(crate) access_key_id: String,
    pub(crate) access_key_secret: String,
    pub(crate) security_token: String,
    /// End of validity, RFC 3339.
    pub(crate) expiration: String,
}

/// A client that uses token mode if the instance requires it.
#[derive(Debug)]
pub(crate) struct Metadata {
    http: Client,
    base: String,
    session: Mutex<Option<(Secret, Instant)>>,
}

impl Metadata {
    /// A client that uses no proxy, because the address belongs to this instance.
    pub(crate) fn new(base: &str) -> Result<Self, reqwest::Error> {
        // Every HTTP client needs a crypto provider, which is chosen once per process. An error means that one is
        // chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Metadata {
            http,
            base: base.trim_end_matches('/').to_owned(),
            session: Mutex::new(None),
        })
    }

    pub(crate) async fn region(&self) -> Result<String, MetadataError> {
        self.get("region-id").await
    }

    pub(crate) async fn role_credentials(&self) -> Result<RoleCredentials, MetadataError> {
        let roles = self.get("ram/security-credentials/").await;
        let roles = match roles {
            Err(MetadataError::Status { status: 404, .. }) => return Err(MetadataError::NoRole),
            other => other?,
        };
        let role = roles
            .lines()
            .next()
            .map(str::trim)
            .filter(|role| !role.is_empty());
        let path = format!("ram/security-credentials/{}", role.ok_or(MetadataError::NoRole)?);
        let text = self.get(&path).await?;
        serde_json::from_str(&text).map_err(|source| MetadataError::Answer { path, source })
    }

    /// Reads a path. Token mode is used if it was needed before, and when the service answers 401 or 403 to a request
    /// without a valid token.
    async fn get(&self, path: &str) -> Result<String, MetadataError> {
        let known = self.session.lock().clone();
        let token = match known {
            Some((token, renew_at)) if Instant::now() < renew_at => Some(token),
            Some(_) => Some(self.open_session().await?),
            None => None,
        };
        match self.fetch(path, token.as_ref()).await {
            Err(MetadataError::Status {
                status: 401 | 403, ..
            }) => {
                let token = self.open_session().await?;
                self.fetch(path, Some(&token)).await
            }
            other => other,
        }
    }

    async fn open_session(&self) -> Result<Secret, MetadataError> {
        let path = "api/token";
        let request = self
            .http
            .request(Method::PUT, format!("{}/latest/{path}", self.base))
            .header("X-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_SECONDS);
        let token = Secret::from(send(request, path).await?.trim());
        // A token is renewed at half its life, so that a slow caller never uses an expired token.
        let renew_at = Instant::now() + Duration::from_secs(TOKEN_SECONDS / 2);
        *self.session.lock() = Some((token.clone(), renew_at));
        Ok(token)
    }

    async fn fetch(&self, path: &str, token: Option<&Secret>) -> Result<String, MetadataError> {
        let mut request = self.http.get(format!("{}/latest/meta-data/{path}", self.base));
        if let Some(token) = token {
            request = request.header("X-aliyun-ecs-metadata-token", token.reveal());
        }
        Ok(send(request, path).await?.trim().to_owned())
    }
}

async fn send(request: reqwest::RequestBuilder, path: &str) -> Result<String, MetadataError> {
    let failed = |source| MetadataError::Request {
        path: path.to_owned(),
        source,
    };
    let answer = request.send().await.map_err(failed)?;
    if answer.status() != StatusCode::OK {
        return Err(MetadataError::Status {
            path: path.to_owned(),
            status: answer.status().as_u16(),
        });
    }
    answer.text().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn role_credentials_may_carry_more_than_is_known() {
        let text = r#"{"Code":"Success","LastUpdated":"x","AccessKeyId":"STS.1","AccessKeySecret":"s",
            "SecurityToken":"t","Expiration":"2099-01-01T00:00:00Z","New":{"Deep":[1]}}"#;
        let credentials: RoleCredentials = serde_json::from_str(text).unwrap();
        assert_eq!(credentials.access_key_id, "STS.1");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn arbitrary_credentials_are_refused_calmly(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(serde_json::from_slice::<RoleCredentials>(&text).is_err());
        }
    }
}
