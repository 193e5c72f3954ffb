//! Both signature families of the API: who signed a request, which bytes the signature covers, and whether it is valid.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::parameters::Parameters;
use crate::model::ApiError;
use crate::model::error;

const V3_ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// Headers that a V3 signature must cover. Without one of them somebody could change the call.
const V3_SIGNED: [&str; 4] = ["host", "x-acs-action", "x-acs-date", "x-acs-signature-nonce"];

/// What a request claims about its sender, and the bytes that its signature covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub access_key_id: String,
    pub security_token: Option<String>,
    pub nonce: String,
    /// The time stamp as sent.
    pub timestamp: String,
    signature: String,
    string_to_sign: String,
    family: Family,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V3,
    Rpc,
}

/// The parts of an HTTP request that signatures cover.
#[derive(Debug)]
pub struct Signed<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// The decoded pairs of the query string.
    pub query: &'a Parameters,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    /// The pairs of query and form together.
    pub parameters: &'a Parameters,
}

impl Claim {
    /// Reads the claim of a request of either family.
    pub fn read(request: &Signed<'_>) -> Result<Claim, ApiError> {
        match header(request.headers, "authorization") {
            Some(authorization) => Claim::read_v3(request, authorization),
            None => Claim::read_rpc(request),
        }
    }

    fn read_v3(request: &Signed<'_>, authorization: &str) -> Result<Claim, ApiError> {
        let incomplete = |why: &str| {
            error::SIGNATURE_INCOMPLETE.because(format!("The request signature does not conform: {why}."))
        };
        let fields = authorization
            .strip_prefix(V3_ALGORITHM)
            .ok_or_else(|| incomplete("the algorithm must be ACS3-HMAC-SHA256"))?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let access_key_id = field("Credential").ok_or_else(|| error::missing("AccessKeyId"))?;
        let signed_headers = field("SignedHeaders").ok_or_else(|| incomplete("SignedHeaders is absent"))?;
        let signature = field("Signature").ok_or_else(|| error::missing("Signature"))?;
        let names: Vec<&str> = signed_headers.split(';').collect();
        if let Some(absent) = V3_SIGNED.iter().find(|name| !names.contains(name)) {
            return Err(incomplete(&format!("the header {absent} is not signed")));
        }
        let content_hash = hex(&Sha256::digest(request.body));
        if header(request.headers, "x-acs-content-sha256").is_some_and(|sent| sent != content_hash) {
            return Err(error::CONTENT_HASH.because("x-acs-content-sha256 is not the hash of the body."));
        }
        // The error names an absent header by its parameter of the RPC style.
        let required =
            |name: &str, called: &str| header(request.headers, name).ok_or_else(|| error::missing(called));
        Ok(Claim {
            access_key_id: access_key_id.to_owned(),
            security_token: header(request.headers, "x-acs-security-token").map(str::to_owned),
            nonce: required("x-acs-signature-nonce", "SignatureNonce")?.to_owned(),
            timestamp: required("x-acs-date", "Timestamp")?.to_owned(),
            signature: signature.to_owned(),
            string_to_sign: v3_string_to_sign(request, &names, signed_headers, &content_hash),
            family: Family::V3,
        })
    }

    fn read_rpc(request: &Signed<'_>) -> Result<Claim, ApiError> {
        let parameters = request.parameters;
        let access_key_id = parameters.required("AccessKeyId")?.to_owned();
        let signature = parameters.required("Signature")?.to_owned();
        let method = parameters.required("SignatureMethod")?;
        if method != "HMAC-SHA1" || parameters.required("SignatureVersion")? != "1.0" {
            return Err(error::SIGNATURE_METHOD.because("Only HMAC-SHA1 with version 1.0 is known."));
        }
        let mut canonical = String::new();
        for (name, value) in parameters.iter().filter(|(name, _)| *name != "Signature") {
            if !canonical.is_empty() {
                canonical.push('&');
            }
            canonical.push_str(&percent_encode(name));
            canonical.push('=');
            canonical.push_str(&percent_encode(value));
        }
        Ok(Claim {
            access_key_id,
            security_token: parameters.text("SecurityToken"),
            nonce: parameters.required("SignatureNonce")?.to_owned(),
            timestamp: parameters.required("Timestamp")?.to_owned(),
            signature,
            string_to_sign: format!("{}&%2F&{}", request.method, percent_encode(&canonical)),
            family: Family::Rpc,
        })
    }

    /// Whether the signature was made with `secret`.
    pub fn verify(&self, secret: &str) -> Result<(), ApiError> {
        let good = match self.family {
            Family::V3 => unhex(&self.signature).is_some_and(|signature| {
                keyed::<Hmac<Sha256>>(secret.as_bytes(), &self.string_to_sign)
                    .verify_slice(&signature)
                    .is_ok()
            }),
            Family::Rpc => BASE64.decode(&self.signature).is_ok_and(|signature| {
                let key = format!("{secret}&");
                keyed::<Hmac<Sha1>>(key.as_bytes(), &self.string_to_sign)
                    .verify_slice(&signature)
                    .is_ok()
            }),
        };
        if good {
            return Ok(());
        }
        Err(error::SIGNATURE_MISMATCH.because(format!(
            "Specified signature is not matched with our calculation. server string to sign is:{}",
            self.string_to_sign
        )))
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8], text: &str) -> M {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac
}

fn v3_string_to_sign(
    request: &Signed<'_>,
    names: &[&str],
    signed_headers: &str,
    content_hash: &str,
) -> String {
    let query: Vec<String> = request
        .query
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
        .collect();
    let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, query.join("&"));
    for name in names {
        let value = header(request.headers, name).unwrap_or_default();
        // Writing into a String cannot fail.
        let _ = writeln!(canonical, "{name}:{}", value.trim());
    }
    let _ = write!(canonical, "\n{signed_headers}\n{content_hash}");
    format!("{V3_ALGORITHM}\n{}", hex(&Sha256::digest(canonical.as_bytes())))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Percent-encodes all characters except the unreserved ones of RFC 3986.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}
