//! Sockets and addresses inside network namespaces.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use netlink_packet_route::address::AddressScope;
use nix::sched::{CloneFlags, setns};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use crate::metadata;

/// Why the metadata service cannot listen inside a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error("cannot open the network namespace {path}; is the machine's process alive?")]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot enter a network namespace; this needs CAP_SYS_ADMIN")]
    Enter(#[source] nix::Error),
    #[error("cannot start a thread to enter a network namespace")]
    Thread(#[source] io::Error),
    #[error("the thread inside the network namespace panicked")]
    Panic,
    #[error("cannot give the metadata address to the loopback device")]
    Address(#[from] HostAddressError),
    #[error("cannot listen on the metadata address; another service may have it")]
    Listen {
        #[source]
        source: io::Error,
    },
}

/// Why a host's NIC could not get its address.
#[derive(Debug, thiserror::Error)]
pub enum HostAddressError {
    #[error("cannot talk to the kernel's routing")]
    Netlink(#[source] io::Error),
    #[error("{0} is not there")]
    NoLink(String),
    #[error("cannot {act} on {link}")]
    Act {
        act: &'static str,
        link: String,
        #[source]
        source: rtnetlink::Error,
    },
}

/// Creates a listener on the metadata address inside a namespace, and gives the address to the namespace's loopback
/// device. A socket stays in the namespace in which it was created, so only the creation needs a thread in there.
pub fn metadata_listener(netns: &Path) -> Result<TcpListener, NamespaceError> {
    let file = File::open(netns).map_err(|source| NamespaceError::Open {
        path: netns.to_owned(),
        source,
    })?;
    let thread = std::thread::Builder::new()
        .name("metadata-netns".into())
        .spawn(move || {
            setns(&file, CloneFlags::CLONE_NEWNET).map_err(NamespaceError::Enter)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(NamespaceError::Thread)?;
            runtime.block_on(give_metadata_address())?;
            let listener = TcpListener::bind((metadata::ADDRESS, metadata::PORT))
                .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
            listener.map_err(|source| NamespaceError::Listen { source })
        })
        .map_err(NamespaceError::Thread)?;
    thread.join().map_err(|_| NamespaceError::Panic)?
}

async fn give_metadata_address() -> Result<(), HostAddressError> {
    let (connection, netlink, _) = rtnetlink::new_connection().map_err(HostAddressError::Netlink)?;
    let connection = tokio::spawn(connection);
    // The scope is host, so that the machine never uses this address as a source. On a real machine the service runs
    // elsewhere.
    let given = give_address(
        &netlink,
        "lo",
        Ipv4Net::from(metadata::ADDRESS),
        AddressScope::Host,
    )
    .await;
    connection.abort();
    given
}

/// Brings a device of this process's namespace up and gives it an address and, with a gateway, a default route. A host
/// does the same with its NIC at boot.
pub async fn give_host_address(
    link: &str,
    address: Ipv4Net,
    gateway: Option<Ipv4Addr>,
) -> Result<(), HostAddressError> {
    let (connection, netlink, _) = rtnetlink::new_connection().map_err(HostAddressError::Netlink)?;
    let connection = tokio::spawn(connection);
    let given = async {
        give_address(&netlink, link, address, AddressScope::Universe).await?;
        let Some(gateway) = gateway else { return Ok(()) };
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
        // An existing default route is not replaced, because then the namespace belongs to somebody else.
        netlink
            .route()
            .add(route)
            .execute()
            .await
            .map_err(|source| HostAddressError::Act {
                act: "set the default route",
                link: link.to_owned(),
                source,
            })
    };
    let given = given.await;
    connection.abort();
    given
}

async fn give_address(
    netlink: &Handle,
    link: &str,
    address: Ipv4Net,
    scope: AddressScope,
) -> Result<(), HostAddressError> {
    let failed = |act| {
        move |source| HostAddressError::Act {
            act,
            link: link.to_owned(),
            source,
        }
    };
    let found = netlink.link().get().match_name(link).execute().try_next().await;
    let index = found
        .map_err(failed("look for the device"))?
        .ok_or_else(|| HostAddressError::NoLink(link.to_owned()))?
        .header
        .index;
    let mut request = netlink
        .address()
        .add(index, IpAddr::V4(address.addr()), address.prefix_len())
        .replace();
    request.message_mut().header.scope = scope;
    request.execute().await.map_err(failed("set the address"))?;
    let up = LinkUnspec::new_with_index(index).up().build();
    netlink
        .link()
        .set(up)
        .execute()
        .await
        .map_err(failed("bring the device up"))
}
