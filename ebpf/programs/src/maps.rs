//! The maps, filled by the agent, and the counters it reads.

use aya_ebpf::{
    btf_maps::{HashMap, PerCpuArray},
    macros::btf_map,
};
use terway_ebpf_abi::{
    Counter, InterfaceAddress, MAX_ENTRIES, PodHardware, PopTarget, PushTag, TaggedAddress,
};

#[btf_map]
static MEMBER_POP: HashMap<TaggedAddress, PopTarget, MAX_ENTRIES> = HashMap::new();
#[btf_map]
static MEMBER_PUSH: HashMap<InterfaceAddress, PushTag, MAX_ENTRIES> = HashMap::new();
#[btf_map]
static POD_SOURCE: HashMap<InterfaceAddress, PodHardware, MAX_ENTRIES> = HashMap::new();
#[btf_map]
static COUNTERS: PerCpuArray<u64, { Counter::SLOTS }> = PerCpuArray::new();

/// Whether the trunk may deliver to this address in this VLAN.
#[inline(always)]
pub fn delivers(key: &TaggedAddress) -> bool {
    MEMBER_POP.get_ptr(key).is_some()
}

/// The VLAN id for this source address.
#[inline(always)]
pub fn tag_of(key: &InterfaceAddress) -> Option<u16> {
    // SAFETY: a value lives in the map's preallocated memory; a slot reused meanwhile
    // holds another pod's tag of two aligned bytes, never a torn one, and the agent
    // removes an address only when its pod is gone.
    MEMBER_PUSH.get_ptr(key).map(|tag| unsafe { (*tag).vlan })
}

/// The hardware address that goes with this source address.
#[inline(always)]
pub fn hardware_of(key: &InterfaceAddress) -> Option<[u8; 6]> {
    // SAFETY: as in `tag_of`; a torn address can only make one frame of a pod that is
    // being removed be dropped.
    POD_SOURCE.get_ptr(key).map(|pod| unsafe { (*pod).mac })
}

#[inline(always)]
pub fn count(counter: Counter) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter.slot()) {
        // SAFETY: the slot is this CPU's own.
        unsafe { *slot += 1 };
    }
}
