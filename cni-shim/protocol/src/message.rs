//! The requests and replies.
//! A reader ignores unknown fields, so a field can be added without a new protocol version. A field that the other side
//! must understand needs a new version (see [`crate::frame::VERSION`]).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Error codes of the CNI specification that this product uses.
pub mod code {
    /// The configuration's `cniVersion` is not one that we speak.
    pub const INCOMPATIBLE_VERSION: u32 = 1;
    /// An environment variable of the call is missing or malformed.
    pub const INVALID_ENVIRONMENT: u32 = 4;
    /// Reading or writing failed.
    pub const IO_FAILURE: u32 = 5;
    /// Something that should be JSON is not.
    pub const DECODING_FAILURE: u32 = 6;
    /// The network configuration cannot be used.
    pub const INVALID_CONFIGURATION: u32 = 7;
    /// The same call may succeed later.
    pub const TRY_AGAIN_LATER: u32 = 11;
    /// STATUS: no ADD can be served.
    pub const NOT_AVAILABLE: u32 = 50;
    /// STATUS: no ADD can be served, and pods that run may have limited connectivity.
    pub const NOT_AVAILABLE_AND_LIMITED: u32 = 51;
    /// CHECK: the sandbox has no network here, or another one than its runtime believes.
    /// (The specification leaves codes from 100 on to the plugin. Its code 3 would tell the
    /// runtime that no DEL is needed, which is not what this means.)
    pub const NOT_AS_EXPECTED: u32 = 100;
    /// ADD: the pod, as it is, will get no network here; waiting does not help.
    pub const NO_NETWORK: u32 = 101;
}

/// The longest container id that is accepted. The id must fit into the 255 bytes of a link's alias (IFALIASZ in
/// `linux/if.h`), together with the pod's UID and the interface name.
pub const MAX_CONTAINER_ID: usize = 128;

/// The longest name of a network interface (the kernel's IFNAMSIZ less the closing zero).
pub const MAX_IFNAME: usize = 15;

/// One sandbox and one interface in it: what the CNI specification calls an attachment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attachment {
    /// The runtime's id of the sandbox (`CNI_CONTAINERID`).
    pub container_id: String,
    /// The name of the interface in the sandbox (`CNI_IFNAME`).
    pub ifname: String,
}

/// Why an [`Attachment`] was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAttachment {
    /// The container id has characters that the CNI specification does not allow, or is too long.
    #[error(
        "container id {0:?} must start with a letter or digit, go on with letters, digits, '_', '.' or '-', and have at most {MAX_CONTAINER_ID} characters"
    )]
    ContainerId(String),
    /// The interface name is not one the kernel takes.
    #[error(
        "interface name {0:?} must have 1 to {MAX_IFNAME} characters without '/', ':' or white space, and be neither '.' nor '..'"
    )]
    Ifname(String),
}

impl Attachment {
    /// Check both names against the rules of the CNI specification and of the kernel.
    pub fn validate(&self) -> Result<(), InvalidAttachment> {
        let id = self.container_id.as_bytes();
        let id_ok = id.len() <= MAX_CONTAINER_ID
            && id.first().is_some_and(u8::is_ascii_alphanumeric)
            && id
                .iter()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-'));
        if !id_ok {
            return Err(InvalidAttachment::ContainerId(self.container_id.clone()));
        }
        let name = &self.ifname;
        let name_ok = !name.is_empty()
            && name.len() <= MAX_IFNAME
            && name != "."
            && name != ".."
            && !name
                .chars()
                .any(|c| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
        if !name_ok {
            return Err(InvalidAttachment::Ifname(name.clone()));
        }
        Ok(())
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.container_id, self.ifname)
    }
}

/// The pod that a sandbox is for, as the runtime names it in `CNI_ARGS`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PodRef {
    /// `K8S_POD_NAMESPACE`.
    pub namespace: String,
    /// `K8S_POD_NAME`.
    pub name: String,
    /// `K8S_POD_UID`; older runtimes do not pass it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Give a sandbox its network. Comes with the sandbox's network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddRequest {
    /// The sandbox.
    pub attachment: Attachment,
    /// The pod it is for.
    pub pod: PodRef,
    /// How long the caller waits, in milliseconds.
    pub wait_ms: u64,
}

/// Take the network of a sandbox away. Comes with the namespace when it still exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelRequest {
    /// The sandbox.
    pub attachment: Attachment,
    /// The pod it was for, when the runtime says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
}

/// Compare a sandbox with what it should have. Comes with its network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// The sandbox.
    pub attachment: Attachment,
    /// The pod it is for.
    pub pod: PodRef,
}

/// Remove every sandbox that the runtime does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcRequest {
    /// The attachments that exist.
    pub valid: Vec<Attachment>,
}

/// What the binary asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase")]
pub enum Request {
    /// CNI ADD.
    Add(AddRequest),
    /// CNI DEL.
    Del(DelRequest),
    /// CNI CHECK.
    Check(CheckRequest),
    /// CNI STATUS.
    Status,
    /// CNI GC.
    Gc(GcRequest),
}

impl Request {
    /// The verb, as metrics and logs name it.
    pub fn verb(&self) -> &'static str {
        match self {
            Request::Add(_) => "add",
            Request::Del(_) => "del",
            Request::Check(_) => "check",
            Request::Status => "status",
            Request::Gc(_) => "gc",
        }
    }
}

/// An address with its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// The prefix length in bits.
    pub prefix: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A network interface that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its MAC address, `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether the interface is in the sandbox; otherwise it is on the host.
    pub in_sandbox: bool,
}

/// An address that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address, with the prefix length it has on the interface.
    pub address: Cidr,
    /// The next hop of the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Index into [`Network::interfaces`].
    pub interface: usize,
}

/// A route of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The destination.
    pub dst: Cidr,
    /// The next hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// The network of a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// All interfaces, each host side before its sandbox side.
    pub interfaces: Vec<Interface>,
    /// All addresses.
    pub addresses: Vec<Address>,
    /// All routes of the sandbox.
    pub routes: Vec<Route>,
}

/// Why a request was not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A CNI error code, see [`code`].
    pub code: u32,
    /// What happened and what the reader can do, in one sentence.
    pub message: String,
    /// Details for a developer; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

impl Failure {
    /// A failure without details.
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Failure {
            code,
            message: message.into(),
            details: String::new(),
        }
    }
}

/// The agent's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "lowercase")]
pub enum Reply {
    /// ADD: the network that the sandbox has now.
    Network(Network),
    /// CHECK: the sandbox is as it should be, perhaps after a repair.
    Checked {
        /// Its addresses.
        addresses: Vec<Cidr>,
    },
    /// DEL, STATUS, GC: done, nothing to report.
    Done,
    /// Any verb: the request was not fulfilled.
    Refused(Failure),
}
