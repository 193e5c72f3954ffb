//! The maps that the agent fills, and the counters that the agent reads.

use aya_ebpf::{
    btf_maps::{HashMap, PerCpuArray},
    macros::btf_map,
};
use terway_ebpf_abi::{
    Counter, InterfaceAddress, MAX_ENTRIES, PodHardware, PopTarget, PushTag, TaggedAddress,
};
use terway_ebpf_verdict::Bindings;

#[btf_map]
static MEMBER_POP: HashMap<TaggedAddress, PopTarget, MAX_ENTRIES> = HashMap::new();
#[btf_map]
static MEMBER_PUSH: HashMap<InterfaceAddress, PushTag, MAX_ENTRIES> = HashMap::new();
#[btf_map]
static POD_SOURCE: HashMap<InterfaceAddress, PodHardware, MAX_ENTRIES> = HashMap::new();
#[btf_map]
static COUNTERS: PerCpuArray<u64, { Counter::SLOTS }> = PerCpuArray::new();

/// The maps as the decisions look at them.
pub struct Maps;

impl Bindings for Maps {
    #[inline(always)]
    fn delivers(&self, key: &TaggedAddress) -> bool {
        MEMBER_POP.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn tag_of(&self, key: &InterfaceAddress) -> Option<PushTag> {
        // SAFETY: the value lies in the map's preallocated memory. The agent may have reused the slot meanwhile. The
        // slot then holds another pod's tag; aligned fields are never torn, and the veth in the value is not the one
        // that the frame came by. The agent removes an address only when its pod is gone.
        MEMBER_PUSH.get_ptr(key).map(|tag| unsafe { *tag })
    }

    #[inline(always)]
    fn hardware_of(&self, key: &InterfaceAddress) -> Option<[u8; 6]> {
        // SAFETY: as in `tag_of`. A torn hardware address can only drop one frame of a pod that is being removed.
        POD_SOURCE.get_ptr(key).map(|pod| unsafe { (*pod).mac })
    }
}

/// Adds one to a counter.
#[inline(always)]
pub fn count(counter: Counter) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter.slot()) {
        // SAFETY: the slot is this CPU's own.
        unsafe { *slot += 1 };
    }
}
