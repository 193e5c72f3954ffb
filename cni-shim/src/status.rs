//! STATUS: could an ADD be served now?

use std::time::Duration;

use terway_cni_protocol::{Reply, Request, call};

use crate::config::NetConf;
use crate::error::CniError;
use crate::unexpected_reply;

/// How long the agent may take. The runtime asks every few seconds, and an agent that is slower than this counts as not
/// available.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the agent. While the agent does not answer, no pod can be added. Running pods keep their network without the
/// agent.
pub fn answer(conf: &NetConf) -> Result<(), CniError> {
    conf.require_version("STATUS", "1.1.0")?;
    match call(&conf.socket, &Request::Status, None, TIMEOUT) {
        Ok(Reply::Done) => Ok(()),
        Ok(Reply::Refused(failure)) => Err(CniError::Agent(failure)),
        Ok(Reply::Network(_) | Reply::Checked { .. }) => Err(unexpected_reply()),
        Err(error) => Err(CniError::Unavailable(error)),
    }
}
