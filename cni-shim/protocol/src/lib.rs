//! What the CNI binary (`terway`) and the node agent (`terway-agent`) say to each other.
//!
//! One unix connection carries one request and one reply. Both are a frame: an eight byte header
//! ([`frame`]) and a JSON body ([`message`]). The network namespace of the sandbox travels beside
//! the request as a file descriptor (`SCM_RIGHTS`, [`transfer`]), so that the agent needs neither
//! the path nor a mount of it.
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

/// Where the agent listens. The directory is the one upstream uses for its own socket.
pub const SOCKET_PATH: &str = "/var/run/eni/terway.sock";

/// How long an ADD may wait in the agent, in milliseconds, when the runtime sets no limit of its
/// own: two seconds less than [`REPLY_TIMEOUT_MS`], so that the agent's reason arrives in time.
pub const ADD_WAIT_MS: u64 = 118_000;

/// How long the binary waits for a reply, in milliseconds. The kubelet gives a sandbox four minutes.
pub const REPLY_TIMEOUT_MS: u64 = 120_000;
