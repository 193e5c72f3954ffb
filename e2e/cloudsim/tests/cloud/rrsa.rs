//! A role that service accounts of a cluster may assume, and their tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudsim::World;
use cloudsim::world::OidcTrust;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bench::quick_world;

pub const PROVIDER: &str = "acs:ram::1234567890123456:oidc-provider/ack-rrsa-lab";
pub const SUBJECT: &str = "system:serviceaccount:kube-system:terway-controlplane";
const ISSUER: &str = "https://kubernetes.lab";

/// A world whose role trusts the service accounts of kube-system.
pub fn rrsa_world() -> World {
    let mut world = quick_world();
    world.ram_roles[0].oidc.push(OidcTrust {
        provider: PROVIDER.into(),
        issuer: ISSUER.into(),
        audience: "sts.aliyuncs.com".into(),
        subjects: vec!["system:serviceaccount:kube-system:*".into()],
    });
    world
}

/// A service account's token that lives for so many seconds.
pub fn token(subject: &str, audience: Value, life: i64) -> String {
    let claims = json!({
        "iss": ISSUER,
        "sub": subject,
        "aud": audience,
        "iat": Timestamp::now().as_second() - 100,
        "exp": Timestamp::now().as_second() + life,
    });
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        part(r#"{"alg":"RS256"}"#),
        part(&claims.to_string()),
        part("signature")
    )
}
