//! CHECK: compare the sandbox with what it should have; the agent repairs what it can.

use std::os::fd::AsFd;

use terway_cni_protocol::{CheckRequest, Reply, Request, call};

use crate::config::NetConf;
use crate::environment::Environment;
use crate::error::CniError;
use crate::{REPLY_TIMEOUT, netns, result, unexpected_reply};

/// Asks the agent, and compares its answer with the result that the runtime remembers.
pub fn answer(environment: &Environment, conf: &NetConf) -> Result<(), CniError> {
    conf.require_version("CHECK", "0.4.0")?;
    let request = Request::Check(CheckRequest {
        attachment: environment.attachment()?,
        pod: environment.pod()?,
    });
    let namespace = netns::open(environment.netns()?)?;
    match call(&conf.socket, &request, Some(namespace.as_fd()), REPLY_TIMEOUT)? {
        Reply::Checked { addresses } => result::compare(conf, &addresses),
        Reply::Refused(failure) => Err(CniError::Agent(failure)),
        Reply::Done | Reply::Network(_) => Err(unexpected_reply()),
    }
}
