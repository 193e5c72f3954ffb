//! The Security Token Service. It gives temporary credentials of a RAM role to callers that may assume the role, by an
//! access key or by an OIDC token such as that of a Kubernetes service account.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::credentials::{KeyRing, RoleCredential};
use super::parameters::Parameters;
use crate::model::ApiError;
use crate::model::error;
use crate::world::{OidcTrust, RamRole};

/// Version of the STS API.
pub const VERSION: &str = "2015-04-01";
const SHORTEST: u64 = 900;
const USUAL: u64 = 3600;

/// An action of STS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StsAction {
    AssumeRole,
    AssumeRoleWithOidc,
}

impl StsAction {
    /// The action of this name.
    pub fn find(name: &str) -> Result<StsAction, ApiError> {
        match name {
            "AssumeRole" => Ok(StsAction::AssumeRole),
            "AssumeRoleWithOIDC" => Ok(StsAction::AssumeRoleWithOidc),
            _ => Err(error::ACTION_NOT_FOUND
                .because("Specified api is not found, please check your url and method.")),
        }
    }

    /// Whether the request must be signed. AssumeRoleWithOIDC is unsigned, because the OIDC token proves the caller.
    pub fn signed(self) -> bool {
        self == StsAction::AssumeRole
    }

    /// Creates credentials. `caller` is the access key that signed the request.
    pub fn act(
        self,
        keys: &mut KeyRing,
        parameters: &Parameters,
        caller: Option<&str>,
        now: Timestamp,
    ) -> Result<Value, ApiError> {
        let (role, session, life) = {
            let role = find_role(keys, parameters.required("RoleArn")?)?;
            let session = read_session(parameters)?;
            (role.clone(), session, read_life(parameters, role)?)
        };
        let mut answer = match self {
            StsAction::AssumeRole => {
                if let (Some(trusted), Some(caller)) = (&role.trusted_keys, caller)
                    && !trusted.iter().any(|key| key == caller)
                {
                    return Err(error::NO_PERMISSION.because(
                        "You are not authorized to do this action. You should be authorized by RAM.",
                    ));
                }
                json!({})
            }
            StsAction::AssumeRoleWithOidc => json!({"OIDCTokenInfo": check_oidc(parameters, &role, now)?}),
        };
        let minted = keys.mint(life, now);
        answer["AssumedRoleUser"] = json!({
            "Arn": format!("acs:ram::{}:role/{}/{session}", keys.account(), role.name),
            "AssumedRoleId": format!("{}:{session}", role_id(&role.name)),
        });
        answer["Credentials"] = credentials(&minted);
        Ok(answer)
    }
}

fn credentials(minted: &RoleCredential) -> Value {
    json!({
        "AccessKeyId": minted.access_key_id,
        "AccessKeySecret": minted.access_key_secret,
        "SecurityToken": minted.security_token,
        "Expiration": minted.expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    })
}

/// Sixteen digits that are derived from the role's name.
fn role_id(name: &str) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    3_000_000_000_000_000 + hash % 1_000_000_000_000_000
}

fn find_role<'a>(keys: &'a KeyRing, arn: &str) -> Result<&'a RamRole, ApiError> {
    let name = arn
        .strip_prefix("acs:ram::")
        .and_then(|rest| rest.split_once(":role/"))
        .filter(|(account, _)| !account.is_empty() && account.bytes().all(|digit| digit.is_ascii_digit()));
    let (account, name) = name.ok_or_else(|| {
        error::STS_ROLE_ARN.because(format!("The parameter RoleArn {arn} is wrongly formed."))
    })?;
    keys.role(name)
        .filter(|_| account == keys.account())
        .ok_or_else(|| error::STS_ROLE_NOT_FOUND.because(format!("The role does not exist: {arn}.")))
}

fn read_session(parameters: &Parameters) -> Result<String, ApiError> {
    let name = parameters.required("RoleSessionName")?;
    let sound = (2..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".@-_".contains(&byte));
    match sound {
        true => Ok(name.to_owned()),
        false => Err(error::STS_SESSION.because("The parameter RoleSessionName is wrongly formed.")),
    }
}

fn read_life(parameters: &Parameters, role: &RamRole) -> Result<Duration, ApiError> {
    let longest = role.max_session.0.as_secs();
    let seconds = match parameters.get("DurationSeconds") {
        None => Some(USUAL.min(longest)),
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| (SHORTEST..=longest).contains(seconds)),
    };
    seconds.map(Duration::from_secs).ok_or_else(|| {
        error::STS_DURATION.because(format!(
            "The Min/Max value of DurationSeconds is {SHORTEST}s/{longest}s."
        ))
    })
}

/// The claims of a token that are checked.
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    #[serde(default)]
    iat: i64,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn all(&self) -> &[String] {
        match self {
            Audience::One(one) => std::slice::from_ref(one),
            Audience::Many(many) => many,
        }
    }
}

/// Checks an OIDC token against the role's trust. The token's signature is not checked, because the simulator has no
/// key of the issuer.
fn check_oidc(parameters: &Parameters, role: &RamRole, now: Timestamp) -> Result<Value, ApiError> {
    let provider = parameters.required("OIDCProviderArn")?;
    let claims = read_claims(parameters.required("OIDCToken")?)
        .ok_or_else(|| error::OIDC_INVALID.because("The OIDC token is not a JSON web token."))?;
    if claims.exp <= now.as_second() {
        return Err(error::OIDC_EXPIRED.because("This JWT has expired."));
    }
    let trusted = |trust: &&OidcTrust| {
        trust.provider == provider
            && trust.issuer == claims.iss
            && claims.aud.all().contains(&trust.audience)
            && trust.subjects.iter().any(|wanted| admits(wanted, &claims.sub))
    };
    role.oidc.iter().find(trusted).ok_or_else(|| {
        error::OIDC_NO_PERMISSION.because("This operation is forbidden by permission system.")
    })?;
    let time = |second: i64| {
        Timestamp::from_second(second)
            .map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
            .unwrap_or_default()
    };
    Ok(json!({
        "Subject": claims.sub,
        "Issuer": claims.iss,
        "ClientIds": claims.aud.all().join(","),
        "ExpirationTime": time(claims.exp),
        "IssuanceTime": time(claims.iat),
        "VerificationInfo": "Success",
    }))
}

/// Whether `wanted`, a subject of a trust that may end in `*`, matches `subject`.
fn admits(wanted: &str, subject: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(prefix) => subject.starts_with(prefix),
        None => wanted == subject,
    }
}

fn read_claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}
