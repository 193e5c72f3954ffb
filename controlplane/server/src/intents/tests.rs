//! What each answer of the cloud leaves behind as evidence about an attempt.

use serde_json::{Value, json};
use terway_cloud::{Action, Priority};
use terway_core::cloud::ErrorClass;
use terway_core::intent::Evidence;
use terway_crds::RequestParameters;

use super::*;
use crate::testing::Stage;

fn id() -> IntentId {
    IntentId {
        owner_uid: "uid".into(),
        index: "0".into(),
        attempt: 1,
    }
}

fn request() -> Request {
    let parameters = RequestParameters {
        vswitch_id: "vsw-1".into(),
        ..RequestParameters::default()
    };
    Request::create(&parameters, &id(), false)
}

/// A stage whose process has recorded the attempt and has not sent it.
async fn stage() -> Stage {
    let stage = Stage::set().await;
    stage.context.attempts.written("uid", "0", 1);
    stage
}

async fn grant(stage: &Stage) -> Grant {
    let action = Action::CreateNetworkInterface;
    stage.context.calls.grant(action, Priority::Create, "n1").await
}

async fn send(stage: &Stage) -> (Sent, Vec<Reply>) {
    let mut told = Vec::new();
    let (context, grant) = (&stage.context, grant(stage).await);
    let sent = context
        .attempts
        .send(&context.cloud, &id(), &request(), grant, |reply| {
            told.push(reply.clone())
        })
        .await;
    (sent, told)
}

fn evidence(stage: &Stage) -> Evidence {
    stage.context.attempts.of(&id())
}

fn an_eni(id: &str) -> Value {
    json!({ "NetworkInterfaceId": id, "Status": "Available", "VSwitchId": "vsw-1" })
}

#[tokio::test]
async fn a_create_that_is_done_leaves_its_eni() {
    let stage = stage().await;
    stage
        .cloud
        .will_answer("CreateNetworkInterface", 200, an_eni("eni-1"));
    let (sent, told) = send(&stage).await;
    assert!(
        matches!(&sent.reply, Some(Reply::Created(eni)) if eni.id == "eni-1"),
        "{sent:?}"
    );
    assert!(sent.again.is_none());
    assert_eq!(told, sent.reply.clone().into_iter().collect::<Vec<_>>());
    let evidence = evidence(&stage);
    assert_eq!(evidence.reply, sent.reply);
    assert!(evidence.sent.is_some() && evidence.may_have_been_sent);
    assert!(!evidence.in_flight && !evidence.replayed);
    let create = stage.cloud.log().remove(0);
    assert_eq!(create.parameters["ClientToken"], id().client_token());
    assert_eq!(create.parameters["Tag.1.Value"], id().tag_value());
}

#[tokio::test]
async fn each_refusal_has_its_reply_and_says_whether_the_same_request_goes_again() {
    for (status, code, expected, again) in [
        (403, "InvalidVSwitchId.IpNotEnough", "Exhausted", false),
        (404, "InvalidVSwitchId.NotFound", "NotFound", false),
        (400, "Throttling.User", "Busy", true),
        (400, "IdempotentParameterMismatch", "TokenReused", false),
        (500, "InternalError", "Unknown", true),
        (503, "ServiceUnavailable", "Unknown", true),
    ] {
        let stage = stage().await;
        stage.cloud.will_refuse("CreateNetworkInterface", status, code);
        let (sent, told) = send(&stage).await;
        let evidence = evidence(&stage);
        let name = match &evidence.reply {
            Some(Reply::Refused(refused)) => format!("{:?}", refused.class),
            other => format!("{:?}", other.as_ref().unwrap()),
        };
        assert_eq!(name, expected, "{code}");
        assert_eq!(told.len(), 1, "{code}");
        assert_eq!(sent.again.is_some(), again, "{code}");
        assert_eq!(
            evidence.not_before.is_some(),
            again,
            "{code}: only a repetition has a pause"
        );
        assert!(!evidence.in_flight, "{code}");
    }
}

#[tokio::test]
async fn an_answer_without_an_id_is_no_answer() {
    let stage = stage().await;
    stage
        .cloud
        .will_answer("CreateNetworkInterface", 200, json!({ "RequestId": "R" }));
    let (sent, _) = send(&stage).await;
    assert_eq!(sent.reply, Some(Reply::Unknown));
    assert!(sent.again.is_some());
}

#[tokio::test]
async fn a_refusal_keeps_the_clouds_words() {
    let stage = stage().await;
    stage
        .cloud
        .will_refuse("CreateNetworkInterface", 403, "EniPerInstanceLimitExceeded");
    let (sent, _) = send(&stage).await;
    let Some(Reply::Refused(refused)) = sent.reply else {
        panic!("{sent:?}")
    };
    assert_eq!(refused.class, ErrorClass::Limit);
    assert_eq!(
        (refused.message.as_str(), refused.request_id.as_str()),
        ("refused by the test", "R")
    );
}

/// A call that was never sent must not make the attempt look as if it may have been.
#[tokio::test]
async fn a_call_that_the_gate_holds_back_was_not_sent() {
    let stage = stage().await;
    let context = &stage.context;
    let (first, second) = (grant(&stage).await, grant(&stage).await);
    // One call with wrong keys shuts the gate for all.
    stage
        .cloud
        .will_refuse("CreateNetworkInterface", 403, "InvalidAccessKeyId.Inactive");
    let other = IntentId {
        index: "1".into(),
        ..id()
    };
    let sent = context
        .attempts
        .send(&context.cloud, &other, &request(), first, |_| {})
        .await;
    assert!(matches!(sent.reply, Some(Reply::Refused(_))));

    let sent = context
        .attempts
        .send(&context.cloud, &id(), &request(), second, |reply| {
            panic!("{reply:?}")
        })
        .await;
    assert_eq!(sent.reply, None);
    assert!(sent.again.is_some_and(|error| error.was_not_sent()));
    let evidence = evidence(&stage);
    let expected = Evidence {
        not_before: evidence.not_before,
        failures: 1,
        ..Evidence::fresh(1)
    };
    assert!(evidence.not_before.is_some());
    assert_eq!(evidence, expected);
    assert_eq!(stage.cloud.changes().len(), 1);
}

#[tokio::test]
async fn a_repetition_is_known_as_one() {
    let stage = stage().await;
    stage
        .cloud
        .will_refuse("CreateNetworkInterface", 500, "InternalError");
    send(&stage).await;
    stage
        .cloud
        .will_answer("CreateNetworkInterface", 200, an_eni("eni-1"));
    send(&stage).await;
    assert!(evidence(&stage).replayed, "the ENI may have been deleted since");
}

async fn look_up(stage: &Stage) -> Result<(), CloudError> {
    let context = &stage.context;
    context
        .attempts
        .look_up(&context.cloud, &id(), &EniFilter::ids(["eni-1"]))
        .await
}

#[tokio::test]
async fn a_search_notes_what_it_found_and_that_it_found_nothing() {
    let stage = stage().await;
    look_up(&stage).await.unwrap();
    let body = json!({ "NetworkInterfaceSets": { "NetworkInterfaceSet": [an_eni("eni-1")] } });
    stage.cloud.will_answer("DescribeNetworkInterfaces", 200, body);
    look_up(&stage).await.unwrap();
    let found: Vec<Option<String>> = evidence(&stage)
        .lookups
        .iter()
        .map(|lookup| lookup.found.as_ref().map(|eni| eni.id.clone()))
        .collect();
    assert_eq!(found, [None, Some("eni-1".to_owned())]);
}

#[tokio::test]
async fn a_search_without_an_answer_waits_and_notes_nothing() {
    let stage = stage().await;
    for (status, code) in [(500, "InternalError"), (403, "Forbidden.RAM")] {
        stage.cloud.will_refuse("DescribeNetworkInterfaces", status, code);
        assert!(look_up(&stage).await.is_err());
        assert_eq!(evidence(&stage).lookups, []);
        assert!(evidence(&stage).not_before.is_some());
        assert!(!evidence(&stage).in_flight);
    }
}
