//! A bare API server for tests, and patience with it.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use lab::bare::{Apiserver, Options};

/// An API server that ends with the test.
pub struct Cluster {
    pub client: Client,
    // Dropped in this order: the server before its files.
    _server: Apiserver,
    dir: tempfile::TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        // Two TLS implementations are linked in; the process must say which one is meant.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("apiserver");
        let start = move || Apiserver::start(path, Options::default());
        let server = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
        let kubeconfig = Kubeconfig::read_from(&server.kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        Self {
            client: Client::try_from(config).unwrap(),
            _server: server,
            dir,
        }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// Waits until something holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
