//! Credentials: STS by key and by OIDC token, expiry, revocation, and clocks that differ.

use crate::bench::{Bench, Signer, admin, quick_world};
use crate::rrsa::{PROVIDER, SUBJECT, rrsa_world, token};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

const STS: &str = "2015-04-01";
const ROLE: &str = "acs:ram::1234567890123456:role/lab-role";

fn sts() -> Signer {
    Signer {
        version: STS,
        ..Signer::default()
    }
}

fn signer(answer: &Value, v3: bool) -> Signer {
    let text = |name: &str| answer["Credentials"][name].as_str().expect("a text").to_owned();
    Signer {
        ak: text("AccessKeyId"),
        sk: text("AccessKeySecret"),
        token: Some(text("SecurityToken")),
        v3,
        ..Signer::default()
    }
}

async fn outcome(bench: &Bench, signer: &Signer) -> (u16, String) {
    let (status, answer) = bench.call_as(signer, "DescribeVpcs", &[]).await;
    (status, answer["Code"].as_str().unwrap_or("OK").to_owned())
}

async fn assume(bench: &Bench, parameters: &[(&str, &str)]) -> (u16, Value) {
    bench.call_as(&sts(), "AssumeRole", parameters).await
}

/// AssumeRoleWithOIDC as the SDKs send it: unsigned, in a form.
async fn with_oidc(bench: &Bench, token: &str) -> (u16, Value) {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("RoleArn", ROLE),
            ("OIDCProviderArn", PROVIDER),
            ("OIDCToken", token),
            ("RoleSessionName", "terway"),
        ])
        .finish();
    let url = format!(
        "{}/?Action=AssumeRoleWithOIDC&Version={STS}&Format=JSON",
        bench.running.ecs_url()
    );
    let request = bench
        .http
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn credentials_of_an_assumed_role_work_until_they_expire() {
    let bench = Bench::start(quick_world()).await;
    let (status, answer) = assume(
        &bench,
        &[
            ("RoleArn", ROLE),
            ("RoleSessionName", "test"),
            ("DurationSeconds", "900"),
        ],
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    let expires: Timestamp = answer["Credentials"]["Expiration"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time stamp");
    let life = expires.duration_since(Timestamp::now()).as_secs();
    assert!((800..=900).contains(&life), "{life} s");
    assert_eq!(
        answer["AssumedRoleUser"]["Arn"],
        "acs:ram::1234567890123456:role/lab-role/test"
    );
    for v3 in [true, false] {
        assert_eq!(outcome(&bench, &signer(&answer, v3)).await, (200, "OK".into()));
    }
    assert_eq!(
        admin(&bench, Method::POST, "/v1/credentials/expire", None)
            .await
            .0,
        204
    );
    for v3 in [true, false] {
        let expired = (400, "InvalidSecurityToken.Expired".to_owned());
        assert_eq!(outcome(&bench, &signer(&answer, v3)).await, expired);
    }
    assert_eq!(
        outcome(&bench, &Signer::default()).await.0,
        200,
        "keys do not expire"
    );
    let again = assume(&bench, &[("RoleArn", ROLE), ("RoleSessionName", "test")]).await;
    assert_eq!(outcome(&bench, &signer(&again.1, true)).await.0, 200);
}

#[tokio::test]
async fn a_role_is_given_only_to_those_it_trusts_and_for_a_sound_request() {
    let mut world = quick_world();
    world.ram_roles[0].trusted_keys = Some(vec!["somebody-else".into()]);
    world.ram_roles.push(world.ram_roles[0].clone());
    world.ram_roles[1].name = "open".into();
    world.ram_roles[1].trusted_keys = None;
    let bench = Bench::start(world).await;
    let open = "acs:ram::1234567890123456:role/open";
    for (role, session, seconds, status, code) in [
        (ROLE, "test", "900", 403, "NoPermission"),
        (
            "acs:ram::1234567890123456:role/none",
            "test",
            "900",
            404,
            "EntityNotExist.Role",
        ),
        ("acs:ram::77:role/open", "test", "900", 404, "EntityNotExist.Role"),
        ("open", "test", "900", 400, "InvalidParameter.RoleArn"),
        (open, "a b", "900", 400, "InvalidParameter.RoleSessionName"),
        (open, "test", "899", 400, "InvalidParameter.DurationSeconds"),
        (open, "test", "3601", 400, "InvalidParameter.DurationSeconds"),
        (open, "test", "soon", 400, "InvalidParameter.DurationSeconds"),
    ] {
        let parameters = [
            ("RoleArn", role),
            ("RoleSessionName", session),
            ("DurationSeconds", seconds),
        ];
        let (got, answer) = assume(&bench, &parameters).await;
        assert_eq!(
            (got, answer["Code"].as_str()),
            (status, Some(code)),
            "{parameters:?}"
        );
    }
    let forged = Signer {
        sk: "x".into(),
        ..sts()
    };
    let (_, answer) = bench.call_as(&forged, "AssumeRole", &[("RoleArn", open)]).await;
    assert_eq!(answer["Code"], "SignatureDoesNotMatch");
    let (status, answer) = bench.call_as(&sts(), "GetCallerIdentity", &[]).await;
    assert_eq!((status, &answer["Code"]), (404, &json!("InvalidAction.NotFound")));
}

#[tokio::test]
async fn a_service_account_s_token_is_exchanged_for_credentials() {
    let bench = Bench::start(rrsa_world()).await;
    let good = token(SUBJECT, json!(["sts.aliyuncs.com"]), 600);
    let (status, answer) = with_oidc(&bench, &good).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["OIDCTokenInfo"]["Subject"], SUBJECT);
    assert_eq!(outcome(&bench, &signer(&answer, true)).await, (200, "OK".into()));
    for (token, status, code) in [
        (
            token(SUBJECT, json!("sts.aliyuncs.com"), -1),
            400,
            "AuthenticationFail.OIDCToken.Expired",
        ),
        (
            token("system:serviceaccount:default:x", json!("sts.aliyuncs.com"), 60),
            403,
            "AuthenticationFail.NoPermission",
        ),
        (
            token(SUBJECT, json!(["vault"]), 60),
            403,
            "AuthenticationFail.NoPermission",
        ),
        ("no.token".to_owned(), 400, "AuthenticationFail.OIDCToken.Invalid"),
    ] {
        let (got, answer) = with_oidc(&bench, &token).await;
        assert_eq!((got, answer["Code"].as_str()), (status, Some(code)));
    }
    let log = serde_json::to_string(&bench.running.calls_since(0)).expect("JSON");
    assert!(!log.contains(&good), "the token is a secret");
}

#[tokio::test]
async fn keys_are_revoked_disabled_and_given_back() {
    let bench = Bench::start(quick_world()).await;
    let own = Signer::default();
    let path = "/v1/credentials/lab-ak";
    assert_eq!(
        admin(&bench, Method::PUT, path, Some(json!({"active": false})))
            .await
            .0,
        204
    );
    assert_eq!(
        outcome(&bench, &own).await,
        (400, "InvalidAccessKeyId.Inactive".into())
    );
    assert_eq!(
        admin(&bench, Method::PUT, path, Some(json!({"active": true})))
            .await
            .0,
        204
    );
    assert_eq!(outcome(&bench, &own).await.0, 200);
    assert_eq!(admin(&bench, Method::DELETE, path, None).await.0, 204);
    assert_eq!(
        outcome(&bench, &own).await,
        (404, "InvalidAccessKeyId.NotFound".into())
    );
    assert_eq!(
        admin(&bench, Method::PUT, path, Some(json!({"active": true})))
            .await
            .0,
        404
    );
    let key = json!({"accessKeyId": "lab-ak", "accessKeySecret": "lab-sk"});
    assert_eq!(
        admin(&bench, Method::POST, "/v1/credentials", Some(key)).await.0,
        201
    );
    assert_eq!(outcome(&bench, &own).await.0, 200);
}

#[tokio::test]
async fn a_gateway_whose_clock_is_off_refuses_good_time_stamps() {
    let bench = Bench::start(quick_world()).await;
    for (skew, code) in [
        ("40m", "InvalidTimeStamp.Expired"),
        ("-40m", "InvalidTimeStamp.Expired"),
        ("5m", "OK"),
    ] {
        assert_eq!(
            admin(&bench, Method::PUT, "/v1/clock", Some(json!({"skew": skew})))
                .await
                .0,
            204
        );
        for v3 in [true, false] {
            let signer = Signer {
                v3,
                ..Signer::default()
            };
            assert_eq!(outcome(&bench, &signer).await.1, code, "{skew}");
        }
    }
    // A caller whose clock differs as much as the gateway's is accepted.
    assert_eq!(
        admin(&bench, Method::PUT, "/v1/clock", Some(json!({"skew": "40m"})))
            .await
            .0,
        204
    );
    let ahead = Signer {
        time: Some(Timestamp::now() + SignedDuration::from_mins(40)),
        ..Signer::default()
    };
    assert_eq!(outcome(&bench, &ahead).await.1, "OK");
    let bad = json!({"skew": "999999999h"});
    assert_eq!(admin(&bench, Method::PUT, "/v1/clock", Some(bad)).await.0, 422);
}
