//! DEL: take the sandbox's network away.

use std::os::fd::AsFd;

use terway_cni_protocol::{CallError, DelRequest, Reply, Request, call};

use crate::config::NetConf;
use crate::environment::Environment;
use crate::error::CniError;
use crate::{REPLY_TIMEOUT, netns, unexpected_reply};

/// Ask the agent.
///
/// An agent that is not there is a success. The kubelet would otherwise keep the pod, and a node on
/// which the agent's own pod waits for the place of a terminating one would never come free. The
/// agent cleans up from what it observes when it starts: the sandbox's pod is gone by then.
pub fn answer(environment: &Environment, conf: &NetConf) -> Result<(), CniError> {
    let request = Request::Del(DelRequest {
        attachment: environment.attachment()?,
        pod: environment.pod_if_any(),
    });
    let namespace = netns::open_if_any(environment.netns_if_any())?;
    match call(
        &conf.socket,
        &request,
        namespace.as_ref().map(AsFd::as_fd),
        REPLY_TIMEOUT,
    ) {
        Ok(Reply::Done) | Err(CallError::Absent { .. }) => Ok(()),
        Ok(Reply::Refused(failure)) => Err(CniError::Agent(failure)),
        Ok(Reply::Network(_) | Reply::Checked { .. }) => Err(unexpected_reply()),
        Err(error) => Err(error.into()),
    }
}
