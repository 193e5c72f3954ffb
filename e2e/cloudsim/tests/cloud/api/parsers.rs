//! Input from outside is answered or refused and never causes a panic: requests of any bytes, world files of any text,
//! and requests that are almost valid.

use std::sync::Arc;

use crate::bench::quick_world;
use cloudsim::World;
use cloudsim::api::call::{HttpRequest, Reply, answer};
use cloudsim::state::State;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

const CASES: u32 = 400;

const HEADERS: [&str; 10] = [
    "authorization",
    "content-type",
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-security-token",
    "x-acs-signature-nonce",
    "x-acs-version",
    "x-other",
];

const NAMES: [&str; 22] = [
    "AccessKeyId",
    "Action",
    "ClientToken",
    "InstanceId",
    "InstanceIds",
    "MaxResults",
    "NetworkInterfaceId",
    "NetworkInterfaceId.1",
    "NextToken",
    "OIDCToken",
    "PageNumber",
    "PageSize",
    "PrimaryIpAddress",
    "PrivateIpAddress.1",
    "RegionId",
    "RoleArn",
    "SecurityGroupIds.1",
    "Tag.1.Key",
    "Tag.1.Value",
    "Tag.x",
    "VSwitchId",
    "Version",
];

const VALUES: [&str; 18] = [
    "",
    "-1",
    "0",
    "10",
    "2014-05-26",
    "2015-04-01",
    "2016-04-28",
    "4294967296",
    "AssumeRoleWithOIDC",
    "[\"i-node1\"]",
    "a.e30.b",
    "acs:ram::1234567890123456:role/lab-role",
    "cn-hangzhou",
    "eni-node1",
    "next-ffffffffffffffff",
    "sg-web",
    "vsw-pod-h",
    "999.1.1.1",
];

/// Names of actions: those that the simulator knows, and others.
const ACTIONS: [&str; 22] = [
    "AssignIpv6Addresses",
    "AssignPrivateIpAddresses",
    "AssumeRole",
    "AssumeRoleWithOIDC",
    "AttachNetworkInterface",
    "CreateNetworkInterface",
    "CreateVSwitchCidrReservation",
    "DeleteNetworkInterface",
    "DescribeInstanceTypes",
    "DescribeInstances",
    "DescribeNetworkInterfaceAttribute",
    "DescribeNetworkInterfaces",
    "DescribeSecurityGroupAttribute",
    "DescribeSecurityGroups",
    "DescribeVSwitches",
    "DescribeVpcs",
    "DetachNetworkInterface",
    "ListTagResources",
    "ModifyNetworkInterfaceAttribute",
    "Nothing",
    "TagResources",
    "UnassignPrivateIpAddresses",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(&VALUES[..]).prop_map(str::to_owned),
        1 => ".{0,40}",
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => proptest::sample::select(&NAMES[..]).prop_map(str::to_owned),
        1 => "[A-Za-z0-9.%/]{0,20}",
    ]
}

/// The outcome of a request, checked for the form every answer has.
fn outcome(verified: bool, request: HttpRequest) -> Result<(), TestCaseError> {
    let mut world = quick_world();
    world.rules.verify_signatures = verified;
    let state = Arc::new(State::new(&world, 1, false, None).expect("a state"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match runtime.block_on(answer(state, request)) {
        Reply::Whole { status, body } => {
            prop_assert!((200..600).contains(&status), "{status}");
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            prop_assert!(body["RequestId"].is_string(), "{body}");
            prop_assert_eq!(body["Code"].is_string(), status != 200, "{}", body);
        }
        other => prop_assert!(false, "{:?} without a fault", other),
    }
    Ok(())
}

fn headers(pairs: Vec<(usize, Vec<u8>)>) -> HeaderMap {
    pairs
        .into_iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_static(HEADERS[name % HEADERS.len()]);
            Some((name, HeaderValue::from_bytes(&value).ok()?))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(
        method in "[A-Z]{0,6}",
        path in "/.{0,20}",
        query in ".{0,120}",
        pairs in vec((0..HEADERS.len(), vec(any::<u8>(), 0..60)), 0..8),
        form in any::<bool>(),
        body in vec(any::<u8>(), 0..200),
        verified in any::<bool>(),
    ) {
        let mut headers = headers(pairs);
        if form {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert("content-type", kind);
        }
        outcome(verified, HttpRequest { method, path, query, headers, body, caller: Default::default() })?;
    }

    #[test]
    fn authorizations_of_any_shape_are_refused(
        fields in vec(prop_oneof![
            Just("Credential=lab-ak".to_owned()),
            Just("SignedHeaders=host;x-acs-action;x-acs-date;x-acs-signature-nonce".to_owned()),
            Just("SignedHeaders=;;".to_owned()),
            "Signature=[0-9a-fé]{0,70}",
            ".{0,20}",
        ], 0..5),
        date in prop_oneof![Just("2026-11-21T00:00:00Z".to_owned()), "[0-9TZ:-]{0,25}"],
    ) {
        let mut headers = HeaderMap::new();
        let authorization = format!("ACS3-HMAC-SHA256 {}", fields.join(","));
        for (name, value) in [
            ("authorization", authorization.as_str()),
            ("host", "x"),
            ("x-acs-action", "DescribeVpcs"),
            ("x-acs-version", "2016-04-28"),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", "n"),
        ] {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let request = HttpRequest {
            method: "POST".into(),
            path: "/".into(),
            query: String::new(),
            headers,
            body: Vec::new(),
            caller: Default::default(),
        };
        outcome(true, request)?;
    }

    #[test]
    fn parameters_of_every_action_may_be_anything(
        action in proptest::sample::select(&ACTIONS[..]),
        version in proptest::sample::select(&["2014-05-26", "2015-04-01", "2016-04-28"][..]),
        pairs in vec((name(), value()), 0..8),
    ) {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.append_pair("RegionId", "cn-hangzhou").extend_pairs(pairs);
        text.append_pair("Action", action).append_pair("Version", version);
        let request = HttpRequest {
            method: "GET".into(),
            path: "/".into(),
            query: text.finish(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            caller: Default::default(),
        };
        outcome(false, request)?;
    }

    #[test]
    fn world_files_of_any_text_are_read_or_refused(text in ".{0,300}") {
        let _ = World::from_yaml(&text);
    }

    #[test]
    fn a_world_file_with_a_line_changed_is_read_or_refused(
        at in any::<proptest::sample::Index>(),
        instead in prop_oneof!["[ a-z:{}\\[\\],0-9./-]{0,60}", Just(String::new())],
        also in any::<proptest::sample::Index>(),
        from in "[0-9a-z.]{1,3}",
        to in prop_oneof![Just("-1".to_owned()), Just("1e99".to_owned()), Just("99999999999".to_owned()), ".{0,6}"],
    ) {
        let mut lines: Vec<String> = include_str!("../../../worlds/small.yaml").lines().map(str::to_owned).collect();
        let (at, also) = (at.index(lines.len()), also.index(lines.len()));
        lines[at] = instead;
        lines[also] = lines[also].replacen(&from, &to, 1);
        if let Ok(world) = World::from_yaml(&lines.join("\n")) {
            // A world that is accepted can also be started.
            let _ = State::new(&world, 1, false, None);
        }
    }
}
