//! The signature against the manual's example, requests that other clients signed, and its own rules.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;

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

/// A request as an independent client signed and sent it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recorded {
    client: String,
    family: String,
    method: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: String,
    access_key_id: String,
    access_key_secret: String,
}

/// The requests stand with the simulator, whose tests record them.
fn recorded() -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/cloudsim/tests/vectors");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let vectors = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
    vectors
        .flat_map(|path| serde_json::from_slice::<Vec<Recorded>>(&std::fs::read(path).unwrap()).unwrap())
        .collect()
}

/// What others signed, signed by us, gives the same header to the letter: parameters in the query and in the
/// body, with and without a role's token, whatever headers they chose to sign.
#[test]
fn requests_of_independent_clients_are_signed_alike() {
    let recorded = recorded();
    let mut clients = std::collections::BTreeSet::new();
    for request in recorded.iter().filter(|request| request.family == "v3") {
        let theirs = &request.headers["authorization"];
        let signed = theirs.split("SignedHeaders=").nth(1).unwrap();
        let signed: Vec<&str> = signed.split(',').next().unwrap().split(';').collect();
        let headers: Vec<(String, String)> = signed
            .iter()
            .map(|name| ((*name).to_owned(), request.headers[*name].clone()))
            .collect();
        let params: Vec<(String, String)> = url::form_urlencoded::parse(request.query.as_bytes())
            .into_owned()
            .collect();
        let ours = authorization(
            &request.access_key_id,
            &request.access_key_secret,
            &request.method,
            &canonical_query(&params),
            &headers,
        );
        assert_eq!(&ours, theirs, "{} {}", request.client, request.query);
        assert_eq!(
            sha256_hex(request.body.as_bytes()),
            request.headers["x-acs-content-sha256"]
        );
        clients.insert(request.client.as_str());
    }
    assert_eq!(
        clients.into_iter().collect::<Vec<_>>(),
        ["go-tea", "go-tea-form", "python-tea"]
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
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn encoding_is_reversible_and_plain(text in "\\PC{0,40}") {
        let encoded = percent_encode(&text);
        prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b)));
        prop_assert_eq!(decode(&encoded), text.as_bytes());
    }

    /// The encoded query tells every pair apart: nothing inside a key or a value reads as a separator.
    #[test]
    fn the_canonical_query_can_be_read_back(
        params in proptest::collection::vec(("\\PC{1,8}", "\\PC{0,8}"), 0..8),
    ) {
        let query = canonical_query(&params);
        let mut read: Vec<(String, String)> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap();
                let text = |encoded| String::from_utf8(decode(encoded)).unwrap();
                (text(key), text(value))
            })
            .collect();
        let mut wanted = params;
        wanted.sort();
        read.sort();
        prop_assert_eq!(read, wanted);
    }

    #[test]
    fn any_change_to_what_is_signed_changes_the_signature(
        key in "[A-Za-z]{1,8}", value in "\\PC{0,8}", other in "\\PC{0,8}", secret in "[ -~]{1,20}",
    ) {
        prop_assume!(value != other);
        let headers = pairs(&[("host", "h"), ("x-acs-content-sha256", "0")]);
        let sign = |value: &str, secret: &str| {
            let query = canonical_query(&[(key.clone(), value.to_owned())]);
            authorization("ak", secret, "POST", &query, &headers)
        };
        prop_assert_ne!(sign(&value, &secret), sign(&other, &secret));
        prop_assert_ne!(sign(&value, &secret), sign(&value, &format!("{secret}x")));
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
