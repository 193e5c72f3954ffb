//! The kernel side of the datapath: three classifiers on clsact.
//!
//! Each returns `TC_ACT_UNSPEC` for what it lets pass, so that filters with a later
//! priority run too, and counts what it does and why it drops. The verdicts are made here
//! and nowhere else; the modules say only what a frame is.
#![no_std]
#![no_main]

mod frame;
mod maps;
mod member;
mod source;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    macros::classifier,
    programs::TcContext,
};
use terway_ebpf_abi::Counter;

/// What a program decided about one frame.
pub enum Verdict {
    /// Not our business.
    Ignore,
    /// Changed as it should be; goes on.
    Done(Counter),
    /// Not to go on.
    Drop(Counter),
}

#[classifier]
pub fn member_pop(ctx: TcContext) -> i32 {
    conclude(member::pop(&ctx))
}

#[classifier]
pub fn member_push(ctx: TcContext) -> i32 {
    conclude(member::push(&ctx))
}

#[classifier]
pub fn pod_source(ctx: TcContext) -> i32 {
    conclude(source::check(&ctx))
}

#[inline(always)]
fn conclude(verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Ignore => TC_ACT_UNSPEC,
        Verdict::Done(counter) => {
            maps::count(counter);
            TC_ACT_UNSPEC
        }
        Verdict::Drop(counter) => {
            maps::count(counter);
            TC_ACT_SHOT as i32
        }
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// None of the kernel functions used here asks for the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 11] = *b"Apache-2.0\0";
