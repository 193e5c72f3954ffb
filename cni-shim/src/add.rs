//! ADD: give the sandbox its network.

use std::os::fd::AsFd;

use serde_json::Value;
use terway_cni_protocol::{ADD_WAIT_MS, AddRequest, Reply, Request, call};

use crate::config::NetConf;
use crate::environment::Environment;
use crate::error::CniError;
use crate::{REPLY_TIMEOUT, netns, result, unexpected_reply};

/// Asks the agent, and returns the result document.
pub fn answer(environment: &Environment, conf: &NetConf) -> Result<Value, CniError> {
    let path = environment.netns()?;
    let request = Request::Add(AddRequest {
        attachment: environment.attachment()?,
        pod: environment.pod()?,
        wait_ms: ADD_WAIT_MS,
    });
    let namespace = netns::open(path)?;
    match call(&conf.socket, &request, Some(namespace.as_fd()), REPLY_TIMEOUT)? {
        Reply::Network(network) => result::document(conf, &network, path),
        Reply::Refused(failure) => Err(CniError::Agent(failure)),
        Reply::Done | Reply::Checked { .. } => Err(unexpected_reply()),
    }
}
