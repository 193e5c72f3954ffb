//! Entries for tests of arbitrary input: bytes are read as the cloud's answers.

use serde_json::Value;
use terway_crds::Family;

use crate::action::Action;
use crate::{answers, transport};

/// Reads a body as the answer to each call, and as a refusal with each status.
pub fn answers(body: &[u8]) {
    for status in [400, 403, 404, 500, 503] {
        let _ = transport::refusal(Action::AttachNetworkInterface, "ENI eni-1", status, body).to_string();
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let _ = answers::created_eni(&body);
    let _ = [Family::V4, Family::V6].map(|family| answers::assigned_ips(family, &body));
    let _ = answers::enis(&body);
    let _ = answers::vswitches(&body);
    let _ = answers::instance_types(&body);
    let _ = answers::instances(&body);
    let _ = answers::security_groups(&body);
}
