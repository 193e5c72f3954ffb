//! The API types of Terway: group `network.alibabacloud.com`, version `v1beta1`.
//!
//! Reading is tolerant and writing is exact: a field that is missing or a word that a newer
//! version invented never stops a watch and survives a write, while what the API server
//! accepts is decided by the schemas that [`crd::all`] prints.

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
