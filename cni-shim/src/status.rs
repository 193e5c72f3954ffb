//! STATUS: could an ADD be served now?

use std::time::Duration;

use terway_cni_protocol::{Reply, Request, call};

use crate::config::NetConf;
use crate::error::CniError;
use crate::unexpected_reply;

/// The runtime asks every few seconds; an agent that needs longer than this is not available.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Ask the agent. One that does not answer means that nothing can be added; pods that run keep
/// their network without it.
pub fn answer(conf: &NetConf) -> Result<(), CniError> {
    conf.require_version("STATUS", "1.1.0")?;
    match call(&conf.socket, &Request::Status, None, TIMEOUT) {
        Ok(Reply::Done) => Ok(()),
        Ok(Reply::Refused(failure)) => Err(CniError::Agent(failure)),
        Ok(Reply::Network(_) | Reply::Checked { .. }) => Err(unexpected_reply()),
        Err(error) => Err(CniError::Unavailable(error)),
    }
}
