//! The ACS3-HMAC-SHA256 signature of the OpenAPI: canonical request, string to sign, header.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Name of the algorithm, first word of the `Authorization` header.
const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// Percent-encodes as RFC 3986 says: everything but letters, digits, `-`, `_`, `.` and `~`.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The query in the one order and spelling that both ends agree on. It is sent as it is signed.
pub(crate) fn canonical_query(params: &[(String, String)]) -> String {
    let mut pairs: Vec<(String, String)> = params
        .iter()
        .map(|(key, value)| (percent_encode(key), percent_encode(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join("&")
}

/// Lower-case hexadecimal SHA-256.
pub(crate) fn sha256_hex(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

/// The value of the `Authorization` header for a request to `/` with these headers, all of which get
/// signed. The body's hash must be among them as `x-acs-content-sha256`.
pub(crate) fn authorization(
    access_key_id: &str,
    access_key_secret: &str,
    method: &str,
    canonical_query: &str,
    headers: &[(String, String)],
) -> String {
    let mut headers: Vec<(String, &str)> = headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let signed_headers = names.join(";");
    let content_hash = headers
        .iter()
        .find(|(name, _)| name == "x-acs-content-sha256")
        .map_or("", |(_, value)| *value);

    let mut canonical = format!("{method}\n/\n{canonical_query}\n");
    for (name, value) in &headers {
        let _ = writeln!(canonical, "{name}:{value}");
    }
    let _ = write!(canonical, "\n{signed_headers}\n{content_hash}");

    let string_to_sign = format!("{ALGORITHM}\n{}", sha256_hex(canonical.as_bytes()));
    let signature = hex(&hmac_sha256(
        access_key_secret.as_bytes(),
        string_to_sign.as_bytes(),
    ));
    format!("{ALGORITHM} Credential={access_key_id},SignedHeaders={signed_headers},Signature={signature}")
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    // HMAC is defined for keys of any length, so there is no error to speak of.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// The worked example of the cloud's own manual for this signature.
    #[test]
    fn the_published_example_is_reproduced() {
        let query = canonical_query(&pairs(&[
            ("RegionId", "cn-shanghai"),
            ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"),
        ]));
        let headers = pairs(&[
            ("host", "ecs.cn-shanghai.aliyuncs.com"),
            ("x-acs-action", "RunInstances"),
            ("x-acs-content-sha256", &sha256_hex(b"")),
            ("x-acs-date", "2023-10-26T10:22:32Z"),
            ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
            ("x-acs-version", "2014-05-26"),
        ]);
        let header = authorization("YourAccessKeyId", "YourAccessKeySecret", "POST", &query, &headers);
        assert_eq!(
            header,
            "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;\
             x-acs-date;x-acs-signature-nonce;x-acs-version,\
             Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
        );
    }

    #[test]
    fn reserved_characters_are_encoded_as_the_cloud_does() {
        assert_eq!(percent_encode("a b*c~d+e/f=ü"), "a%20b%2Ac~d%2Be%2Ff%3D%C3%BC");
        assert_eq!(
            canonical_query(&pairs(&[("b", ""), ("a.10", "x"), ("a.2", "y&z")])),
            "a.10=x&a.2=y%26z&b="
        );
    }

    fn decode(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            if first == b'%' {
                out.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
                rest = &tail[2..];
            } else {
                out.push(first);
                rest = tail;
            }
        }
        out
    }

    proptest! {
        #[test]
        fn encoding_is_reversible_and_plain(text in "\\PC{0,40}") {
            let encoded = percent_encode(&text);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b)));
            prop_assert_eq!(decode(&encoded), text.as_bytes());
        }

        #[test]
        fn order_of_parameters_and_headers_does_not_matter(
            mut params in proptest::collection::vec(("[A-Za-z.]{1,8}", "\\PC{0,8}"), 0..8),
            mut headers in proptest::collection::btree_map("[a-z-]{1,8}", "[ -~]{0,8}", 0..6),
        ) {
            headers.insert("x-acs-content-sha256".into(), sha256_hex(b""));
            let mut headers: Vec<_> = headers.into_iter().collect();
            let query = canonical_query(&params);
            let one = authorization("ak", "sk", "POST", &query, &headers);
            params.reverse();
            headers.reverse();
            prop_assert_eq!(&query, &canonical_query(&params));
            prop_assert_eq!(one, authorization("ak", "sk", "POST", &query, &headers));
        }

        #[test]
        fn the_query_reaches_the_wire_as_it_was_signed(
            params in proptest::collection::vec(("[A-Za-z.]{1,8}", "\\PC{0,8}"), 1..8),
        ) {
            let query = canonical_query(&params);
            let url = url::Url::parse(&format!("http://host/?{query}")).unwrap();
            prop_assert_eq!(url.query(), Some(query.as_str()));
        }
    }
}
