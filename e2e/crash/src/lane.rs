//! A lane: an API server, a cloud and a view of both. Runs follow each other in a lane. A run leaves nothing behind, so
//! a lane is set up once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use cloudsim::{Options, Running, Simulator};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client};
use lab::bare::{self, Apiserver};
use serde_json::json;
use tempfile::TempDir;
use terway_crds::names::object;

use crate::controlplane::Setup;
use crate::ledger::Ledger;
use crate::settings::{Times, of_nodes, shipped};
use crate::view::View;
use crate::world;

/// Namespace of the pods.
pub const NAMESPACE: &str = "default";

/// A lane.
pub struct Lane {
    pub client: Client,
    pub cloud: Running,
    pub view: View,
    pub ledger: Arc<Ledger>,
    pub setup: Setup,
    /// ENIs that are there without us, with their state.
    pub before: BTreeMap<String, String>,
    // Dropped last: the watches end before their server.
    apiserver: Apiserver,
    _dir: TempDir,
}

impl Lane {
    /// Sets up a lane.
    pub async fn open(seed: u64) -> Result<Lane> {
        let dir = tempfile::Builder::new()
            .prefix("terway-crash-")
            .tempdir()
            .context("making a folder")?;
        let kube = dir.path().join("kube");
        let start = tokio::task::spawn_blocking(move || Apiserver::start(kube, bare::Options::default()));
        let apiserver = start.await.context("starting the API server")??;
        let client = client(&apiserver.kubeconfig).await?;
        let options = Options {
            seed,
            ..Options::default()
        };
        let cloud = Simulator::start(world::world(), options)
            .await
            .context("starting the cloud")?;
        prepare(&client).await?;
        let setup = Setup {
            dir: dir.path().to_owned(),
            kubeconfig: apiserver.kubeconfig.clone(),
            endpoint: cloud.address().to_string(),
        };
        let before = cloud
            .enis()
            .into_iter()
            .map(|eni| (eni.id.to_string(), eni.status.name().to_owned()))
            .collect();
        Ok(Lane {
            view: View::open(&client),
            client,
            cloud,
            ledger: Arc::default(),
            setup,
            before,
            apiserver,
            _dir: dir,
        })
    }
}

/// A vSwitch without a free address, until this is dropped.
pub struct Withheld<'a> {
    lane: &'a Lane,
    vswitch: &'static str,
}

impl Lane {
    /// Process id of the API server.
    pub fn apiserver_pid(&self) -> u32 {
        self.apiserver.apiserver_pid()
    }

    /// Takes every free address of a vSwitch.
    pub fn withhold(&self, vswitch: &'static str) -> Withheld<'_> {
        self.cloud
            .with_cloud(|cloud| cloud.withhold(vswitch, u32::MAX / 2));
        Withheld { lane: self, vswitch }
    }
}

impl Drop for Withheld<'_> {
    fn drop(&mut self) {
        self.lane
            .cloud
            .with_cloud(|cloud| cloud.withhold(self.vswitch, 0));
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Definitions, namespaces and the settings for trunks and shared ENIs: those of the cluster and those of single
/// nodes.
async fn prepare(client: &Client) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in terway_crds::crd::all()? {
        let name = definition.metadata.name.clone().unwrap_or_default();
        definitions
            .create(&PostParams::default(), &definition)
            .await
            .with_context(|| format!("creating {name}"))?;
        await_condition(definitions.clone(), &name, conditions::is_crd_established()).await?;
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in [NAMESPACE, object::NAMESPACE] {
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        // The API server makes some namespaces itself, sooner or later.
        let _ = namespaces.create(&PostParams::default(), &namespace).await;
    }
    let usual = (object::ENI_CONFIG, shipped(&Times::default())?.eni_conf);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), object::NAMESPACE);
    for (name, eni_conf) in std::iter::once(usual).chain(of_nodes()) {
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": name},
            "data": {object::ENI_CONFIG_KEY: eni_conf.to_string()},
        }))?;
        let made = maps.create(&PostParams::default(), &map).await;
        made.with_context(|| format!("creating ConfigMap {name}"))?;
    }
    Ok(())
}
