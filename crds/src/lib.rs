//! The API types of Terway: group `network.alibabacloud.com`, version `v1beta1`.
//!
//! Reading is tolerant: a missing field or a word of a newer version never stops a watch, and a write keeps the word.
//! The schemas that [`crd::all`] prints decide what the API server accepts.

#![allow(
    clippy::duplicated_attributes,
    reason = "every printer column has a type of its own"
)]

#[macro_use]
mod text_enum;
pub mod address;
pub mod crd;
mod fields;
pub mod intent;
pub mod names;
pub mod network_interface;
pub mod networks;
pub mod node;
pub mod node_runtime;
pub mod pod_eni;
pub mod pod_networking;
mod schema;
pub mod shared;

pub use address::{AddressError, Family};
pub use intent::{CloudFailure, Creation, Operation, OperationKind, RequestParameters};
pub use network_interface::{
    AttachTo, ManagePolicy, NetworkInterface, NetworkInterfaceSpec, NetworkInterfaceStatus,
};
pub use networks::{NetworkRequest, PodNetwork, PodNetworks};
pub use node::{TerwayNode, TerwayNodeSpec, TerwayNodeStatus};
pub use node_runtime::{NodeRuntime, NodeRuntimeSpec, NodeRuntimeStatus};
pub use pod_eni::{Allocation, PodEni, PodEniSpec, PodEniStatus, PodEniSummary};
pub use pod_networking::{PodNetworking, PodNetworkingSpec, PodNetworkingStatus};
pub use shared::{
    AllocationType, AllocationTypeKind, AttachmentOptions, BindStatus, Eni, EniInfo, EniKind, EniOptions,
    EniType, Phase, ReleaseStrategy, Route, TrafficMode, VSwitchSelectOptions, VSwitchSelectionPolicy,
};
