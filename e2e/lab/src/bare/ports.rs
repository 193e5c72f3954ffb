//! Loopback ports that nobody else can take between our choice and the server's bind.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, setsockopt, socket, sockopt,
};

/// A port of 127.0.0.1 that is bound, but not listened on, by us. A server that sets SO_REUSEPORT, as
/// etcd and kube-apiserver can, binds it beside us and gets all connections; anybody else is refused.
/// Choosing a free port and closing it again would let two servers that start together collide.
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
