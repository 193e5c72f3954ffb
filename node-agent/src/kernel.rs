//! The seam between the decisions of this crate and the kernel.
//!
//! [`Kernel`] is what the server and the reconciler need of the datapath. Tests play it with a
//! script, because a real one needs a namespace and a NIC for every case.

use std::error::Error;
use std::os::fd::OwnedFd;

use async_trait::async_trait;

use crate::datapath::{MemberInterface, Realised, Sandbox};

/// What a failed act on the kernel says.
pub type KernelError = Box<dyn Error + Send + Sync>;

/// The datapath.
#[async_trait]
pub trait Kernel: Send + Sync {
    /// Make an interface, or what is missing of it.
    async fn add(&self, want: MemberInterface, netns: OwnedFd) -> Result<Realised, KernelError>;

    /// Compare an interface with what it should be and repair it; returns the repairs, one sentence each.
    async fn check(&self, want: MemberInterface, netns: OwnedFd) -> Result<Vec<String>, KernelError>;

    /// Remove an interface; succeeds when it is already gone.
    async fn delete(&self, sandbox: &Sandbox, netns: Option<OwnedFd>) -> Result<(), KernelError>;

    /// The interfaces that exist.
    async fn sandboxes(&self) -> Result<Vec<Sandbox>, KernelError>;

    /// Repair what belongs to these interfaces and remove what is ours and belongs to none of them;
    /// returns what was done, one sentence each.
    async fn reconcile(&self, desired: Vec<MemberInterface>) -> Result<Vec<String>, KernelError>;
}
