//! What a probe and a scrape get.

use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// The whole answer to a GET.
async fn fetch(address: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn served(
    pages: Router,
) -> (
    SocketAddr,
    CancellationToken,
    tokio::task::JoinHandle<std::io::Result<()>>,
) {
    let listener = listen("a test", SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    (address, stop.clone(), tokio::spawn(serve(listener, pages, stop)))
}

#[tokio::test]
async fn readyz_lists_waits_and_tells_notes_beside_them() {
    let readiness = Readiness::default();
    readiness.note(|| vec!["the cloud does not accept the credentials".to_owned()]);
    let (address, _stop, _task) = served(health(readiness.clone(), async || Ok("ok"))).await;
    let answer = fetch(address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.ends_with("\r\nok\nbut the cloud does not accept the credentials"),
        "{answer}"
    );
    let _webhook = readiness.pending("the webhook");
    readiness.check(|| vec!["the cache of pods".to_owned()]);
    let answer = fetch(address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains("waiting for: the webhook, the cache of pods\nbut the cloud"),
        "{answer}"
    );
}

#[tokio::test]
async fn healthz_asks_at_each_visit() {
    let visits = Arc::new(AtomicUsize::new(0));
    let alive = move || {
        let first = visits.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                Ok("starting")
            } else {
                Err("the datapath does not answer")
            }
        }
    };
    let (address, _stop, _task) = served(health(Readiness::default(), alive)).await;
    let answer = fetch(address, "/healthz").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("starting"),
        "{answer}"
    );
    let answer = fetch(address, "/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("the datapath does not answer"), "{answer}");
}

#[tokio::test]
async fn metrics_are_open_metrics_and_refreshed_first() {
    let (mut registry, counter) = (Registry::default(), Counter::<u64>::default());
    registry.register("visits", "Visits", counter.clone());
    let refresh: Refresh = Arc::new(move || {
        counter.inc();
        std::future::ready(()).boxed()
    });
    let (address, _stop, _task) = served(metrics(Arc::new(registry), Some(refresh))).await;
    let answer = fetch(address, "/metrics").await.to_ascii_lowercase();
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{answer}"
    );
    assert!(
        answer.contains("visits_total 1\n") && answer.ends_with("# eof\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn the_server_ends_at_the_stop_and_an_address_in_use_is_named() {
    let (address, stop, task) = served(health(Readiness::default(), async || Ok("ok"))).await;
    let error = listen("healthzBindAddress", address)
        .await
        .unwrap_err()
        .to_string();
    let words = format!(
        "another program listens on {address} already; choose another address with healthzBindAddress"
    );
    assert_eq!(error, words);
    stop.cancel();
    task.await.unwrap().unwrap();
    listen("healthzBindAddress", address).await.unwrap();
}
