//! Single calls against a server that misbehaves: what is sent, how often, and how failures are sorted.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod stub;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::TryFutureExt;
use stub::{Reply, Stub};
use terway_cloud::{
    Action, AttachEni, Cloud, CloudConfig, CloudError, CloudMetrics, CreateEni, CredentialSource, Endpoints,
    EniFilter, ErrorClass, Fence, OidcRole, Priority, TroubleCause, Unfenced,
};

async fn cloud(stub: &Stub, fence: Arc<dyn Fence>) -> Cloud {
    let config = CloudConfig {
        region_id: Some("cn-hangzhou".into()),
        call_deadline: Duration::from_millis(400),
        endpoints: Some(Endpoints::one(&stub.url)),
        ..CloudConfig::new(CredentialSource::choose("ak-visible", "sk-secret", ""))
    };
    Cloud::connect(config, fence, CloudMetrics::unregistered())
        .await
        .unwrap()
}

async fn create(cloud: &Cloud) -> Result<terway_core::cloud::CloudEni, CloudError> {
    let permit = cloud
        .permit(Action::CreateNetworkInterface, Priority::Create)
        .await;
    let request = CreateEni {
        vswitch_id: "vsw-1".into(),
        client_token: "token".into(),
        ..Default::default()
    };
    cloud.create_network_interface(permit, &request).await
}

#[tokio::test]
async fn a_create_is_signed_and_its_answer_read() {
    let answer = r#"{"RequestId":"R","NetworkInterfaceId":"eni-9","Status":"Available","PrivateIpAddress":"10.0.0.9"}"#;
    let stub = Stub::start(|_| Reply::Http(200, answer.into())).await;
    let cloud = cloud(&stub, Arc::new(Unfenced)).await;
    let eni = create(&cloud).await.unwrap();
    assert_eq!(eni.id, "eni-9");
    let request = stub.requests.lock()[0].clone();
    assert!(request.starts_with("POST /?ClientToken=token&"), "{request}");
    assert!(request.contains("RegionId=cn-hangzhou"));
    assert!(request.contains("x-acs-action: CreateNetworkInterface"));
    assert!(
        request.contains(
            "authorization: ACS3-HMAC-SHA256 Credential=ak-visible,SignedHeaders=host;x-acs-action;"
        )
    );
    assert!(!request.contains("sk-secret"));
}

#[tokio::test]
async fn whatever_leaves_the_outcome_open_is_unknown_and_sent_once() {
    type Case = (fn() -> Reply, &'static str);
    let replies: [Case; 6] = [
        (|| Reply::Hang, "ConnectionLost"),
        (|| Reply::Silent(Duration::from_secs(5)), "Timeout"),
        (|| Reply::Half, "ConnectionLost"),
        (|| Reply::Http(200, "not json".into()), "UnreadableAnswer"),
        (
            || Reply::Http(200, r#"{"RequestId":"R-7","NetworkInterfaceId":""}"#.into()),
            "UnreadableAnswer",
        ),
        (
            || Reply::Http(503, r#"{"Code":"ServiceUnavailable"}"#.into()),
            "ServiceUnavailable",
        ),
    ];
    for (reply, code) in replies {
        let stub = Stub::start(move |_| reply()).await;
        let cloud = cloud(&stub, Arc::new(Unfenced)).await;
        let error = create(&cloud).await.unwrap_err();
        assert_eq!(
            (error.class, error.code.as_str()),
            (ErrorClass::Unknown, code),
            "{error}"
        );
        assert_eq!(stub.count(), 1, "{code}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named_as_the_trouble() {
    let gone = Stub {
        url: "http://127.0.0.1:1".into(),
        requests: Arc::default(),
    };
    let cloud = cloud(&gone, Arc::new(Unfenced)).await;
    let error = create(&cloud).await.unwrap_err();
    assert_eq!(
        (error.class, error.code.as_str()),
        (ErrorClass::Unknown, "Unreachable")
    );
    for _ in 0..2 {
        let _ = create(&cloud).await;
    }
    let troubles = cloud.troubles().borrow().clone();
    assert_eq!(troubles[0].cause, TroubleCause::Unreachable);
    assert!(troubles[0].sentence.contains("Unreachable"), "{troubles:?}");
}

struct Lease(Duration);

impl Fence for Lease {
    fn remaining(&self) -> Duration {
        self.0
    }
}

#[tokio::test]
async fn without_the_lease_nothing_changing_is_sent() {
    let stub = Stub::start(|_| {
        Reply::Http(
            200,
            r#"{"NetworkInterfaceSets":{"NetworkInterfaceSet":[]}}"#.into(),
        )
    })
    .await;
    let cloud = cloud(&stub, Arc::new(Lease(Duration::from_millis(400)))).await;
    assert_eq!(create(&cloud).await.unwrap_err().class, ErrorClass::Fenced);
    let permit = cloud
        .permit(Action::AttachNetworkInterface, Priority::Attach)
        .await;
    let attach = cloud
        .attach_network_interface(permit, &AttachEni::default())
        .await;
    assert_eq!(attach.unwrap_err().class, ErrorClass::Fenced);
    assert_eq!(stub.count(), 0);
    assert!(
        cloud
            .describe_network_interfaces(&EniFilter::ids(["eni-1"]))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_permit_of_another_action_is_refused() {
    let stub = Stub::start(|_| Reply::Http(200, "{}".into())).await;
    let cloud = cloud(&stub, Arc::new(Unfenced)).await;
    let permit = cloud
        .permit(Action::DeleteNetworkInterface, Priority::Release)
        .await;
    let error = cloud
        .attach_network_interface(permit, &AttachEni::default())
        .await
        .unwrap_err();
    assert_eq!((error.class, stub.count()), (ErrorClass::Invalid, 0));
}

#[tokio::test]
async fn throttling_slows_the_next_call_of_that_action_only() {
    let stub =
        Stub::start(|_| Reply::Http(400, r#"{"Code":"Throttling.User","RequestId":"R"}"#.into())).await;
    let cloud = cloud(&stub, Arc::new(Unfenced)).await;
    assert_eq!(create(&cloud).await.unwrap_err().class, ErrorClass::Throttled);
    let start = Instant::now();
    tokio::select! {
        biased;
        _ = cloud.permit(Action::DeleteNetworkInterface, Priority::Release) => {}
        _ = cloud.permit(Action::CreateNetworkInterface, Priority::Create) => panic!("another action was slowed"),
    }
    drop(
        cloud
            .permit(Action::CreateNetworkInterface, Priority::Create)
            .await,
    );
    assert!(start.elapsed() > Duration::from_millis(700));
}

/// A page with one ENI.
fn page(id: &str, next: &str) -> String {
    format!(
        r#"{{"NetworkInterfaceSets":{{"NetworkInterfaceSet":[{{"NetworkInterfaceId":"{id}","Status":"InUse"}}]}},"NextToken":"{next}"}}"#
    )
}

#[tokio::test]
async fn pages_are_joined_and_a_token_that_repeats_is_an_error() {
    let stub = Stub::start(move |request| {
        Reply::Http(
            200,
            if request.contains("NextToken=p2") {
                page("eni-2", "")
            } else {
                page("eni-1", "p2")
            },
        )
    })
    .await;
    let enis = cloud(&stub, Arc::new(Unfenced))
        .await
        .describe_network_interfaces(&EniFilter::default())
        .await;
    assert_eq!(enis.unwrap().len(), 2);

    let stub = Stub::start(move |_| Reply::Http(200, page("eni-1", "same"))).await;
    let enis = cloud(&stub, Arc::new(Unfenced))
        .await
        .describe_network_interfaces(&EniFilter::default())
        .await;
    assert_eq!((enis.unwrap_err().class, stub.count()), (ErrorClass::Unknown, 2));
}

#[tokio::test]
async fn a_selection_by_many_ids_asks_for_a_hundred_at_a_time() {
    let stub = Stub::start(|request| {
        let ids = request.matches("NetworkInterfaceId.").count();
        Reply::Http(200, page(&format!("eni-of-{ids}"), ""))
    })
    .await;
    let ids: Vec<String> = (0..150).map(|number| format!("eni-{number}")).collect();
    let selected = cloud(&stub, Arc::new(Unfenced))
        .await
        .select_network_interfaces(&EniFilter::ids(ids), |eni| eni.id != "eni-of-100")
        .await;
    let selected: Vec<String> = selected.unwrap().into_iter().map(|eni| eni.id).collect();
    assert_eq!((selected, stub.count()), (vec!["eni-of-50".to_owned()], 2));
}

#[tokio::test]
async fn region_and_role_keys_come_from_the_metadata_service_in_token_mode() {
    let metadata = Stub::start(|request| {
        let allowed = request.contains("x-aliyun-ecs-metadata-token: session");
        match request.split(' ').nth(1).unwrap() {
            "/latest/api/token" => Reply::Http(200, "session".into()),
            _ if !allowed => Reply::Http(403, String::new()),
            "/latest/meta-data/region-id" => Reply::Http(200, "cn-beijing".into()),
            "/latest/meta-data/ram/security-credentials/" => Reply::Http(200, "TheRole".into()),
            "/latest/meta-data/ram/security-credentials/TheRole" => Reply::Http(
                200,
                r#"{"Code":"Success","AccessKeyId":"STS.x","AccessKeySecret":"s","SecurityToken":"sts-token","Expiration":"2099-01-01T00:00:00Z"}"#.into(),
            ),
            _ => Reply::Http(404, String::new()),
        }
    })
    .await;
    let stub = Stub::start(|_| Reply::Http(200, r#"{"VSwitches":{"VSwitch":[]}}"#.into())).await;
    let config = CloudConfig {
        metadata_base: Some(metadata.url.clone()),
        endpoints: Some(Endpoints::one(&stub.url)),
        ..CloudConfig::new(CredentialSource::InstanceRole)
    };
    let cloud = Cloud::connect(config, Arc::new(Unfenced), CloudMetrics::unregistered())
        .await
        .unwrap();
    assert_eq!(cloud.region_id(), "cn-beijing");
    for _ in 0..3 {
        assert!(
            cloud
                .describe_vswitches(&["vsw-1".to_owned()])
                .await
                .unwrap()
                .is_empty()
        );
    }
    let request = stub.requests.lock()[0].clone();
    assert!(request.contains("x-acs-security-token: sts-token"), "{request}");
    assert!(
        request.contains("x-acs-security-token;"),
        "the token is signed too"
    );
    assert_eq!(
        metadata.count(),
        5,
        "refused, token, region, role name, keys; then nothing more"
    );
}

#[tokio::test]
async fn an_instance_without_a_role_is_told_so_and_nothing_is_sent() {
    let metadata = Stub::start(|_| Reply::Http(404, String::new())).await;
    let stub = Stub::start(|_| Reply::Http(200, "{}".into())).await;
    let config = CloudConfig {
        region_id: Some("cn-beijing".into()),
        metadata_base: Some(metadata.url.clone()),
        endpoints: Some(Endpoints::one(&stub.url)),
        ..CloudConfig::new(CredentialSource::InstanceRole)
    };
    let cloud = Cloud::connect(config, Arc::new(Unfenced), CloudMetrics::unregistered())
        .await
        .unwrap();
    let error = create(&cloud).await.unwrap_err();
    assert_eq!(
        (error.class, error.code.as_str()),
        (ErrorClass::Forbidden, "NoCredentials")
    );
    assert_eq!(stub.count(), 0);
}

/// A server that takes the place of STS and ECS: keys for a service account's token, and answers for calls
/// that are signed with the newest keys it gave.
async fn cloud_of_roles(answer_calls: fn(usize) -> Reply) -> (Stub, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let count = given.clone();
    let stub = Stub::start(move |request| {
        if !request.contains("Action=AssumeRoleWithOIDC") {
            let newest = format!("Credential=STS.{},", count.load(Ordering::SeqCst));
            assert!(request.contains(&newest), "{request}");
            return answer_calls(count.load(Ordering::SeqCst));
        }
        assert!(!request.contains("authorization:"), "the exchange is not signed");
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::Http(
            200,
            format!(
                r#"{{"RequestId":"R","Credentials":{{"AccessKeyId":"STS.{number}","AccessKeySecret":"role-secret",
                "SecurityToken":"role-token","Expiration":"2099-01-01T00:00:00Z"}}}}"#
            ),
        )
    })
    .await;
    (stub, given)
}

async fn connect_by_role(stub: &Stub, token_file: &std::path::Path) -> Cloud {
    let role = OidcRole {
        role_arn: "acs:ram::1:role/terway".into(),
        provider_arn: "acs:ram::1:oidc-provider/ack".into(),
        token_file: token_file.to_owned(),
        session_name: "test".into(),
        sts_endpoint: Some(stub.url.clone()),
    };
    let config = CloudConfig {
        region_id: Some("cn-beijing".into()),
        endpoints: Some(Endpoints::one(&stub.url)),
        ..CloudConfig::new(CredentialSource::Oidc(role))
    };
    Cloud::connect(config, Arc::new(Unfenced), CloudMetrics::unregistered())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_service_accounts_role_signs_and_expired_keys_are_exchanged_anew() {
    // The first keys are called expired, though their time is not over.
    let (stub, given) = cloud_of_roles(|keys| match keys {
        1 => Reply::Http(
            400,
            r#"{"Code":"InvalidSecurityToken.Expired","RequestId":"R"}"#.into(),
        ),
        _ => Reply::Http(200, r#"{"VSwitches":{"VSwitch":[]}}"#.into()),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "eyJ.service.account\n").unwrap();
    let cloud = connect_by_role(&stub, &token).await;
    let wanted = ["vsw-1".to_owned()];
    let ask = || cloud.describe_vswitches(&wanted).map_err(|error| error.code);
    assert_eq!(ask().await.unwrap_err(), "InvalidSecurityToken.Expired");
    assert_eq!(cloud.troubles().borrow()[0].cause, TroubleCause::Credentials);
    let start = Instant::now();
    while ask().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(given.load(Ordering::SeqCst), 2);
    assert_eq!(*cloud.troubles().borrow(), []);
    let exchange = stub.requests.lock()[0].clone();
    assert!(exchange.contains("Version=2015-04-01"), "{exchange}");
    let signed = stub.requests.lock().last().cloned().unwrap();
    assert!(signed.contains("x-acs-security-token: role-token"), "{signed}");
    assert!(!signed.contains("role-secret"));
}

#[tokio::test]
async fn a_role_that_cannot_be_had_is_named_without_its_token() {
    let stub = Stub::start(|_| {
        Reply::Http(
            403,
            r#"{"Code":"AuthenticationFail.OIDCToken.Expired","Message":"This JWT is expired.","RequestId":"R"}"#.into(),
        )
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "eyJ.service.account").unwrap();
    let cloud = connect_by_role(&stub, &token).await;
    let error = create(&cloud).await.unwrap_err();
    assert!(error.was_not_sent() && error.code == "NoCredentials", "{error}");
    let sentence = cloud.troubles().borrow()[0].sentence.clone();
    assert!(
        sentence.contains("AuthenticationFail.OIDCToken.Expired"),
        "{sentence}"
    );
    assert!(sentence.contains("trust policy"), "{sentence}");
    for shown in [sentence, format!("{error:?}"), error.to_string()] {
        assert!(!shown.contains("eyJ"), "{shown}");
    }
}

#[tokio::test]
async fn no_secret_is_printed_by_anything_that_holds_one() {
    let config = CloudConfig::new(CredentialSource::choose("ak-visible", "sk-secret", ""));
    let shown = format!("{config:?}");
    assert!(
        shown.contains("ak-visible") && !shown.contains("sk-secret"),
        "{shown}"
    );
    let stub = Stub::start(|_| Reply::Http(400, r#"{"Code":"SignatureDoesNotMatch"}"#.into())).await;
    let cloud = cloud(&stub, Arc::new(Unfenced)).await;
    let error = create(&cloud).await.unwrap_err();
    let told = cloud.troubles().borrow()[0].sentence.clone();
    for shown in [format!("{error:?}"), error.to_string(), told] {
        assert!(
            !shown.contains("sk-secret") && !shown.contains("Signature="),
            "{shown}"
        );
    }
}
