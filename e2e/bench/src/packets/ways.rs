//! The ways of packets: those of the product, and a plain one beside each.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::Context;
use terway_agent::datapath::{Carrier, Datapath, DatapathConfig, NicLink, PodInterface, Sandbox, VlanId};

use super::traffic::End;
use crate::node::namespace::{inside, new, run};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 253);
/// VLAN of both members. Nothing between the two trunks translates VLANs.
const VLAN: u16 = 101;
/// MTU of the tunnel that stands for the wire between two NICs.
const MTU: u32 = 1500;

/// A node: its namespace, its NIC, and the datapath.
pub struct Node {
    netns: OwnedFd,
    number: u8,
    datapath: Datapath,
}

/// Two pods with a veth between them.
pub fn direct() -> anyhow::Result<(End, End)> {
    let ends = (end(10, 9, 0, 1)?, end(10, 9, 0, 2)?);
    inside(&ends.0.netns, || {
        run(&format!(
            "ip link add eth0 type veth peer name eth0 netns {}; ip addr add 10.9.0.1/24 dev eth0; ip link set eth0 up",
            path(&ends.1.netns)
        ))
    })?;
    inside(&ends.1.netns, || {
        run("ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up")
    })?;
    Ok(ends)
}

/// Two nodes whose NICs `eth1` (of the product) and `eth2` (plain) are joined. A tunnel stands for each wire, because
/// the agent does not take a veth for a NIC.
pub async fn nodes() -> anyhow::Result<[Node; 2]> {
    let netns = [new()?, new()?];
    inside(&netns[0], || {
        run(&format!(
            "ip link add eth0 mtu 9000 type veth peer name eth0 netns {}",
            path(&netns[1])
        ))
    })?;
    let [first, second] = netns;
    Ok([node(first, 1).await?, node(second, 2).await?])
}

async fn node(netns: OwnedFd, number: u8) -> anyhow::Result<Node> {
    let other = 3 - number;
    inside(&netns, || {
        run(&format!(
            "ip addr add 192.168.0.{number}/24 dev eth0; ip link set eth0 mtu 9000 up; sysctl -qw net.ipv4.ip_forward=1"
        ))?;
        for nic in [1, 2] {
            run(&format!(
                "ip link add eth{nic} mtu {MTU} address 00:16:3e:00:0{nic}:0{number} type vxlan id {nic} \
                 local 192.168.0.{number} remote 192.168.0.{other} dstport 4789 dev eth0"
            ))?;
        }
        run(&format!(
            "ip addr add 10.8.0.{number}/24 dev eth2; ip link set eth2 up"
        ))
    })?;
    let config = DatapathConfig {
        node_ip: Some(Ipv4Addr::new(192, 168, 0, number).into()),
        pin_directory: format!("/sys/fs/bpf/node{number}").into(),
        host_netns: Some(netns.as_fd().try_clone_to_owned()?),
        ..DatapathConfig::default()
    };
    let datapath = Datapath::start(config).await.context("starting the datapath")?;
    Ok(Node {
        netns,
        number,
        datapath,
    })
}

impl Node {
    /// A pod behind a plain veth. Its node routes to `eth2`.
    pub fn plain_pod(&self) -> anyhow::Result<End> {
        let (number, other) = (self.number, 3 - self.number);
        let pod = end(10, 7, number, 2)?;
        inside(&self.netns, || {
            run(&format!(
                "ip link add plain0 type veth peer name eth0 netns {}; ip addr add 10.7.{number}.1/24 dev plain0; \
                 ip link set plain0 up; ip route add 10.7.{other}.0/24 via 10.8.0.{other}",
                path(&pod.netns)
            ))
        })?;
        inside(&pod.netns, || {
            run(&format!(
                "ip addr add 10.7.{number}.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.7.{number}.1"
            ))
        })?;
        Ok(pod)
    }

    /// A pod with an address of the NIC itself.
    pub async fn shared_pod(&self, number: u8) -> anyhow::Result<End> {
        self.pod(end(10, 0, 17, number)?, None).await
    }

    /// A pod with a member ENI behind the trunk. The other node's trunk is its gateway.
    pub async fn member_pod(&self) -> anyhow::Result<End> {
        let pod = self.pod(end(10, 0, 16, self.number)?, Some(VLAN)).await?;
        let other = 3 - self.number;
        inside(&self.netns, || {
            run(&format!(
                "ip neigh replace {GATEWAY} lladdr 00:16:3e:00:01:0{other} dev eth1 nud permanent"
            ))
        })?;
        Ok(pod)
    }

    async fn pod(&self, pod: End, vlan: Option<u16>) -> anyhow::Result<End> {
        let name = format!("web-{}", pod.ip);
        let nic = NicLink {
            mac: [0, 0x16, 0x3e, 0, 1, self.number],
            gateway: GATEWAY.into(),
        };
        let carrier = match vlan.and_then(VlanId::new) {
            Some(vlan) => Carrier::Member { trunk: nic, vlan },
            None => Carrier::Shared { nic },
        };
        let interface = PodInterface {
            sandbox: Sandbox {
                container_id: name.clone(),
                pod_uid: format!("uid-{name}"),
                ifname: "eth0".into(),
                attachment: "eth0".into(),
            },
            namespace: "bench".into(),
            pod_name: name,
            ip: pod.ip.into(),
            carrier,
            mtu: MTU,
            default_route: true,
            extra_routes: Vec::new(),
            host_stack_cidrs: Vec::new(),
            shaped: false,
        };
        let netns = pod.netns.as_fd().try_clone_to_owned()?;
        tokio::time::timeout(Duration::from_secs(30), self.datapath.add(interface, netns))
            .await
            .context("the pod's interface was not made in time")?
            .context("making the pod's interface")?;
        Ok(pod)
    }
}

fn end(a: u8, b: u8, c: u8, d: u8) -> anyhow::Result<End> {
    Ok(End {
        netns: new()?,
        ip: Ipv4Addr::new(a, b, c, d),
    })
}

/// A namespace as `ip` takes it.
fn path(netns: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), netns.as_raw_fd())
}
