//! The gate before every action: signatures of both families, time stamps, nonces, keys,
//! quotas, and what a fault does to a connection.

use std::time::Duration;

use crate::bench::{Bench, Signer, quick_world};
use cloudsim::{Fault, Point};
use jiff::Timestamp;

const LIST: &str = "DescribeNetworkInterfaces";

async fn code(bench: &Bench, signer: &Signer) -> (u16, String) {
    let (status, answer) = bench.call_as(signer, LIST, &[("Tag.1.Key", "a b+c/ü~*")]).await;
    (status, answer["Code"].as_str().unwrap_or("OK").to_owned())
}

#[tokio::test]
async fn both_signature_families_are_verified() {
    let bench = Bench::start(quick_world()).await;
    for v3 in [true, false] {
        let good = Signer {
            v3,
            ..Signer::default()
        };
        assert_eq!(code(&bench, &good).await, (200, "OK".into()));
        let wrong_secret = Signer {
            sk: "other".into(),
            ..good.clone()
        };
        assert_eq!(
            code(&bench, &wrong_secret).await,
            (400, "SignatureDoesNotMatch".into())
        );
        let stranger = Signer {
            ak: "nobody".into(),
            ..good.clone()
        };
        assert_eq!(
            code(&bench, &stranger).await,
            (404, "InvalidAccessKeyId.NotFound".into())
        );
        for off in [-40, 40] {
            let time = Timestamp::now() + jiff::SignedDuration::from_mins(off);
            let late = Signer {
                time: Some(time),
                ..good.clone()
            };
            assert_eq!(
                code(&bench, &late).await,
                (400, "InvalidTimeStamp.Expired".into())
            );
        }
        let again = Signer {
            nonce: Some(format!("once-{v3}")),
            ..good.clone()
        };
        assert_eq!(code(&bench, &again).await.0, 200);
        assert_eq!(code(&bench, &again).await, (400, "SignatureNonceUsed".into()));
        let old = Signer {
            version: "2013-01-10",
            ..good
        };
        assert_eq!(code(&bench, &old).await, (400, "InvalidVersion".into()));
    }
    let unsigned = bench.http.get(format!(
        "{}/?Action={LIST}&Version=2014-05-26",
        bench.running.ecs_url()
    ));
    let answer: serde_json::Value = unsigned
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(answer["Code"], "MissingAccessKeyId");
}

#[tokio::test]
async fn signatures_that_are_not_whole_are_refused_by_name() {
    let bench = Bench::start(quick_world()).await;
    let names = "host;x-acs-action;x-acs-date;x-acs-signature-nonce";
    let code_of = async |request: reqwest::RequestBuilder| {
        let answer = request.send().await.expect("an answer");
        let answer: serde_json::Value = answer.json().await.expect("JSON");
        answer["Code"].as_str().unwrap_or("OK").to_owned()
    };
    for (fields, code) in [
        (
            "Credential=lab-ak,SignedHeaders=host,Signature=00".to_owned(),
            "IncompleteSignature",
        ),
        ("Credential=lab-ak,Signature=00".to_owned(), "IncompleteSignature"),
        (
            format!("Credential=lab-ak,SignedHeaders={names}"),
            "MissingSignature",
        ),
        (
            format!("SignedHeaders={names},Signature=00"),
            "MissingAccessKeyId",
        ),
        (
            format!("Credential=lab-ak,SignedHeaders={names},Signature=00"),
            "MissingSignatureNonce",
        ),
    ] {
        let request = bench
            .http
            .post(bench.running.ecs_url())
            .header("authorization", format!("ACS3-HMAC-SHA256 {fields}"))
            .header("x-acs-action", LIST)
            .header("x-acs-version", "2014-05-26");
        assert_eq!(code_of(request).await, code, "{fields}");
    }
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let rest = "SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&SignatureNonce=n";
    for (query, code) in [
        (format!("{rest}&Timestamp={now}"), "MissingSignature"),
        (format!("Signature=x&{rest}"), "MissingTimestamp"),
        (
            format!("Signature=x&{rest}&Timestamp=today"),
            "InvalidTimeStamp.Format",
        ),
        (
            format!("Signature=x&{rest}&Timestamp={now}"),
            "SignatureDoesNotMatch",
        ),
        (
            format!("Signature=x&{}", rest.replace("SHA1", "MD5")),
            "InvalidParameter.SignatureMethod",
        ),
    ] {
        let url = format!(
            "{}/?Action={LIST}&Version=2014-05-26&AccessKeyId=lab-ak&{query}",
            bench.running.ecs_url()
        );
        assert_eq!(code_of(bench.http.get(url)).await, code, "{query}");
    }
}

#[tokio::test]
async fn a_ram_role_s_credentials_work_until_they_expire_or_are_revoked() {
    let bench = Bench::start(quick_world()).await;
    let metadata = bench.running.serve_metadata("i-node1").await.expect("metadata");
    let base = format!("{metadata}/latest/meta-data/ram/security-credentials/");
    let role = bench
        .http
        .get(&base)
        .send()
        .await
        .expect("roles")
        .text()
        .await
        .expect("text");
    assert_eq!(role, "lab-role");
    let answer = bench
        .http
        .get(format!("{base}{role}"))
        .send()
        .await
        .expect("credentials");
    let minted: serde_json::Value = answer.json().await.expect("JSON");
    let text = |name: &str| minted[name].as_str().expect("a text").to_owned();
    for v3 in [true, false] {
        let signer = Signer {
            ak: text("AccessKeyId"),
            sk: text("AccessKeySecret"),
            token: Some(text("SecurityToken")),
            v3,
            ..Signer::default()
        };
        assert_eq!(code(&bench, &signer).await, (200, "OK".into()));
        let bare = Signer {
            token: None,
            ..signer.clone()
        };
        assert_eq!(code(&bench, &bare).await, (400, "MissingSecurityToken".into()));
        let forged = Signer {
            token: Some("x".into()),
            ..signer
        };
        assert_eq!(
            code(&bench, &forged).await,
            (400, "InvalidSecurityToken.Malformed".into())
        );
    }
}

#[tokio::test]
async fn metadata_answers_plainly_and_insists_on_a_token_where_the_instance_does() {
    let mut world = quick_world();
    world
        .instances
        .iter_mut()
        .filter(|i| i.id == "i-node2")
        .for_each(|i| i.metadata_token_required = true);
    let bench = Bench::start(world).await;
    let plain = bench.running.serve_metadata("i-node1").await.expect("metadata");
    let get = |url: String| async {
        bench
            .http
            .get(url)
            .send()
            .await
            .expect("an answer")
            .text()
            .await
            .expect("text")
    };
    assert_eq!(
        get(format!("{plain}/latest/meta-data/instance-id")).await,
        "i-node1"
    );
    assert_eq!(
        get(format!("{plain}/latest/meta-data/vpc-cidr-block")).await,
        "10.0.0.0/16"
    );
    let mac = get(format!("{plain}/latest/meta-data/mac")).await;
    let nic = format!("{plain}/latest/meta-data/network/interfaces/macs/{mac}");
    assert_eq!(get(format!("{nic}/network-interface-id")).await, "eni-node1");
    assert_eq!(get(format!("{nic}/gateway")).await, "10.0.0.253");
    assert_eq!(get(format!("{nic}/private-ipv4s")).await, r#"["10.0.0.11"]"#);

    let hardened = bench.running.serve_metadata("i-node2").await.expect("metadata");
    let url = format!("{hardened}/latest/meta-data/zone-id");
    assert_eq!(
        bench.http.get(&url).send().await.expect("an answer").status(),
        401
    );
    let put = |ttl: &'static str| {
        bench
            .http
            .put(format!("{hardened}/latest/api/token"))
            .header("X-aliyun-ecs-metadata-token-ttl-seconds", ttl)
            .send()
    };
    assert_eq!(put("21601").await.expect("an answer").status(), 400);
    let token = put("60").await.expect("an answer").text().await.expect("a token");
    let answer = bench
        .http
        .get(&url)
        .header("X-aliyun-ecs-metadata-token", token)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.text().await.expect("text"), "cn-hangzhou-h");
}

#[tokio::test]
async fn calls_beyond_the_quota_are_throttled_per_action() {
    let mut world = quick_world();
    world.quotas.per_minute.insert(LIST.into(), 3);
    let bench = Bench::start(world).await;
    for _ in 0..3 {
        assert_eq!(code(&bench, &Signer::default()).await.0, 200);
    }
    assert_eq!(
        code(&bench, &Signer::default()).await,
        (400, "Throttling.User".into())
    );
    bench.create(&[]).await;
}

#[tokio::test]
async fn faults_answer_delay_reset_and_truncate() {
    let bench = Bench::start(quick_world()).await;
    let signer = Signer::default();
    let create = "CreateNetworkInterface";
    let parameters = [
        ("VSwitchId", "vsw-pod-h"),
        ("SecurityGroupIds.1", "sg-web"),
        ("ClientToken", "t-1"),
    ];
    let before = bench.running.enis().len();

    let second = Fault {
        action: Some(LIST.into()),
        nth: Some(2),
        code: Some("Throttling".into()),
        ..Fault::default()
    };
    bench.running.inject(second);
    let codes = [
        code(&bench, &signer).await.1,
        code(&bench, &signer).await.1,
        code(&bench, &signer).await.1,
    ];
    assert_eq!(codes, ["OK", "Throttling", "OK"]);
    bench.running.clear_faults();

    let unavailable = Fault {
        code: Some("ServiceUnavailable".into()),
        times: Some(1),
        ..Fault::default()
    };
    bench.running.inject(unavailable);
    bench
        .refused(create, &parameters, 503, "ServiceUnavailable")
        .await;

    let not_done = Fault {
        reset: Some(Point::Before),
        times: Some(1),
        ..Fault::default()
    };
    bench.running.inject(not_done);
    bench
        .send(&signer, create, &parameters)
        .await
        .expect_err("the connection is reset");
    assert_eq!(bench.running.enis().len(), before);

    let done = Fault {
        reset: Some(Point::After),
        times: Some(1),
        ..Fault::default()
    };
    bench.running.inject(done);
    bench
        .send(&signer, create, &parameters)
        .await
        .expect_err("the reply is lost");
    assert_eq!(bench.running.enis().len(), before + 1);

    let half = Fault {
        half_reply: true,
        times: Some(1),
        ..Fault::default()
    };
    bench.running.inject(half);
    let answer = bench.send(&signer, create, &parameters).await.expect("a head");
    answer.bytes().await.expect_err("the body ends too early");
    // All these calls had the same token, so there is one ENI.
    let (_, answer) = bench.call(create, &parameters).await;
    assert_eq!(bench.running.enis().len(), before + 1);
    assert_eq!(
        bench
            .describe(answer["NetworkInterfaceId"].as_str().expect("an id"))
            .await["Status"],
        "Available"
    );

    let outcomes: Vec<_> = bench
        .running
        .calls_since(0)
        .into_iter()
        .filter(|call| call.action == create)
        .map(|call| (call.outcome, call.reply_lost))
        .collect();
    let expected = [
        ("ServiceUnavailable", false),
        ("reset", true),
        ("OK", true),
        ("OK", true),
        ("OK", false),
    ];
    assert_eq!(
        outcomes,
        expected.map(|(outcome, lost)| (outcome.to_owned(), lost))
    );
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_undo_its_call_and_a_stuck_attach_waits() {
    let mut world = quick_world();
    world.faults.push(Fault {
        action: Some("CreateNetworkInterface".into()),
        delay: Some(cloudsim::world::Span::millis(200)),
        times: Some(1),
        ..Fault::default()
    });
    let bench = Bench::start(world).await;
    let before = bench.running.enis().len();
    let parameters = [("VSwitchId", "vsw-pod-h"), ("SecurityGroupIds.1", "sg-web")];
    let signer = Signer::default();
    let call = bench.send(&signer, "CreateNetworkInterface", &parameters);
    tokio::time::timeout(Duration::from_millis(100), call)
        .await
        .expect_err("the caller gives up");
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while bench.running.enis().len() == before {
        assert!(std::time::Instant::now() < deadline, "the ENI was never made");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let eni = bench.running.enis().pop().expect("an ENI").id;
    let stuck = Fault {
        action: Some("AttachNetworkInterface".into()),
        stuck: true,
        ..Fault::default()
    };
    bench.running.inject(stuck);
    let attach = [("NetworkInterfaceId", &*eni), ("InstanceId", "i-node1")];
    assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
    assert_eq!(bench.describe(&eni).await["Status"], "Attaching");
    assert!(bench.running.with_cloud(|cloud| cloud.settle(&eni)));
    assert_eq!(bench.describe(&eni).await["Status"], "InUse");
    bench.running.shutdown().await;
}
