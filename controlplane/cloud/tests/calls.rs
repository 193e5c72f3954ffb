//! Single calls against a server that misbehaves: what is sent, how often, and how failures are sorted.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod stub;

use std::sync::Arc;
use std::time::{Duration, Instant};

use stub::{Reply, Stub};
use terway_cloud::{
    Action, AttachEni, Cloud, CloudConfig, CloudError, CloudMetrics, CreateEni, CredentialSource, Endpoints,
    EniFilter, ErrorClass, Fence, Priority, ProxyUse, Unfenced,
};

async fn cloud(stub: &Stub, fence: Arc<dyn Fence>) -> Cloud {
    let config = CloudConfig {
        region_id: Some("cn-hangzhou".into()),
        call_deadline: Duration::from_millis(400),
        endpoints: Some(Endpoints {
            ecs: stub.url.clone(),
            vpc: stub.url.clone(),
            proxy: ProxyUse::Never,
        }),
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
    assert!(cloud.trouble().unwrap().contains("Unreachable"));
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
    drop(
        cloud
            .permit(Action::DeleteNetworkInterface, Priority::Release)
            .await,
    );
    assert!(start.elapsed() < Duration::from_millis(100));
    drop(
        cloud
            .permit(Action::CreateNetworkInterface, Priority::Create)
            .await,
    );
    assert!(start.elapsed() > Duration::from_millis(700));
}

#[tokio::test]
async fn pages_are_joined_and_a_token_that_repeats_is_an_error() {
    let page = |id: &str, next: &str| {
        format!(
            r#"{{"NetworkInterfaceSets":{{"NetworkInterfaceSet":[{{"NetworkInterfaceId":"{id}","Status":"InUse"}}]}},"NextToken":"{next}"}}"#
        )
    };
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
        endpoints: Some(Endpoints {
            ecs: stub.url.clone(),
            vpc: stub.url.clone(),
            proxy: ProxyUse::Never,
        }),
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
        endpoints: Some(Endpoints {
            ecs: stub.url.clone(),
            vpc: stub.url.clone(),
            proxy: ProxyUse::Never,
        }),
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
