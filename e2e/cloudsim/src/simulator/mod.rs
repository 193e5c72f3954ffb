//! A running simulator: its listeners and the clockwork that completes asynchronous actions.

mod running;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::running::Running;
use crate::admin;
use crate::api;
use crate::clock::ClockMode;
use crate::fabric::{Fabric, FabricError, FabricOptions, Port, PortKind, VSwitchNet};
use crate::machines::{HostAddressError, Machines, give_host_address};
use crate::model::AddressSpace;
use crate::state::{State, StateError};
use crate::world::World;

/// The simulator.
pub struct Simulator;

/// How a simulator runs.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the OpenAPI listens; a free port of loopback when absent.
    pub listen: Option<SocketAddr>,
    /// Where the admin API listens, `unix:/path` or `host:port`; a free port of loopback
    /// when absent.
    pub admin: Option<admin::Address>,
    /// File that gets a line for every call.
    pub call_log: Option<PathBuf>,
    /// Seed of ids, MAC addresses and random latencies.
    pub seed: u64,
    /// Carry packets: attached ENIs appear as devices of powered-on instances.
    pub fabric: bool,
    /// How time passes; the world's mode when absent.
    pub clock: Option<ClockMode>,
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot set the world up")]
    State(#[from] StateError),
    #[error("cannot listen on {address} for the OpenAPI; free it or choose another with --listen")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen on {address} for the admin API; free it or choose another with --admin")]
    Admin {
        address: admin::Address,
        #[source]
        source: io::Error,
    },
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    #[error("cannot connect the VPC host {host}")]
    PlugHost {
        host: String,
        #[source]
        source: FabricError,
    },
    #[error("cannot give the VPC host {host} its address")]
    HostAddress {
        host: String,
        #[source]
        source: HostAddressError,
    },
}

impl Simulator {
    /// Starts a world on the current tokio runtime.
    pub async fn start(mut world: World, options: Options) -> Result<Running, StartError> {
        world.clock.mode = options.clock.unwrap_or(world.clock.mode);
        let call_log = options.call_log.as_deref();
        let state = Arc::new(State::new(&world, options.seed, options.fabric, call_log)?);
        let wanted = options.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let unheard = |source| StartError::Listen {
            address: wanted,
            source,
        };
        let listener = TcpListener::bind(wanted).await.map_err(unheard)?;
        let address = listener.local_addr().map_err(unheard)?;
        let wanted = options.admin.unwrap_or_default();
        let unheard = |source| StartError::Admin {
            address: wanted.clone(),
            source,
        };
        let admin_listener = admin::Listener::bind(&wanted).await.map_err(unheard)?;
        let admin = admin_listener.address().clone();
        let fabric = match options.fabric {
            true => Some(start_fabric(&world, &state).await?),
            false => None,
        };
        let machines = Arc::new(Machines::start(state.clone(), fabric.clone()).map_err(StartError::Thread)?);

        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(api::server::serve(
            listener,
            state.clone(),
            stop.clone(),
            tasks.clone(),
        ));
        let admin_app = admin::App {
            state: state.clone(),
            machines: machines.clone(),
            fabric,
        };
        tasks.spawn(admin::serve(admin_listener, admin_app, stop.clone()));
        tasks.spawn(clockwork(state.clone(), machines.clone(), stop.clone()));
        tasks.close();
        Ok(Running {
            state,
            machines,
            address,
            admin,
            stop,
            tasks,
        })
    }
}

/// Starts the fabric with the world's topology, and connects the hosts of the VPC that
/// live in this process's own namespace.
async fn start_fabric(world: &World, state: &State) -> Result<Fabric, StartError> {
    let fabric = Fabric::start(FabricOptions::new(world.fabric.clone())).map_err(StartError::Thread)?;
    let nets = world.v_switches.iter().map(|spec| VSwitchNet {
        id: spec.id.clone(),
        cidr: spec.cidr,
    });
    fabric.set_topology(nets.collect(), world.security_groups.clone());
    let hosts = state.with_cloud(|cloud, _| cloud.hosts().to_vec());
    for (index, host) in hosts.into_iter().enumerate() {
        let (spec, ifname) = (host.spec, format!("eth{index}"));
        let port = Port {
            eni_id: format!("host-{}", spec.name),
            mac: host.mac.0,
            addresses: vec![spec.address],
            vswitch_id: spec.v_switch.clone(),
            security_groups: spec.security_groups.clone(),
            kind: PortKind::Direct {
                netns: "/proc/self/ns/net".into(),
                ifname: Some(ifname.clone()),
            },
        };
        fabric.plug(port).map_err(|source| StartError::PlugHost {
            host: spec.name.clone(),
            source,
        })?;
        let Some(net) = world.v_switches.iter().find(|net| net.id == spec.v_switch) else {
            continue;
        };
        // Only the first NIC gets a default route.
        let gateway = (index == 0).then(|| AddressSpace::gateway(net.cidr));
        let address = Ipv4Net::new_assert(spec.address, net.cidr.prefix_len());
        give_host_address(&ifname, address, gateway)
            .await
            .map_err(|source| StartError::HostAddress {
                host: spec.name,
                source,
            })?;
    }
    Ok(fabric)
}

/// Completes asynchronous actions when their time comes.
async fn clockwork(state: Arc<State>, machines: Arc<Machines>, stop: CancellationToken) {
    /// Pause when nothing is pending. A missed wake-up would delay a completion by at most this time.
    const IDLE: Duration = Duration::from_secs(60);
    loop {
        let (next, changes) = state.with_cloud(|cloud, _| (cloud.next_due(), cloud.take_changes()));
        machines.follow(changes);
        // Virtual time jumps when calls wait and end, so this task has nothing to wait for.
        let pause = match state.clock.mode() {
            ClockMode::Real => next.map_or(IDLE, |at| state.clock.until(at).min(IDLE)),
            ClockMode::Virtual | ClockMode::Stepped => IDLE,
        };
        // Cancel safe: all three branches only wait, and the due transitions are looked up again afterwards.
        tokio::select! {
            () = stop.cancelled() => return,
            () = state.changed.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
