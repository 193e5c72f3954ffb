//! Brings the installed definitions up to the version of this program. It never lowers a version, because a newer
//! control plane may run at the same time.

mod plan;

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{Error as WaitError, await_condition, conditions};
use kube::{Api, Client, ResourceExt};
use terway_crds::crd::{self, CrdError};
use tracing::info;

pub use plan::{Decision, decide};

/// How long the API server may take to serve a definition.
const PATIENCE: Duration = Duration::from_secs(60);
/// Field manager of the definitions.
const MANAGER: &str = "terway-controlplane";

/// Why the definitions could not be brought up to this version.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("print the definitions")]
    Print(#[source] CrdError),
    #[error("{act} the CustomResourceDefinition {name}: check the control plane's ClusterRole")]
    Api {
        act: &'static str,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("wait until the API server serves {name}")]
    Wait {
        name: String,
        #[source]
        source: WaitError,
    },
    #[error("the API server did not serve {name} within {PATIENCE:?}: see the conditions of the definition")]
    NotServed { name: String },
}

/// Installs missing definitions, raises older ones, and waits until the API server serves all of them.
///
/// # Errors
/// When a definition cannot be read, written or served.
pub async fn ensure(client: &Client) -> Result<(), InstallError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let ours = crd::all().map_err(InstallError::Print)?;
    for definition in &ours {
        let name = definition.name_any();
        let failed = |act| {
            let name = name.clone();
            move |source| InstallError::Api { act, name, source }
        };
        let installed = api.get_opt(&name).await.map_err(failed("reading"))?;
        let decision = decide(installed.as_ref(), definition);
        match &decision {
            Decision::Keep { .. } => tracing::debug!(name, ?decision, "the definition stays as it is"),
            Decision::Install | Decision::Raise { .. } => {
                info!(name, ?decision, "writing the definition");
                let params = PatchParams::apply(MANAGER).force();
                api.patch(&name, &params, &Patch::Apply(definition))
                    .await
                    .map_err(failed("applying"))?;
            }
        }
    }
    for definition in &ours {
        let name = definition.name_any();
        let served = await_condition(api.clone(), &name, conditions::is_crd_established());
        match tokio::time::timeout(PATIENCE, served).await {
            Ok(Ok(_)) => {}
            Ok(Err(source)) => return Err(InstallError::Wait { name, source }),
            Err(_) => return Err(InstallError::NotServed { name }),
        }
    }
    Ok(())
}
