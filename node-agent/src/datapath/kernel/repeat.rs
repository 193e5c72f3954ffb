//! Changes that are made already. Each step of a plan can be repeated.

use nix::libc::{EADDRNOTAVAIL, EEXIST, ENODEV, ENOENT, ESRCH};

use super::netlink::NetlinkError;

/// Adding an object that exists already counts as done.
pub fn present(result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match result {
        Err(e) if e.errno() == Some(EEXIST) => Ok(()),
        other => other,
    }
}

/// Removing an object that is gone already counts as done.
pub fn absent(result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    const GONE: [i32; 4] = [ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL];
    match result {
        Err(e) if e.errno().is_some_and(|number| GONE.contains(&number)) => Ok(()),
        other => other,
    }
}
