//! Acts inside another network namespace. Each act has a thread of its own: a thread that has changed its namespace
//! must never go back to a pool.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    thread,
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
    sys::stat::{fstat, stat},
};

use super::netlink::{Netlink, NetlinkError};

/// Why a network namespace could not be used.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    #[error("cannot start a thread for the network namespace")]
    Thread(#[source] io::Error),
    #[error("cannot enter the network namespace; the agent needs CAP_SYS_ADMIN")]
    Enter(#[source] io::Error),
    #[error("what the runtime names as the network namespace of the sandbox is none")]
    NotOne,
    #[error("cannot read which network namespace this is")]
    Identify(#[source] io::Error),
    #[error("a thread inside the network namespace died")]
    Died,
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// Moves the calling thread into the namespace for good. Only for threads that do nothing else.
pub fn enter(netns: BorrowedFd<'_>) -> Result<(), NetnsError> {
    setns(netns, CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
        // The descriptor is a plain file, or a namespace of another kind (setns(2)).
        Errno::EINVAL => NetnsError::NotOne,
        errno => NetnsError::Enter(errno.into()),
    })
}

/// A netlink socket of the namespace. The socket keeps its namespace on whatever thread it is used.
pub fn netlink_in(netns: BorrowedFd<'_>) -> Result<Netlink, NetnsError> {
    thread::scope(|scope| {
        let opened = thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, || {
                enter(netns)?;
                Ok(Netlink::open()?)
            })
            .map_err(NetnsError::Thread)?;
        opened.join().map_err(|_| NetnsError::Died)?
    })
}

/// Whether a descriptor means the namespace that the calling thread is in.
pub fn is_own(netns: impl AsFd) -> Result<bool, NetnsError> {
    let identify = |errno: nix::Error| NetnsError::Identify(errno.into());
    let own = stat("/proc/thread-self/ns/net").map_err(identify)?;
    let other = fstat(netns).map_err(identify)?;
    Ok((own.st_dev, own.st_ino) == (other.st_dev, other.st_ino))
}
