//! The control plane's client of the cloud: typed calls, and a poller that waits for many ENIs with few calls.
//!
//! Each call is sent once. It needs a rate permit and a lease, and its error is classified. The client never repeats a
//! call. The caller decides what a failure means. Each send needs a new permit, a new plan and a new check of the
//! lease.
//!
//! No library does this: Alibaba Cloud publishes no SDK for Rust. Of the community's crates (November 2026),
//! aliyun-openapi-core-rust-sdk lacks the V3 signature and ali-acs lacks the VPC API.

mod action;
mod addresses;
mod answers;
mod client;
mod credentials;
mod endpoint;
mod enis;
mod error;
mod fence;
mod gate;
mod limits;
mod lists;
mod metadata;
mod metrics;
#[cfg(feature = "parsers")]
pub mod parsers;
mod requests;
mod secret;
mod signature;
mod transport;
mod watch;

pub use action::Action;
pub use answers::{AssignedIps, Instance, SecurityGroup};
pub use client::{Cloud, CloudConfig, ConnectError};
pub use credentials::{CredentialSource, OidcRole, Reread};
pub use endpoint::{EndpointError, Endpoints, ProxyUse};
pub use error::{CloudError, ErrorClass, Pace, Retry};
pub use fence::{Fence, Unfenced};
pub use gate::{Trouble, TroubleCause};
pub use limits::{Permit, Priority, Quotas};
pub use metrics::CloudMetrics;
pub use requests::{
    Addresses, AssignIps, AttachEni, CreateEni, DeleteEni, DetachEni, EniFilter, UnassignIps,
};
pub use secret::Secret;
pub use terway_core::cloud::{
    Cidrs, CloudEni, EniKind, EniObservation, EniStatus, InstanceTypeLimits, PrivateIp, VSwitch,
};
pub use watch::{EniWatch, Expect};
