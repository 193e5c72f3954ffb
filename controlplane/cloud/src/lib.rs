//! The control plane's way to the cloud: typed calls, each sent once, with a rate permit and a fence
//! before it and a classified error after it; and a poller that waits for many ENIs in few calls.
//!
//! The client never repeats a call and never sleeps behind a caller's back. Whoever plans the call decides
//! what a failure means: each send needs a fresh permit, a fresh plan and a fresh look at the lease.

mod action;
mod answers;
mod client;
mod credentials;
mod endpoint;
mod error;
mod fence;
mod limits;
mod metadata;
mod metrics;
mod requests;
mod secret;
mod signature;
mod transport;
mod watch;

pub use action::Action;
pub use answers::{Instance, SecurityGroup};
pub use client::{Cloud, CloudConfig, ConnectError};
pub use credentials::CredentialSource;
pub use endpoint::{EndpointError, Endpoints, ProxyUse};
pub use error::{CloudError, ErrorClass};
pub use fence::{Fence, Unfenced};
pub use limits::{Permit, Priority, Quotas};
pub use metrics::CloudMetrics;
pub use requests::{AttachEni, CreateEni, DeleteEni, DetachEni, EniFilter};
pub use secret::Secret;
pub use terway_core::cloud::{CloudEni, EniKind, EniObservation, EniStatus, InstanceTypeLimits, VSwitch};
pub use watch::{EniWatch, Expect};
