//! The protocol between the CNI binary (`terway`) and the node agent (`terway-agent`).
//! One unix connection carries one request and one reply. Both are a frame: a header of eight bytes ([`frame`]) and a
//! JSON body ([`message`]). The request comes with a file descriptor of the sandbox's network namespace (`SCM_RIGHTS`,
//! [`transfer`]), so the agent needs neither the namespace's path nor a mount of it.
//!
//! Nothing here needs an async runtime: the binary uses [`client::call`], the agent drives
//! [`frame::Decoder`] and [`transfer`] from its own event loop.

pub mod client;
pub mod frame;
pub mod message;
pub mod transfer;

pub use client::{CallError, call};
pub use frame::{Decoder, FrameError, encode};
pub use message::{
    AddRequest, Address, Attachment, CheckRequest, Cidr, DelRequest, Failure, GcRequest, Interface, Network,
    PodRef, Reply, Request, Route, code,
};

/// Where the agent listens. Upstream's agent has its socket in the same directory.
pub const SOCKET_PATH: &str = "/var/run/eni/terway.sock";

/// How long an ADD may wait in the agent, in milliseconds. Two seconds less than [`REPLY_TIMEOUT_MS`], so that the
/// agent's refusal arrives in time.
pub const ADD_WAIT_MS: u64 = 118_000;

/// How long the binary waits for a reply, in milliseconds. The kubelet gives a sandbox four minutes.
pub const REPLY_TIMEOUT_MS: u64 = 120_000;
