//! DEL: take the sandbox's network away.

use std::os::fd::AsFd;

use terway_cni_protocol::{CallError, DelRequest, Reply, Request, call};

use crate::config::NetConf;
use crate::environment::Environment;
use crate::error::CniError;
use crate::{REPLY_TIMEOUT, netns, unexpected_reply};

/// Asks the agent.
///
/// The DEL succeeds when no agent listens. A failure would make the kubelet keep the pod. The agent's own pod may be
/// waiting for the place of that pod, and the node would never get its agent. When the agent starts, it removes the
/// sandboxes whose pods are gone.
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
