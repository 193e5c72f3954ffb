//! The control plane's way to the cloud: typed calls, each sent once, with a rate permit and a fence
//! before it and a classified error after it; and a poller that waits for many ENIs in few calls.
//!
//! The client never repeats a call and never sleeps behind a caller's back. Whoever plans the call decides
//! what a failure means: each send needs a fresh permit, a fresh plan and a fresh look at the lease.

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
mod requests;
mod secret;
mod signature;
mod trace;
mod transport;
mod watch;

pub use action::Action;
pub use answers::{AssignedIps, Instance, SecurityGroup};
pub use client::{Cloud, CloudConfig, ConnectError};
pub use credentials::{CredentialSource, OidcRole, Reread};
pub use endpoint::{EndpointError, Endpoints, ProxyUse};
pub use error::{CloudError, ErrorClass, Outcome, Pace, Retry};
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
pub use trace::TraceTarget;
pub use watch::{EniWatch, Expect};
