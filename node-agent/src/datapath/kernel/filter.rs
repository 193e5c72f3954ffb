//! Attached eBPF programs: filters on clsact over netlink, programs of an interface itself by the loader.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
};
use terway_node_core::{
    object::{Driver, Filter, Listed as _, filter::Hook},
    observed::{Ask, Breadth, Observed},
    ownership::{self, Direction},
    program::Program,
};

use super::{
    error::{ObserveError, StepError},
    namespace::Namespace,
    netlink::{Netlink, NetlinkError},
    repeat::{absent, present},
};

/// Filters see every protocol (`ETH_P_ALL`, linux/if_ether.h).
const ALL_PROTOCOLS: u16 = 3;
/// `ETH_P_IP`, linux/if_ether.h.
const IPV4: u16 = 0x0800;

impl Driver<Filter> for Namespace<'_> {
    fn observe(&mut self, ask: &Ask<'_>, seen: &mut Observed) -> Result<(), ObserveError> {
        let tcx = self.programs.has_tcx();
        for link in &ask.links.0 {
            for filter in Filter::possible_on(link, tcx) {
                if ask.breadth == Breadth::Narrow && !ask.wanted.has(&filter.key()) {
                    continue;
                }
                let id = match filter.hook {
                    Hook::Tcx(link) => self.programs.attached(link, filter.program)?,
                    Hook::Clsact(link) => find(self.netlink, link, filter.program)?,
                };
                if let Some(id) = id {
                    seen.state.put(filter, id);
                }
            }
        }
        Ok(())
    }

    /// The kernel swaps the program of a filter that is there without a moment in which neither runs.
    fn put(&mut self, filter: &Filter, _: &u32) -> Result<(), StepError> {
        let program = filter.program;
        let link = match filter.hook {
            Hook::Tcx(link) => return Ok(self.programs.attach(link, program)?),
            Hook::Clsact(link) => link,
        };
        let qdisc = RouteNetlinkMessage::NewQueueDiscipline(clsact(link));
        present(
            self.netlink
                .change("add clsact to a link", qdisc, NLM_F_CREATE | NLM_F_EXCL),
        )?;
        let new = carrying(link, program, self.programs.descriptor(program)?);
        let new = RouteNetlinkMessage::NewTrafficFilter(new);
        self.netlink
            .change("attach a filter", new, NLM_F_CREATE | NLM_F_REPLACE)?;
        Ok(())
    }

    fn remove(&mut self, filter: &Filter) -> Result<(), StepError> {
        match filter.hook {
            Hook::Tcx(link) => self.programs.detach(link, filter.program)?,
            Hook::Clsact(link) => {
                let old = RouteNetlinkMessage::DelTrafficFilter(slot(link, filter.program));
                absent(self.netlink.change("remove a filter", old, 0))?;
            }
        }
        Ok(())
    }
}

/// A message with all filters of upstream's IPvlan datapath on an ENI.
pub fn upstreams(link: u32) -> TcMessage {
    let mut message = tc(link, parent(Direction::Egress));
    message.header.info = info(ownership::UPSTREAM_IPVLAN_PRIORITY, IPV4);
    message
}

/// The kernel's id of the program in a slot.
fn find(netlink: &mut Netlink, link: u32, program: Program) -> Result<Option<u32>, NetlinkError> {
    let (_, direction) = ownership::filter_place(program);
    let all = RouteNetlinkMessage::GetTrafficFilter(tc(link, parent(direction)));
    let replies = netlink.dump("list filters", all)?;
    Ok(replies.into_iter().find_map(|reply| match reply {
        RouteNetlinkMessage::NewTrafficFilter(m) => program_id(&m, program),
        _ => None,
    }))
}

/// The queueing discipline that carries the filters of both directions.
fn clsact(link: u32) -> TcMessage {
    let mut message = tc(link, TcHandle::CLSACT);
    message.header.handle = TcHandle {
        major: 0xffff,
        minor: 0,
    };
    message.attributes.push(TcAttribute::Kind("clsact".into()));
    message
}

/// A message with the slot of a program's filter.
fn slot(link: u32, program: Program) -> TcMessage {
    let (priority, direction) = ownership::filter_place(program);
    let mut message = tc(link, parent(direction));
    message.header.handle = ownership::FILTER_HANDLE.into();
    message.header.info = info(priority, ALL_PROTOCOLS);
    message.attributes.push(TcAttribute::Kind("bpf".into()));
    message
}

/// A filter that carries a program in direct-action mode.
fn carrying(link: u32, program: Program, descriptor: i32) -> TcMessage {
    let mut message = slot(link, program);
    message.attributes.push(TcAttribute::Options(vec![
        // A descriptor is never negative, so the cast keeps its value.
        TcOption::Bpf(TcFilterBpfOption::ProgFd(descriptor.cast_unsigned())),
        TcOption::Bpf(TcFilterBpfOption::ProgName(format!("terway/{}", program.name()))),
        TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
    ]));
    message
}

/// The kernel's id of a filter's program, if the filter is in the slot of this one.
pub(super) fn program_id(message: &TcMessage, program: Program) -> Option<u32> {
    let (priority, _) = ownership::filter_place(program);
    let ours = message.header.info >> 16 == u32::from(priority)
        && u32::from(message.header.handle) == ownership::FILTER_HANDLE
        && message.attributes.contains(&TcAttribute::Kind("bpf".into()));
    if !ours {
        return None;
    }
    message.attributes.iter().find_map(|a| match a {
        TcAttribute::Options(options) => options.iter().find_map(|o| match o {
            TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
            _ => None,
        }),
        _ => None,
    })
}

fn tc(link: u32, parent: TcHandle) -> TcMessage {
    // The kernel's interface numbers are positive signed integers.
    let mut message = TcMessage::with_index(link.cast_signed());
    message.header.parent = parent;
    message
}

/// Priority and protocol as the kernel packs them (`TC_H_MAKE` of tcm_info, linux/pkt_sched.h).
fn info(priority: u16, protocol: u16) -> u32 {
    u32::from(priority) << 16 | u32::from(protocol.to_be())
}

fn parent(direction: Direction) -> TcHandle {
    let minor = match direction {
        Direction::Ingress => TcHandle::MIN_INGRESS,
        Direction::Egress => TcHandle::MIN_EGRESS,
    };
    TcHandle { major: 0xffff, minor }
}
