//! Loopback ports that nobody else can take between the choice of the port and the server's bind.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, setsockopt, socket, sockopt,
};

/// A port of 127.0.0.1 that this process has bound without listening. A server that sets SO_REUSEPORT, as etcd and
/// kube-apiserver can, binds the port too and gets all connections; other servers are refused (man page socket(7)).
/// With a port that is chosen and closed again, two servers that start together could collide.
#[derive(Debug)]
pub struct ReservedPort {
    port: u16,
    _socket: OwnedFd,
}

impl ReservedPort {
    pub fn new() -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        setsockopt(&fd, sockopt::ReusePort, &true)?;
        bind(
            fd.as_raw_fd(),
            &SockaddrIn::from(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)),
        )?;
        let port = getsockname::<SockaddrIn>(fd.as_raw_fd())?.port();
        Ok(Self { port, _socket: fd })
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}
