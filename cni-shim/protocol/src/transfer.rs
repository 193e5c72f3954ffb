//! Bytes and file descriptors over a unix stream socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// The most descriptors that Linux passes in one message (SCM_MAX_FD in `net/scm.h`). The buffer has room for all of
/// them. With less room the kernel would install the descriptors that fit and cut the list off (`MSG_CTRUNC`, unix(7));
/// the reader would not see those descriptors and never close them.
const MAX_DESCRIPTORS: usize = 253;

/// Sends some bytes, with a descriptor beside the first of them. Returns how many bytes were sent.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let raw: Vec<RawFd> = descriptor.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    // With MSG_NOSIGNAL a peer that is gone causes an error instead of a SIGPIPE.
    let flags = MsgFlags::MSG_NOSIGNAL;
    Ok(sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(bytes)],
        control,
        flags,
        None,
    )?)
}

/// Receives some bytes, and appends the descriptors that come with them to `descriptors`. Returns zero when the peer
/// has closed its side.
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut control = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let mut parts = [IoSliceMut::new(buffer)];
    let received = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = message {
            descriptors.extend(fds.into_iter().map(own));
        }
    }
    Ok(received.bytes)
}

#[allow(unsafe_code, reason = "the kernel hands descriptors over as plain numbers")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: recvmsg(2) has just installed this descriptor in our table and nothing else knows
    // its number, so we are its only owner.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
