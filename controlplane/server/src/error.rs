//! Why a step of a controller failed, and how soon to try again.

use terway_cloud::CloudError;
use terway_core::pod::BuildError;
use terway_core::podnetworking;
use terway_core::vswitch::NoVSwitch;
pub use terway_process::error_chain as chain;

use crate::runtime::Key;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server refused, or could not be reached.
    #[error("{act} {kind} {key}")]
    Api {
        act: &'static str,
        kind: &'static str,
        key: Key,
        #[source]
        source: kube::Error,
    },
    /// An object exists and is not in the cache yet. The watch will bring it.
    #[error("{kind} {key} exists, and the watch has not shown it yet")]
    Behind { kind: &'static str, key: Key },
    /// The cloud refused, or could not be reached.
    #[error("asking the cloud")]
    Cloud(#[from] CloudError),
    /// The pod's networks cannot be served.
    #[error("working out the networks of the pod")]
    Networks(#[from] NetworksError),
}

/// Why the networks of a pod cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum NetworksError {
    #[error(transparent)]
    Named(#[from] podnetworking::NetworksError),
    #[error("vSwitch {id} is not known to the cloud: correct the PodNetworking")]
    UnknownVSwitch { id: String },
    #[error(transparent)]
    VSwitch(#[from] NoVSwitch),
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// How soon to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// At once: somebody else wrote the object after the plan was made.
    Conflict,
    /// Soon, with a growing delay.
    Transient,
    /// Soon and again and again: a pod waits for a vSwitch, and nothing tells when the vSwitch has room. Trying costs
    /// no call, because the vSwitches are cached.
    Waiting,
    /// Later: the step fails until somebody changes something.
    Slow,
    /// At the pace of this kind of failure of the cloud.
    Cloud(terway_cloud::Retry),
}

impl ReconcileError {
    /// How soon to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Api { source, .. } => match status_code(source) {
                Some(404 | 409) => Retry::Conflict,
                Some(400 | 401 | 403 | 405 | 413 | 422) => Retry::Slow,
                _ => Retry::Transient,
            },
            Self::Behind { .. } => Retry::Transient,
            Self::Cloud(error) => Retry::Cloud(error.retry()),
            Self::Networks(NetworksError::VSwitch(_) | NetworksError::UnknownVSwitch { .. }) => {
                Retry::Waiting
            }
            // The person who repairs this waits for the pod, so the next try comes within half a minute.
            Self::Networks(_) => Retry::Transient,
        }
    }
}

/// HTTP status of an answer of the API server.
pub fn status_code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
