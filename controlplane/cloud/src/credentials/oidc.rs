//! Keys of a RAM role in exchange for a service account's token (RRSA): STS AssumeRoleWithOIDC (STS API page of this
//! name). The call is not signed, because the token proves the caller.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Client;
use serde::Deserialize;

use super::{Keys, OidcRole};
use crate::endpoint::{EndpointError, Endpoints};
use crate::secret::Secret;
use crate::signature::canonical_query;

/// Requested life of the keys in seconds: the longest life that every role allows (STS API page AssumeRoleWithOIDC).
const LIFE: u32 = 3600;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a role gave no keys.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    #[error("working out the address of STS")]
    Endpoint(#[source] EndpointError),
    #[error("opening {path}: check ALIBABA_CLOUD_OIDC_TOKEN_FILE and the projected token")]
    TokenFile { path: PathBuf, source: std::io::Error },
    #[error("asking {endpoint} for keys of {role}: check that it can be reached")]
    Request {
        endpoint: String,
        role: String,
        source: reqwest::Error,
    },
    #[error("STS refused keys of {role}: {code} (HTTP {status}): {message}: check the role's trust policy")]
    Refused {
        role: String,
        status: u16,
        code: String,
        message: String,
    },
    #[error("the answer of STS for {role} cannot be read: check that STS_ENDPOINT is STS")]
    Answer { role: String, source: serde_json::Error },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleResponse {
    credentials: RoleKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleKeys {
    access_key_id: String,
    access_key_secret: String,
    security_token: String,
    /// End of validity, RFC 3339.
    expiration: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct StsError {
    code: String,
    message: String,
}

/// Exchanges the present token for keys.
pub(super) async fn assume(role: &OidcRole, region_id: &str, http: &Client) -> Result<Keys, OidcError> {
    let endpoint = match &role.sts_endpoint {
        Some(endpoint) => endpoint.clone(),
        None => Endpoints::sts(region_id, |name| std::env::var(name).ok()).map_err(OidcError::Endpoint)?,
    };
    let token = tokio::fs::read_to_string(&role.token_file)
        .await
        .map(Secret::from)
        .map_err(|source| OidcError::TokenFile {
            path: role.token_file.clone(),
            source,
        })?;
    let failed = |source: reqwest::Error| OidcError::Request {
        endpoint: endpoint.clone(),
        role: role.role_arn.clone(),
        source: source.without_url(),
    };
    let request = http
        .post(format!("{endpoint}/?{}", query()))
        .header("content-type", "application/x-www-form-urlencoded")
        .timeout(TIMEOUT)
        .body(form(role, &token));
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(failed)?;
    if !status.is_success() {
        let refusal: StsError = serde_json::from_slice(&body).unwrap_or_default();
        return Err(OidcError::Refused {
            role: role.role_arn.clone(),
            status: status.as_u16(),
            code: refusal.code,
            message: refusal.message,
        });
    }
    parse(role, &body)
}

fn query() -> String {
    let pairs = [
        ("Action", "AssumeRoleWithOIDC".to_owned()),
        ("Format", "JSON".to_owned()),
        ("Version", "2015-04-01".to_owned()),
        (
            "Timestamp",
            Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ),
        ("SignatureNonce", uuid::Uuid::new_v4().to_string()),
    ];
    canonical_query(&pairs.map(|(key, value)| (key.to_owned(), value)))
}

fn form(role: &OidcRole, token: &Secret) -> String {
    let pairs = [
        ("RoleArn", role.role_arn.clone()),
        ("OIDCProviderArn", role.provider_arn.clone()),
        ("OIDCToken", token.reveal().trim().to_owned()),
        ("RoleSessionName", role.session_name.clone()),
        ("DurationSeconds", LIFE.to_string()),
    ];
    canonical_query(&pairs.map(|(key, value)| (key.to_owned(), value)))
}

fn parse(role: &OidcRole, body: &[u8]) -> Result<Keys, OidcError> {
    let answer: AssumeRoleResponse = serde_json::from_slice(body).map_err(|source| OidcError::Answer {
        role: role.role_arn.clone(),
        source,
    })?;
    let keys = answer.credentials;
    Ok(Keys {
        id: keys.access_key_id,
        secret: keys.access_key_secret.into(),
        security_token: Some(keys.security_token.into()),
        expires_at: keys.expiration.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn role() -> OidcRole {
        OidcRole {
            role_arn: "acs:ram::1:role/terway".into(),
            provider_arn: "acs:ram::1:oidc-provider/ack".into(),
            token_file: "/nonexistent/token".into(),
            session_name: "s".into(),
            sts_endpoint: Some("http://127.0.0.1:1".into()),
        }
    }

    #[test]
    fn the_form_carries_role_provider_and_token() {
        assert_eq!(
            form(&role(), &"a.b+c\n".into()),
            "DurationSeconds=3600&OIDCProviderArn=acs%3Aram%3A%3A1%3Aoidc-provider%2Fack&OIDCToken=a.b%2Bc\
             &RoleArn=acs%3Aram%3A%3A1%3Arole%2Fterway&RoleSessionName=s"
        );
        assert!(query().starts_with("Action=AssumeRoleWithOIDC&Format=JSON&SignatureNonce="));
    }

    #[test]
    fn an_answer_gives_keys_and_their_expiry() {
        let body =
            br#"{"RequestId":"R","AssumedRoleUser":{"Arn":"x"},"New":1,"Credentials":{"AccessKeyId":"STS.1",
            "AccessKeySecret":"s","SecurityToken":"t","Expiration":"2099-01-31T12:00:00Z","More":[]}}"#;
        let keys = parse(&role(), body).unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.reveal()), ("STS.1", "s"));
        assert_eq!(keys.expires_at.unwrap().to_string(), "2099-01-31T12:00:00Z");
        assert!(!format!("{keys:?}").contains("\"t\""));
    }

    #[tokio::test]
    async fn a_missing_token_file_is_named() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let error = assume(&role(), "cn-hangzhou", &Client::new()).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/token"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn arbitrary_answers_are_refused_calmly(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&role(), &body).is_err());
        }
    }
}
