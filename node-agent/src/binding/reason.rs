//! Why a pod has no network yet, or never gets one. People read these sentences in `kubectl describe pod`.

use std::fmt;

use terway_crds::Phase;

use crate::cluster::{NoTrunk, PodKey, Unusable};

/// What an ADD waits for. `message` is what the control plane says about the wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The watches have not delivered their first lists.
    NotSynced {
        /// The kinds whose lists are missing.
        kinds: Vec<&'static str>,
    },
    /// The agent has not yet made its first comparison with the kernel since its start.
    NotInOrder,
    /// The agent does not know the pod yet.
    NoPod { pod: PodKey },
    /// The control plane has not made the PodENI.
    NoPodEni { pod: PodKey },
    /// The PodENI is for another pod of the same name.
    OtherUid {
        pod: PodKey,
        /// UID of the pod that the PodENI is for.
        uid: String,
        phase: Phase,
        message: String,
    },
    /// The PodENI is being deleted. The control plane makes another one afterwards.
    Deleting { pod: PodKey, message: String },
    /// The PodENI is not in phase Bind.
    Phase {
        pod: PodKey,
        phase: Phase,
        message: String,
    },
    /// A value of the PodENI cannot be used.
    Unusable { pod: PodKey, why: Unusable },
    /// The control plane has not bound an address of a shared ENI to the pod.
    NoAddress {
        pod: PodKey,
        /// Why the pod has no address yet, in the words of the Node object.
        why: Vec<String>,
    },
    /// This node has no Node object of our group.
    NoNode,
    /// This node has no attached trunk.
    NoTrunk { why: NoTrunk },
    /// The ENIs are members of another trunk than this node's.
    OtherTrunk {
        pod: PodKey,
        /// This node's trunk.
        has: String,
        /// The PodENI's trunk.
        wants: String,
    },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wait::NotSynced { kinds } => {
                write!(
                    f,
                    "the agent has not yet received {} from the API server",
                    kinds.join(", ")
                )
            }
            Wait::NotInOrder => f.write_str(
                "the agent has just started and puts the networks of running pods in order first; its log says what \
                 keeps it",
            ),
            Wait::NoPod { pod } => write!(f, "pod {pod} is not known to the API server (yet)"),
            Wait::NoPodEni { pod } => write!(
                f,
                "PodENI {pod} does not exist (yet); look at the events of the pod and at terway-controlplane"
            ),
            Wait::OtherUid {
                pod,
                uid,
                phase,
                message,
            } => write!(
                f,
                "PodENI {pod} is still for an earlier pod (UID {uid}), in phase {}{}",
                Named(phase),
                Words(message)
            ),
            Wait::Deleting { pod, message } => {
                write!(
                    f,
                    "PodENI {pod} of an earlier pod is being deleted{}",
                    Words(message)
                )
            }
            Wait::Phase { pod, phase, message } => {
                write!(f, "PodENI {pod} is in phase {}{}", Named(phase), Words(message))
            }
            Wait::Unusable { pod, why } => write!(f, "PodENI {pod} cannot be realised: {why}"),
            Wait::NoAddress { pod, why } if why.is_empty() => write!(
                f,
                "the control plane has not given pod {pod} an address of this node's ENIs (yet); look at \
                 `kubectl get nodes.network.alibabacloud.com` and at terway-controlplane"
            ),
            Wait::NoAddress { pod, why } => write!(
                f,
                "the control plane has not given pod {pod} an address of this node's ENIs: {}",
                why.join("; ")
            ),
            Wait::NoNode => f.write_str(
                "the control plane has made no Node object of network.alibabacloud.com for this node (yet)",
            ),
            Wait::NoTrunk { why } => write!(f, "this node has no trunk ENI: {why}"),
            Wait::OtherTrunk { pod, has, wants } => {
                write!(
                    f,
                    "PodENI {pod} is on trunk {wants}, but the trunk of this node is {has}"
                )
            }
        }
    }
}

/// Why a pod gets no network here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The pod has no ENI of its own, and this node can have none to share.
    NoSharedEni { pod: PodKey, why: String },
    /// The pod's label excludes the pod from Terway, but a runtime asks for its network.
    Ignored { pod: PodKey },
    /// The pod is being deleted.
    PodDeleting { pod: PodKey },
    /// The pod that the sandbox is for does not exist any more.
    PodGone {
        pod: PodKey,
        /// The UID that the runtime named; `None` when it named none.
        uid: Option<String>,
    },
    /// The PodENI has an ENI that is the pod's alone.
    WholeNic { pod: PodKey },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoSharedEni { pod, why } => write!(
                f,
                "pod {pod} is to have an address of a shared ENI, and this node will have none: {why}; run the pod \
                 on a larger instance type"
            ),
            Refusal::Ignored { pod } => write!(
                f,
                "pod {pod} has the label k8s.aliyun.com/ignore-by-terway=true and gets no network from Terway: \
                 remove the label, or run the pod with hostNetwork"
            ),
            Refusal::PodDeleting { pod } => {
                write!(f, "pod {pod} is being deleted and gets no network any more")
            }
            Refusal::PodGone { pod, uid: Some(uid) } => {
                write!(f, "pod {pod} with UID {uid} does not exist any more")
            }
            Refusal::PodGone { pod, uid: None } => write!(f, "pod {pod} does not exist"),
            Refusal::WholeNic { pod } => write!(
                f,
                "PodENI {pod} has an ENI of its own (eniType ENI), and exclusive ENIs are not available yet: \
                 use eniType Trunk or Default in its PodNetworking"
            ),
        }
    }
}

/// An empty string is the first phase, Initial.
struct Named<'a>(&'a Phase);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Phase::Initial => f.write_str("Initial (its ENI is being made)"),
            phase => write!(f, "{phase}"),
        }
    }
}

struct Words<'a>(&'a str);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.0)
        }
    }
}
