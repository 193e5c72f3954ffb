//! The control plane's client with temporary keys: the role of a service account, keys that expire or are revoked while
//! they are in use, and the reports about them.

use std::path::Path;
use std::time::{Duration, Instant};

use super::connect;
use crate::bench::{Bench, admin, quick_world};
use crate::rrsa::{PROVIDER, SUBJECT, rrsa_world, token};
use reqwest::Method;
use serde_json::json;
use terway_cloud::{Cloud, CloudConfig, CredentialSource, OidcRole, TroubleCause};

/// Time limit, long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes a service account's token that lives for so many seconds, as kubelet does.
fn write_token(file: &Path, life: i64) {
    std::fs::write(file, token(SUBJECT, json!("sts.aliyuncs.com"), life)).unwrap();
}

async fn connect_as(bench: &Bench, credentials: CredentialSource, metadata: Option<String>) -> Cloud {
    let config = CloudConfig {
        region_id: Some("cn-hangzhou".into()),
        metadata_base: metadata,
        ..CloudConfig::new(credentials)
    };
    connect(&bench.running, config).await
}

fn service_account(bench: &Bench, token_file: &Path) -> CredentialSource {
    CredentialSource::Oidc(OidcRole {
        role_arn: "acs:ram::1234567890123456:role/lab-role".into(),
        provider_arn: PROVIDER.into(),
        token_file: token_file.to_owned(),
        session_name: "terway".into(),
        sts_endpoint: Some(bench.running.ecs_url()),
    })
}

async fn works(cloud: &Cloud) -> bool {
    let found = cloud.describe_vswitches(&["vsw-pod-h".to_owned()]).await;
    found.is_ok_and(|found| found.len() == 1)
}

async fn works_again(cloud: &Cloud) {
    let start = Instant::now();
    while !works(cloud).await {
        assert!(start.elapsed() < PATIENCE, "{:?}", cloud.troubles().borrow());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(*cloud.troubles().borrow(), []);
}

fn exchanges(bench: &Bench) -> usize {
    let calls = bench.running.calls_since(0).into_iter();
    calls.filter(|call| call.action == "AssumeRoleWithOIDC").count()
}

#[tokio::test]
async fn a_service_accounts_role_is_taken_on_and_renewed_when_its_keys_expire() {
    let bench = Bench::start(rrsa_world()).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    write_token(&token, 600);
    let cloud = connect_as(&bench, service_account(&bench, &token), None).await;
    for _ in 0..5 {
        assert!(works(&cloud).await, "{:?}", cloud.troubles().borrow());
    }
    assert_eq!(exchanges(&bench), 1);

    let (status, _) = admin(&bench, Method::POST, "/v1/credentials/expire", None).await;
    assert!((200..300).contains(&status), "{status}");
    assert!(!works(&cloud).await);
    works_again(&cloud).await;
    assert_eq!(exchanges(&bench), 2);
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_named_and_its_renewal_noticed() {
    let bench = Bench::start(rrsa_world()).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    write_token(&token, -10);
    let cloud = connect_as(&bench, service_account(&bench, &token), None).await;
    assert!(!works(&cloud).await);
    let troubles = cloud.troubles().borrow().clone();
    assert_eq!(troubles[0].cause, TroubleCause::Credentials);
    assert!(
        troubles[0]
            .sentence
            .contains("AuthenticationFail.OIDCToken.Expired"),
        "{troubles:?}"
    );
    // Hundreds of calls need only a few exchanges of the token.
    for _ in 0..200 {
        assert!(!works(&cloud).await);
    }
    assert!(exchanges(&bench) <= 2, "{}", exchanges(&bench));
    write_token(&token, 600);
    works_again(&cloud).await;
}

#[tokio::test]
async fn an_instances_role_is_renewed_when_its_keys_are_called_expired() {
    let bench = Bench::start(quick_world()).await;
    let metadata = bench.running.serve_metadata("i-node1").await.unwrap();
    let cloud = connect_as(&bench, CredentialSource::InstanceRole, Some(metadata)).await;
    assert!(works(&cloud).await);
    let (status, _) = admin(&bench, Method::POST, "/v1/credentials/expire", None).await;
    assert!((200..300).contains(&status), "{status}");
    assert!(!works(&cloud).await);
    works_again(&cloud).await;
}
