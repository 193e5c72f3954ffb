//! GC: remove the sandboxes that the runtime does not know.

use terway_cni_protocol::{GcRequest, Reply, Request, call};

use crate::config::NetConf;
use crate::error::CniError;
use crate::{REPLY_TIMEOUT, unexpected_reply};

/// Asks the agent. A configuration without the list is refused. An agent that took it for an empty list would remove
/// the network of every pod of the node.
pub fn answer(conf: &NetConf) -> Result<(), CniError> {
    conf.require_version("GC", "1.1.0")?;
    let valid = conf
        .valid_attachments
        .clone()
        .ok_or_else(|| CniError::Configuration {
            key: "cni.dev/valid-attachments",
            why: "GC needs the list of the attachments that exist".to_owned(),
        })?;
    match call(
        &conf.socket,
        &Request::Gc(GcRequest { valid }),
        None,
        REPLY_TIMEOUT,
    )? {
        Reply::Done => Ok(()),
        Reply::Refused(failure) => Err(CniError::Agent(failure)),
        Reply::Network(_) | Reply::Checked { .. } => Err(unexpected_reply()),
    }
}
