//! What a rule found broken, in words that a person can act on.

use std::fmt;

use super::{Call, Intent};

/// One broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// One intent made two ENIs that existed at the same time.
    Duplicate {
        intent: Intent,
        first: String,
        second: String,
    },
    /// Detach, Delete or Unassign on an ENI of a pod that lived.
    TouchedWhileLiving { pod: String, call: Call },
    /// A call on an ENI that is not ours.
    ForeignTouched { call: Call },
    /// Two living pods had the same ENI or address.
    UsedTwice { what: String, pods: [String; 2] },
    /// A Fixed pod came back with another ENI or address.
    FixedChanged {
        pod: String,
        before: String,
        after: String,
    },
    /// A shared address had its next pod too soon.
    ReusedEarly { address: String, pods: [String; 2] },
    /// A pod of a shared ENI was given another address than it runs with.
    AddressChanged {
        pod: String,
        before: String,
        after: String,
    },
    /// One operation assigned addresses more than once.
    AssignedTwice { operation: String },
    /// More than the instance type allows.
    BeyondLimit { what: String },
    /// The record of a node and the cloud name different addresses of an ENI.
    Disagree {
        node: String,
        eni: String,
        address: String,
        /// It is recorded and not in the cloud; otherwise the other way round.
        recorded: bool,
    },
    /// A node has too few or too many idle addresses.
    PoolSize {
        node: String,
        idle: usize,
        wanted: [usize; 2],
    },
    /// A call of a replica that did not lead any more.
    Stale { call: Call, leader: String },
    /// A ClientToken was sent with other parameters than before.
    TokenMisused { call: Call },
    /// An ENI that nothing refers to.
    Leaked { eni: String, state: String },
    /// A bound pod whose ENI is not where its object says.
    Lost {
        pod: String,
        eni: String,
        wanted: String,
        found: String,
    },
    /// An object that nothing removes.
    LeftOver { object: String },
    /// An instance with two trunks.
    TwoTrunks { instance: String, trunks: Vec<String> },
    /// Something did not happen in time.
    NotConverged { what: String },
    /// Calls that could change something came after everything was gone.
    Restless { calls: usize },
    /// The cloud was asked again and again after everything was gone.
    NeverSilent,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Duplicate {
                intent,
                first,
                second,
            } => write!(
                f,
                "intent {intent} made {first} and {second}, which existed together"
            ),
            Violation::TouchedWhileLiving { pod, call } => write!(f, "pod {pod} lived at {call}"),
            Violation::ForeignTouched { call } => write!(f, "not our ENI: {call}"),
            Violation::UsedTwice { what, pods } => {
                write!(
                    f,
                    "{what} belonged to {} and {}, and both lived",
                    pods[0], pods[1]
                )
            }
            Violation::FixedChanged { pod, before, after } => {
                write!(f, "Fixed pod {pod} had {before} and came back with {after}")
            }
            Violation::ReusedEarly { address, pods } => write!(
                f,
                "{address} went from {} to {} before its sandbox was reported gone and the cooldown was over",
                pods[0], pods[1]
            ),
            Violation::AddressChanged { pod, before, after } => {
                write!(f, "pod {pod} runs with {before} and was given {after}")
            }
            Violation::AssignedTwice { operation } => {
                write!(f, "operation {operation} assigned its addresses more than once")
            }
            Violation::BeyondLimit { what } => write!(f, "more than the instance type allows: {what}"),
            Violation::Disagree {
                node,
                eni,
                address,
                recorded: true,
            } => write!(
                f,
                "the record of {node} names {address} of {eni}, and the cloud does not"
            ),
            Violation::Disagree {
                node, eni, address, ..
            } => write!(
                f,
                "{eni} has {address}, and the record of {node} does not know it"
            ),
            Violation::PoolSize { node, idle, wanted } => write!(
                f,
                "{node} has {idle} idle addresses, and is to have {} to {}",
                wanted[0], wanted[1]
            ),
            Violation::Stale { call, leader } => {
                write!(f, "{} called while {leader} led: {call}", call.caller)
            }
            Violation::TokenMisused { call } => write!(f, "a token with other parameters: {call}"),
            Violation::Leaked { eni, state } => write!(f, "nothing refers to {eni} ({state})"),
            Violation::Lost {
                pod,
                eni,
                wanted,
                found,
            } => write!(f, "{eni} of bound pod {pod} is to be {wanted}, and is {found}"),
            Violation::LeftOver { object } => write!(f, "{object} is left over"),
            Violation::TwoTrunks { instance, trunks } => {
                write!(f, "instance {instance} has the trunks {}", trunks.join(", "))
            }
            Violation::NotConverged { what } => write!(f, "not in time: {what}"),
            Violation::Restless { calls } => write!(f, "{calls} mutating calls after everything was gone"),
            Violation::NeverSilent => f.write_str("looks at the cloud did not end after everything was gone"),
        }
    }
}
