//! Requests that official SDKs signed are accepted. A request with one changed byte is refused.

use std::collections::BTreeMap;

use cloudsim::api::parameters::Parameters;
use cloudsim::api::signature::{Claim, Signed};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

/// A recorded request; tests/vectors/README.md explains it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Vector {
    client: String,
    family: String,
    action: String,
    version: String,
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: String,
    access_key_id: String,
    access_key_secret: String,
    #[serde(default)]
    security_token: Option<String>,
    signature: String,
}

fn vectors() -> Vec<Vector> {
    [
        include_str!("../../vectors/go-rpc.json"),
        include_str!("../../vectors/go-tea.json"),
        include_str!("../../vectors/go-tea-form.json"),
        include_str!("../../vectors/go-tea-rpc.json"),
        include_str!("../../vectors/python-rpc.json"),
        include_str!("../../vectors/python-tea.json"),
    ]
    .iter()
    .flat_map(|text| serde_json::from_str::<Vec<Vector>>(text).expect("vectors"))
    .collect()
}

impl Vector {
    /// Whether the simulator accepts the signature.
    fn holds(&self, secret: &str) -> bool {
        let pairs = |text: &str| -> Parameters {
            url::form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect()
        };
        let query = pairs(&self.query);
        let mut parameters = query.clone();
        if self
            .headers
            .get("content-type")
            .is_some_and(|kind| kind.contains("form"))
        {
            parameters.extend(pairs(&self.body));
        }
        let headers: HeaderMap = self
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<HeaderName>().expect("a name"),
                    HeaderValue::from_str(value).expect("a value"),
                )
            })
            .collect();
        let claim = Claim::read(&Signed {
            method: &self.method,
            path: &self.path,
            query: &query,
            headers: &headers,
            body: self.body.as_bytes(),
            parameters: &parameters,
        });
        claim.is_ok_and(|claim| {
            assert_eq!(claim.access_key_id, self.access_key_id);
            assert_eq!(claim.security_token, self.security_token);
            claim.verify(secret).is_ok()
        })
    }
}

#[test]
fn every_recorded_signature_is_taken_and_with_another_key_none() {
    let vectors = vectors();
    let clients: BTreeMap<&str, usize> = vectors.iter().fold(BTreeMap::new(), |mut count, vector| {
        *count.entry(vector.client.as_str()).or_default() += 1;
        count
    });
    assert_eq!(clients.len(), 6, "{clients:?}");
    for vector in &vectors {
        let name = format!("{} {} {}", vector.client, vector.version, vector.action);
        assert!(vector.holds(&vector.access_key_secret), "{name} is refused");
        assert!(!vector.holds("lab-sl"), "{name} is taken with another key");
        assert!(!vector.signature.is_empty());
    }
    let signed_by_roles = vectors.iter().filter(|vector| vector.security_token.is_some());
    assert!(signed_by_roles.count() >= clients.len());
}

#[test]
fn a_request_changed_on_its_way_is_refused() {
    for vector in vectors() {
        let name = format!("{} {}", vector.client, vector.action);
        let changed = |change: &dyn Fn(&mut Vector)| {
            let mut other = vector.clone();
            change(&mut other);
            other.holds(&vector.access_key_secret)
        };
        assert!(
            !changed(&|other| other.query.push_str("&Extra=1")),
            "{name}: a parameter was added"
        );
        assert!(
            !changed(&|other| other.method = "GET".into()),
            "{name}: another method"
        );
        if !vector.body.is_empty() {
            assert!(
                !changed(&|other| other.body.push_str("&Extra=1")),
                "{name}: another body"
            );
        }
        if vector.family == "v3" {
            for header in ["host", "x-acs-action", "x-acs-date", "x-acs-signature-nonce"] {
                let altered = changed(&|other| {
                    other.headers.insert(header.into(), "other".into());
                });
                assert!(!altered, "{name}: another {header}");
            }
        }
    }
}
