//! Order of the end, and what ends a process before its time.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::*;
use crate::error_chain;

const SOON: Duration = Duration::from_secs(5);

/// What tasks noted, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<&'static str>>>);

impl Diary {
    fn note(&self, words: &'static str) {
        self.0.lock().push(words);
    }

    fn read(&self) -> Vec<&'static str> {
        self.0.lock().clone()
    }

    /// A task that notes `begun` and `ended`, and takes `time` to end.
    fn task(
        &self,
        begun: &'static str,
        ended: &'static str,
        time: Duration,
    ) -> impl FnOnce(CancellationToken) -> futures::future::BoxFuture<'static, Result<(), Failure>> + use<>
    {
        let diary = self.clone();
        move |stop| {
            Box::pin(async move {
                stop.cancelled().await;
                diary.note(begun);
                tokio::time::sleep(time).await;
                diary.note(ended);
                Ok(())
            })
        }
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn stages_end_one_after_the_other_in_the_order_of_their_declaration() {
    let (diary, mut life) = (Diary::default(), Lifecycle::new(AfterFailure::DropAll));
    let controllers = life.stage("controllers", SOON);
    let lease = life.stage("lease", SOON);
    let webhook = life.stage("webhook", SOON);
    // Started in another order than they end.
    life.spawn(
        webhook,
        "webhook",
        diary.task("webhook asked", "webhook closed", seconds(1)),
    );
    life.spawn(
        lease,
        "election",
        diary.task("lease asked", "lease given back", seconds(1)),
    );
    life.spawn(
        controllers,
        "pods",
        diary.task("pods asked", "pods finished", seconds(3)),
    );
    life.spawn(
        controllers,
        "nodes",
        diary.task("nodes asked", "nodes finished", seconds(1)),
    );
    let stop = life.stopping();
    let process = tokio::spawn(life.finish());
    tokio::time::sleep(seconds(1)).await;
    assert!(diary.read().is_empty());
    stop.cancel();
    process.await.unwrap().unwrap();
    let mut noted = diary.read();
    noted[..2].sort_unstable();
    assert_eq!(
        noted,
        [
            "nodes asked",
            "pods asked",
            "nodes finished",
            "pods finished",
            "lease asked",
            "lease given back",
            "webhook asked",
            "webhook closed"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_does_not_end_in_its_time_does_not_hold_up_the_next() {
    let (diary, mut life) = (Diary::default(), Lifecycle::new(AfterFailure::DropAll));
    let first = life.stage("first", SOON);
    let second = life.stage("second", SOON);
    life.spawn(first, "stuck", diary.task("stuck asked", "never", seconds(1000)));
    life.spawn(
        second,
        "brisk",
        diary.task("brisk asked", "brisk ended", Duration::ZERO),
    );
    life.stopping().cancel();
    let began = Instant::now();
    life.finish().await.unwrap();
    assert_eq!(began.elapsed(), SOON);
    assert_eq!(diary.read(), ["stuck asked", "brisk asked", "brisk ended"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_fails_or_panics_before_the_stop_ends_the_process_by_its_name() {
    type Task = fn() -> Result<(), Failure>;
    let cases: [(Task, &str); 3] = [
        (|| Ok(()), "the watch ended by itself"),
        (
            || Err("the lease is lost".into()),
            "the watch failed: the lease is lost",
        ),
        (|| panic!("a planned panic"), "the watch panicked"),
    ];
    for after in [AfterFailure::Drain, AfterFailure::DropAll] {
        for (task, words) in cases {
            let (diary, mut life) = (Diary::default(), Lifecycle::new(after));
            let stage = life.stage("all", SOON);
            life.spawn(stage, "the other", diary.task("asked", "ended", seconds(1)));
            life.spawn(stage, "the watch", move |_| async move { task() });
            let error = life.finish().await.unwrap_err();
            assert!(error_chain(&error).starts_with(words), "{error:?}");
            let others: &[&str] = match after {
                AfterFailure::Drain => &["asked", "ended"],
                AfterFailure::DropAll => &[],
            };
            assert_eq!(diary.read(), others);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_task_is_dropped_at_the_stop_and_may_not_end_before() {
    let mut life = Lifecycle::new(AfterFailure::Drain);
    let stage = life.stage("all", SOON);
    life.spawn_endless(stage, "the watch", std::future::pending());
    life.stopping().cancel();
    let began = Instant::now();
    life.finish().await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);

    let mut life = Lifecycle::new(AfterFailure::Drain);
    let stage = life.stage("all", SOON);
    life.spawn_endless(stage, "the watch", async {});
    assert!(life.finish().await.unwrap_err().to_string().contains("the watch"));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_or_is_stopped_half_way_ends_what_it_began() {
    let diary = Diary::default();
    let life = Lifecycle::new(AfterFailure::Drain);
    let error = life
        .run(async |life| {
            let stage = life.stage("all", SOON);
            life.spawn(stage, "a server", diary.task("asked", "ended", seconds(1)));
            Err::<(), Failure>("no API server".into())
        })
        .await
        .unwrap_err();
    assert_eq!(error_chain(&error), "cannot start: no API server");
    assert_eq!(diary.read(), ["asked", "ended"]);

    let diary = Diary::default();
    let life = Lifecycle::new(AfterFailure::DropAll);
    let stop = life.stopping();
    life.run(async |life| {
        let stage = life.stage("all", SOON);
        life.spawn(stage, "a server", diary.task("asked", "ended", seconds(1)));
        stop.cancel();
        std::future::pending::<Result<(), Failure>>().await
    })
    .await
    .unwrap();
    assert_eq!(diary.read(), ["asked", "ended"]);
}

#[tokio::test]
async fn sigterm_asks_for_the_stop() {
    let life = Lifecycle::new(AfterFailure::Drain);
    let stop = life.stopping();
    stop_on_signals(stop.clone()).unwrap();
    let kill = std::process::Command::new("kill")
        .args(["-TERM", &std::process::id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    tokio::time::timeout(Duration::from_secs(30), stop.cancelled())
        .await
        .unwrap();
    life.finish().await.unwrap();
}
