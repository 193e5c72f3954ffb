//! The limiter as callers see it, in real time with quotas large enough to be quick.

use super::*;

const ACTION: Action = Action::DeleteNetworkInterface;

/// A limiter of ten calls a second whose savings are spent.
async fn drained() -> Limiter {
    let overrides = BTreeMap::from([(ACTION.name().to_lowercase(), 600)]);
    let limiter = Limiter::start(&Quotas::with_overrides(&overrides), CloudMetrics::unregistered());
    let start = Instant::now();
    for _ in 0..600 {
        limiter.permit(ACTION, Priority::Read).await.spend();
    }
    assert!(
        start.elapsed() < Duration::from_secs(1),
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

#[tokio::test]
async fn waiting_calls_go_out_at_the_rate_and_by_priority() {
    let limiter = drained().await;
    let start = Instant::now();
    let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
    for priority in [
        Priority::Read,
        Priority::Create,
        Priority::Release,
        Priority::Attach,
    ] {
        let (limiter, done) = (limiter.clone(), done.clone());
        tokio::spawn(async move {
            limiter.permit(ACTION, priority).await.spend();
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
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(250) && took < Duration::from_secs(3),
        "{took:?}"
    );
}

#[tokio::test]
async fn an_unused_permit_serves_the_next() {
    let limiter = drained().await;
    let held = limiter.permit(ACTION, Priority::Release).await;
    let start = Instant::now();
    drop(held);
    limiter.permit(ACTION, Priority::Release).await.spend();
    assert!(start.elapsed() < Duration::from_millis(80));
}

#[tokio::test]
async fn a_caller_that_gives_up_loses_no_token() {
    let limiter = drained().await;
    let start = Instant::now();
    for _ in 0..3 {
        let impatient = limiter.permit(ACTION, Priority::Release);
        let _ = tokio::time::timeout(Duration::from_millis(5), impatient)
            .await
            .map(Permit::spend);
    }
    limiter.permit(ACTION, Priority::Read).await.spend();
    assert!(
        start.elapsed() < Duration::from_millis(450),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn actions_do_not_share_a_bucket() {
    let limiter = drained().await;
    let start = Instant::now();
    for action in Action::ALL.into_iter().filter(|action| *action != ACTION) {
        limiter.permit(action, Priority::Read).await.spend();
    }
    assert!(start.elapsed() < Duration::from_millis(80));
}

#[tokio::test]
async fn throttling_stops_the_action_for_a_while() {
    let limiter = Limiter::start(&Quotas::default(), CloudMetrics::unregistered());
    limiter.throttled(ACTION);
    let start = Instant::now();
    limiter.permit(ACTION, Priority::Release).await.spend();
    assert!(start.elapsed() >= Duration::from_millis(900));
}
