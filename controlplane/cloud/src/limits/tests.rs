//! The limiter as callers see it, with a clock that jumps to the next thing to happen.

use std::collections::BTreeMap;

use super::*;

const ACTION: Action = Action::DeleteNetworkInterface;

/// A limiter of ten calls a second whose savings are spent.
async fn drained() -> Limiter {
    let overrides = BTreeMap::from([(ACTION.name().to_lowercase(), 600)]);
    let limiter = Limiter::start(&Quotas::with_overrides(&overrides), CloudMetrics::unregistered());
    let start = clock();
    for _ in 0..600 {
        limiter.permit(ACTION, Priority::Read, "node").await.spend();
    }
    assert!(
        clock().duration_since(start) < Duration::from_secs(1),
        "savings are there at once"
    );
    limiter
}

#[test]
fn overrides_ignore_case_and_actions_of_others() {
    let quotas = Quotas::with_overrides(&BTreeMap::from([
        ("createnetworkinterface".to_owned(), 7),
        ("AttachElasticNetworkInterface".to_owned(), 9),
    ]));
    assert_eq!(quotas.per_minute(Action::CreateNetworkInterface), 7);
    assert_eq!(quotas.per_minute(Action::DescribeNetworkInterfaces), 800);
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_go_out_at_the_rate_and_by_priority() {
    let limiter = drained().await;
    let start = clock();
    let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
    for priority in [
        Priority::Read,
        Priority::Create,
        Priority::Release,
        Priority::Attach,
    ] {
        let (limiter, done) = (limiter.clone(), done.clone());
        tokio::spawn(async move {
            limiter.permit(ACTION, priority, "node").await.spend();
            let _ = done.send(priority);
        });
    }
    let mut served = Vec::new();
    for _ in 0..4 {
        served.push(order.recv().await.unwrap());
    }
    // The first token may have been there before the more urgent ones had come.
    let urgent: Vec<_> = served.iter().skip(1).copied().collect();
    assert!(urgent.is_sorted(), "{served:?}");
    let took = clock().duration_since(start);
    assert!(
        took >= Duration::from_millis(250) && took < Duration::from_secs(3),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unused_permit_serves_the_next() {
    let limiter = drained().await;
    let held = limiter.permit(ACTION, Priority::Release, "node").await;
    let start = clock();
    drop(held);
    limiter.permit(ACTION, Priority::Release, "node").await.spend();
    assert!(clock().duration_since(start) < Duration::from_millis(80));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_loses_no_token() {
    let limiter = drained().await;
    let start = clock();
    for _ in 0..3 {
        let impatient = limiter.permit(ACTION, Priority::Release, "node");
        let _ = tokio::time::timeout(Duration::from_millis(5), impatient)
            .await
            .map(Permit::spend);
    }
    limiter.permit(ACTION, Priority::Read, "node").await.spend();
    assert!(
        clock().duration_since(start) < Duration::from_millis(450),
        "{:?}",
        clock().duration_since(start)
    );
}

#[tokio::test(start_paused = true)]
async fn actions_do_not_share_a_bucket() {
    let limiter = drained().await;
    let start = clock();
    for action in Action::ALL.into_iter().filter(|action| *action != ACTION) {
        limiter.permit(action, Priority::Read, "node").await.spend();
    }
    assert!(clock().duration_since(start) < Duration::from_millis(80));
}

#[tokio::test(start_paused = true)]
async fn throttling_stops_the_action_for_a_while() {
    let limiter = Limiter::start(&Quotas::default(), CloudMetrics::unregistered());
    limiter.throttled(ACTION);
    let start = clock();
    limiter.permit(ACTION, Priority::Release, "node").await.spend();
    assert!(clock().duration_since(start) >= Duration::from_millis(900));
}

fn wrong_key(action: Action) -> CloudError {
    CloudError {
        http_status: Some(404),
        ..CloudError::local(
            action,
            "ENI eni-1",
            crate::ErrorClass::Forbidden,
            "InvalidAccessKeyId.NotFound",
            "",
        )
    }
}

#[tokio::test(start_paused = true)]
async fn while_keys_are_wrong_questions_are_answered_and_acts_wait_for_their_turn_to_try() {
    let limiter = Limiter::start(&Quotas::default(), CloudMetrics::unregistered());
    let early = limiter.permit(ACTION, Priority::Release, "node").await;
    limiter.note(ACTION, Some(&wrong_key(ACTION)));
    assert!(
        limiter.shut(&early).is_some(),
        "not sent, though it has its permit"
    );
    drop(early);

    let question = limiter.take(Action::DescribeVSwitches, Priority::Read, "", WhileShut::Leave);
    let shut = question.await.map(Permit::spend).unwrap_err();
    assert!(shut.reason.contains("InvalidAccessKeyId"), "{shut:?}");

    let start = clock();
    let trial = limiter.permit(ACTION, Priority::Release, "node").await;
    assert!(limiter.shut(&trial).is_none());
    assert_eq!(clock().duration_since(start).as_secs(), 1);
    let second = limiter.permit(ACTION, Priority::Release, "node");
    let second = tokio::time::timeout(Duration::from_millis(500), second);
    assert!(second.await.is_err(), "one at a time");

    trial.spend();
    limiter.note(ACTION, None);
    let start = clock();
    for _ in 0..50 {
        limiter.permit(ACTION, Priority::Release, "node").await.spend();
    }
    assert!(clock().duration_since(start) < Duration::from_millis(10));
    assert_eq!(*limiter.troubles().borrow(), []);
}

#[tokio::test(start_paused = true)]
async fn a_question_already_waiting_is_sent_away_when_the_way_is_shut() {
    let overrides = BTreeMap::from([(ACTION.name().to_owned(), 1)]);
    let limiter = Limiter::start(&Quotas::with_overrides(&overrides), CloudMetrics::unregistered());
    limiter.permit(ACTION, Priority::Read, "").await.spend();
    let asking = limiter.clone();
    let question = tokio::spawn(async move {
        let taken = asking.take(ACTION, Priority::Read, "", WhileShut::Leave).await;
        taken.map(Permit::spend)
    });
    tokio::task::yield_now().await;
    limiter.note(ACTION, Some(&wrong_key(ACTION)));
    let start = clock();
    assert!(question.await.unwrap().is_err());
    assert!(clock().duration_since(start) < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_wants_a_thousand_permits_does_not_starve_another() {
    let limiter = drained().await;
    let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..1_010 {
        let node = if number < 1_000 { "greedy" } else { "modest" };
        let (limiter, done) = (limiter.clone(), done.clone());
        tokio::spawn(async move {
            limiter.permit(ACTION, Priority::Create, node).await.spend();
            let _ = done.send(node);
        });
    }
    let mut served = Vec::new();
    while served.iter().filter(|node| **node == "modest").count() < 10 {
        served.push(order.recv().await.unwrap());
    }
    // Turn about, and what was handed out before the modest one came.
    assert!(served.len() <= 22, "{} calls for ten", served.len());
}
