//! One replica of the control plane, on threads of its own, so that it can be killed.

use std::time::Duration;

use terway_cloud::Endpoints;
use terway_controlplane::apiserver::Connection;
use terway_controlplane::{config, process};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::stage::{ANY_PORT, Stage};

pub struct Replica {
    runtime: Runtime,
    stop: CancellationToken,
    ended: tokio::sync::oneshot::Receiver<anyhow::Result<()>>,
}

impl Replica {
    /// Starts a replica of this name, with its settings in files as in a cluster.
    pub fn start(stage: &Stage, name: &str) -> Replica {
        stage.write_keys(name, "lab-sk");
        Self::start_as_set(stage, name, stage.cloud.ecs_url(), ANY_PORT)
    }

    /// Starts a replica that reaches the cloud at `url` with the keys that were written for it. Its health endpoint is
    /// at `health`.
    pub fn start_as_set(stage: &Stage, name: &str, url: String, health: &str) -> Replica {
        let config = config_of(stage, name, health);
        let kubeconfig = stage.apiserver.kubeconfig.clone();
        let endpoints = Endpoints::one(url);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let stop = CancellationToken::new();
        let (sender, ended) = tokio::sync::oneshot::channel();
        let halt = stop.clone();
        runtime.spawn(async move {
            let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
            let options = kube::config::KubeConfigOptions::default();
            let kube = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .expect("a configuration");
            let apiserver = Connection::new(kube).expect("a connection");
            // Nobody listens when the test killed this replica.
            let _ = sender.send(process::run(config, apiserver, Some(endpoints), halt).await);
        });
        Replica { runtime, stop, ended }
    }

    /// Ends the replica as SIGTERM does, and waits for its end.
    pub async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(30), self.ended).await;
        ended
            .expect("it ends in time")
            .expect("it tells how it ended")
            .expect("it ended well");
        self.runtime.shutdown_background();
    }

    /// Ends the replica as SIGKILL does: nothing runs on, nothing is given back.
    pub fn kill(self) {
        self.runtime.shutdown_background();
    }
}

fn config_of(stage: &Stage, name: &str, health: &str) -> config::Config {
    let dir = stage.dir.path();
    let (settings, secret) = (dir.join(format!("{name}.yaml")), stage.keys(name));
    std::fs::write(&settings, stage.settings(health).ctrl_config).expect("the settings can be written");
    let arguments = [
        format!("-config={}", settings.display()),
        format!("-credential={}", secret.display()),
    ];
    let mut config = config::load(arguments).expect("the settings are valid");
    config.identity = config::Identity {
        pod_name: name.to_owned(),
        pod_uid: format!("{name}-uid"),
    };
    config
}
