//! The kernel side of the datapath: three classifiers on clsact.
//!
//! `terway-ebpf-verdict` decides about a frame; this crate gives it the socket buffer and the maps, and carries the
//! decision out. A frame that may go on gets `TC_ACT_UNSPEC`, so that filters with a later priority run too. Every
//! change of a frame and every reason to drop one is counted.
#![no_std]
#![no_main]

mod frame;
mod maps;
mod tag;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    macros::classifier,
    programs::TcContext,
};
use frame::Skb;
use maps::Maps;
use terway_ebpf_abi::Counter;
use terway_ebpf_verdict::{Pop, Push, objection, pop, push};

/// Trunk ingress: takes the tag off the frames of this node's pods.
#[classifier]
pub fn member_pop(ctx: TcContext) -> i32 {
    match pop(&Skb(&ctx), &Maps) {
        Pop::Pass => TC_ACT_UNSPEC,
        Pop::Strip if tag::strip(&ctx) => counted(Counter::Popped),
        Pop::Strip => dropped(Counter::PopFailed),
        Pop::Drop(reason) => dropped(reason),
    }
}

/// Trunk egress: tags frames by their source address and the veth that they came by.
#[classifier]
pub fn member_push(ctx: TcContext) -> i32 {
    match push(&Skb(&ctx), &Maps) {
        Push::Pass => TC_ACT_UNSPEC,
        Push::Tag(vlan) if tag::put(&ctx, vlan) => counted(Counter::Pushed),
        // Without its tag the frame would leave in the trunk's own name.
        Push::Tag(_) => dropped(Counter::PushFailed),
        Push::Drop(reason) => dropped(reason),
    }
}

/// Host veth ingress: drops a frame that is not the pod's own.
#[classifier]
pub fn pod_source(ctx: TcContext) -> i32 {
    match objection(&Skb(&ctx), &Maps) {
        None => TC_ACT_UNSPEC,
        Some(reason) => dropped(reason),
    }
}

#[inline(always)]
fn counted(counter: Counter) -> i32 {
    maps::count(counter);
    TC_ACT_UNSPEC
}

#[inline(always)]
fn dropped(reason: Counter) -> i32 {
    maps::count(reason);
    TC_ACT_SHOT as i32
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// None of the kernel functions used here asks for the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 11] = *b"Apache-2.0\0";
