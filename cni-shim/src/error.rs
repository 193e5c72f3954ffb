//! Errors of a call, each with its CNI code, and the error document for the runtime.

use std::error::Error;

use serde_json::{Value, json};
use terway_cni_protocol::message::InvalidAttachment;
use terway_cni_protocol::{CallError, Failure, code};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// A variable that this verb needs is not set.
    #[error("the environment variable {0} is required and not set")]
    Missing(&'static str),
    /// `CNI_COMMAND` is not a verb.
    #[error("CNI_COMMAND {0:?} is not one of ADD, DEL, CHECK, STATUS, GC, VERSION")]
    UnknownCommand(String),
    /// `CNI_ARGS` is not a list of `key=value`.
    #[error("CNI_ARGS has {0:?} where a key=value is expected")]
    Arguments(String),
    /// `CNI_CONTAINERID` or `CNI_IFNAME` cannot be used.
    #[error("CNI_CONTAINERID or CNI_IFNAME cannot be used")]
    Attachment(#[source] InvalidAttachment),
    /// The configuration could not be read.
    #[error("the network configuration could not be read from standard input")]
    Input(#[source] std::io::Error),
    /// The configuration is not JSON of the expected form.
    #[error("the network configuration is not valid JSON of a terway plugin")]
    Decode(#[source] serde_json::Error),
    /// A value of the configuration cannot be used.
    #[error("{key} in the network configuration cannot be used: {why}")]
    Configuration {
        /// The key.
        key: &'static str,
        /// What is wrong with the value, and which value would be right.
        why: String,
    },
    /// The configured version is none of ours.
    #[error("cniVersion {0:?} is not supported; use one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0")]
    Version(String),
    /// The verb does not exist in the configured version.
    #[error("{verb} does not exist in cniVersion {version}; it came with {since}")]
    VerbTooNew {
        /// The verb.
        verb: &'static str,
        /// The configured version.
        version: String,
        /// The version that has it.
        since: &'static str,
    },
    /// The sandbox's network namespace could not be opened.
    #[error("the network namespace {path} of the sandbox could not be opened")]
    Netns {
        /// `CNI_NETNS`.
        path: String,
        /// The error of open(2).
        #[source]
        source: std::io::Error,
    },
    /// The agent could not be asked.
    #[error("the terway agent could not be asked")]
    Call(#[from] CallError),
    /// STATUS, and the agent cannot be asked.
    #[error("the terway agent does not answer: no pod network can be set up; pods that run keep theirs")]
    Unavailable(#[source] CallError),
    /// The agent refused the request.
    #[error("{}", .0.message)]
    Agent(Failure),
    /// CHECK: the agent has another network for the sandbox than the runtime.
    #[error("the sandbox has {has}, but prevResult says {expected}; delete the pod to have it set up again")]
    Differs {
        /// What the agent has.
        has: String,
        /// What the runtime passed.
        expected: String,
    },
}

impl CniError {
    /// The error code of the CNI specification.
    pub fn code(&self) -> u32 {
        match self {
            CniError::Missing(_)
            | CniError::UnknownCommand(_)
            | CniError::Arguments(_)
            | CniError::Attachment(_) => code::INVALID_ENVIRONMENT,
            CniError::Input(_) | CniError::Netns { .. } => code::IO_FAILURE,
            CniError::Decode(_) => code::DECODING_FAILURE,
            CniError::Configuration { .. } => code::INVALID_CONFIGURATION,
            CniError::Version(_) | CniError::VerbTooNew { .. } => code::INCOMPATIBLE_VERSION,
            CniError::Call(_) => code::TRY_AGAIN_LATER,
            CniError::Unavailable(_) => code::NOT_AVAILABLE,
            CniError::Agent(failure) => failure.code,
            CniError::Differs { .. } => code::NOT_AS_EXPECTED,
        }
    }

    /// The document to print.
    pub fn document(&self, cni_version: &str) -> Value {
        let details = match self {
            CniError::Agent(failure) => failure.details.clone(),
            other => causes(other),
        };
        let mut document = json!({
            "cniVersion": cni_version,
            "code": self.code(),
            "msg": self.to_string(),
        });
        if !details.is_empty() {
            document["details"] = Value::String(details);
        }
        document
    }
}

/// The chain of causes below an error.
fn causes(error: &dyn Error) -> String {
    let mut parts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        parts.push(cause.to_string());
        next = cause.source();
    }
    parts.join(": ")
}
