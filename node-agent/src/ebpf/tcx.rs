//! Attaching to an interface without a queueing discipline (TCX, Linux 6.6 and later).
//!
//! The check of sources is attached to the host's end of a pod's veth. The bandwidth plugin makes a queueing discipline
//! of its own there for a pod whose sending is limited, and fails where a clsact already is. A program that is attached
//! by TCX belongs to the interface: it stays without a pin, and goes with the interface.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use aya::programs::{ProgramError, ProgramInfo, SchedClassifier, TcAttachType};
use nix::{libc, net::if_::if_indextoname};

use terway_node_core::program::Program;

const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const TCX_INGRESS: u32 = 46;
const REPLACE: u32 = 1 << 2;
const BEFORE: u32 = 1 << 3;

/// The attributes of an attachment (`union bpf_attr` in `linux/bpf.h`).
#[repr(C)]
#[derive(Default)]
struct Attachment {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
    relative: u32,
    revision: u64,
}

/// Whether this kernel has TCX.
pub fn is_supported() -> bool {
    SchedClassifier::query_tcx("lo", TcAttachType::Ingress).is_ok()
}

/// The attached program of the same name; `None` when there is none, or when the interface is gone.
pub fn attached(ifindex: u32, program: Program) -> Result<Option<ProgramInfo>, ProgramError> {
    let Some(interface) = name(ifindex) else {
        return Ok(None);
    };
    match SchedClassifier::query_tcx(&interface, TcAttachType::Ingress) {
        Ok((_, all)) => Ok(all
            .into_iter()
            .find(|info| info.name_as_str() == Some(program.name()))),
        // The interface is gone, or has a new name. In the second case the next look finds it.
        Err(_) if name(ifindex).as_ref() != Some(&interface) => Ok(None),
        Err(error) => Err(error),
    }
}

fn name(ifindex: u32) -> Option<String> {
    if_indextoname(ifindex).ok()?.into_string().ok()
}

/// Attaches the program before all others, or in the place of `old`. The kernel leaves no moment without either.
pub fn attach(ifindex: u32, new: BorrowedFd<'_>, old: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut attachment = Attachment {
        target: ifindex,
        program: new.as_raw_fd().cast_unsigned(),
        kind: TCX_INGRESS,
        flags: BEFORE,
        ..Attachment::default()
    };
    if let Some(old) = old {
        attachment.flags = REPLACE;
        attachment.replaced = old.as_raw_fd().cast_unsigned();
    }
    call(PROG_ATTACH, &attachment)
}

/// Detaches the program.
pub fn detach(ifindex: u32, program: BorrowedFd<'_>) -> io::Result<()> {
    let attachment = Attachment {
        target: ifindex,
        program: program.as_raw_fd().cast_unsigned(),
        kind: TCX_INGRESS,
        ..Attachment::default()
    };
    call(PROG_DETACH, &attachment)
}

#[allow(
    unsafe_code,
    reason = "the library attaches by links only, which end with their pins"
)]
fn call(command: libc::c_long, attachment: &Attachment) -> io::Result<()> {
    // SAFETY: the structure is whole, has the size that is told, and outlives the call; the kernel only
    // reads it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attachment),
            size_of::<Attachment>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
