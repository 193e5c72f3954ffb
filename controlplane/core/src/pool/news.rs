//! The events about the ENIs of a node.

use terway_crds::names::{action, condition, event};

use crate::intent::Refused;
use crate::news::News;

/// An ENI was made.
pub(super) fn created(eni: &str, vswitch: &str) -> News {
    let note = format!("ENI {eni} was created in vSwitch {vswitch}");
    News::good(event::CREATE_ENI_SUCCEED, action::CREATE_ENI, note)
}

/// The cloud made no ENI.
pub(super) fn create_refused(vswitch: &str, refused: &Refused) -> News {
    let note = format!(
        "the cloud refused to create an ENI in vSwitch {vswitch}: {}: {}",
        refused.code, refused.message
    );
    News::bad(event::CREATE_ENI_FAILED, action::CREATE_ENI, note)
}

/// An ENI is in use.
pub(super) fn attached(eni: &str) -> News {
    let note = format!("ENI {eni} is attached");
    News::good(event::ATTACH_ENI_SUCCEED, action::ATTACH_ENI, note)
}

/// The cloud attached no ENI.
pub(super) fn attach_refused(note: String) -> News {
    News::bad(event::ATTACH_ENI_FAILED, action::ATTACH_ENI, note)
}

/// The cloud assigned no more addresses.
pub(super) fn alloc_refused(note: String) -> News {
    News::bad(event::ALLOC_IP_FAILED, action::ALLOC_IP, note)
}

/// An ENI takes no new pods and is replaced.
pub(super) fn draining(note: String) -> News {
    News::bad(condition::INSUFFICIENT_IP, action::ALLOC_IP, note)
}

/// The cloud and the record disagree, or an ENI is not as the configuration says and nobody repairs that.
pub(super) fn invalid(note: String) -> News {
    News::bad(event::RESOURCE_INVALID, action::SYNC_OPENAPI, note)
}

/// A living pod lost its address.
pub(super) fn address_lost(eni: &str, address: &str) -> News {
    let note = format!(
        "the pod has no network: somebody took address {address} of ENI {eni} away in the cloud: delete the pod, so \
         that its next one gets another address"
    );
    News::bad(event::RESOURCE_INVALID, action::SYNC_OPENAPI, note)
}

/// The node was compared with the cloud.
pub(super) fn synced() -> News {
    let note = "the node's ENIs were compared with the cloud";
    News::good(event::SYNC_OPENAPI_SUCCESS, action::SYNC_OPENAPI, note)
}
