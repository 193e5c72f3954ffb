//! Loads the eBPF programs, pins them with their maps, and reads and writes the maps.
//! The only place that knows aya.

mod error;
mod pins;
mod tables;
mod tcx;

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
    path::Path,
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, PerCpuArray},
    programs::{ProgramError, ProgramFd, SchedClassifier},
};
use terway_ebpf_abi::{Counter, InterfaceAddress, PodHardware, PopTarget, PushTag, TaggedAddress, maps};

pub use error::EbpfError;
use tables::Table;
use terway_node_core::program::{InterfaceIp, PopKey, Program, ProgramIds, PushValue};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/terway.bpf.o"));

/// The loaded programs and their maps.
pub struct Programs {
    ebpf: Ebpf,
    ids: ProgramIds,
    pops: Table<TaggedAddress, PopTarget>,
    pushes: Table<InterfaceAddress, PushTag>,
    sources: Table<InterfaceAddress, PodHardware>,
    counters: PerCpuArray<MapData, u64>,
    tcx: bool,
}

impl Programs {
    /// Loads the programs with the maps that are pinned below `directory`, or with new
    /// ones. Filters that carry older programs go on working until they are replaced.
    pub fn load(directory: &Path) -> Result<Self, EbpfError> {
        if OBJECT.is_empty() {
            return Err(EbpfError::NotBuilt);
        }
        let pins = pins::prepare(directory)?;
        let mut loader = EbpfLoader::new();
        for map in [maps::POP, maps::PUSH, maps::SOURCE, maps::COUNTERS] {
            loader.map_pin_path(map, pins.join(map));
        }
        let mut ebpf = loader.load(OBJECT).map_err(|source| EbpfError::Load {
            what: "the eBPF object",
            source: Box::new(source),
        })?;
        let mut ids = ProgramIds::default();
        for program in Program::ALL {
            let classifier = classifier(&mut ebpf, program)?;
            let failed = |source| EbpfError::Program {
                program: program.name(),
                source,
            };
            classifier.load().map_err(failed)?;
            ids.0.insert(program, classifier.info().map_err(failed)?.id());
            pins::replace(classifier, &pins.join(program.name()))?;
        }
        Ok(Self {
            ids,
            pops: Table::take(&mut ebpf, maps::POP)?,
            pushes: Table::take(&mut ebpf, maps::PUSH)?,
            sources: Table::take(&mut ebpf, maps::SOURCE)?,
            counters: tables::take_counters(&mut ebpf)?,
            tcx: tcx::is_supported(),
            ebpf,
        })
    }

    /// Ids of the loaded programs.
    pub fn ids(&self) -> &ProgramIds {
        &self.ids
    }

    /// The descriptor to put into a filter. Valid as long as `self`.
    pub fn descriptor(&mut self, program: Program) -> Result<RawFd, EbpfError> {
        let classifier = classifier(&mut self.ebpf, program)?;
        let fd = classifier.fd().map_err(|source| EbpfError::Program {
            program: program.name(),
            source,
        })?;
        Ok(fd.as_fd().as_raw_fd())
    }

    /// Whether the kernel has [`Hook::Interface`].
    pub fn has_tcx(&self) -> bool {
        self.tcx
    }

    /// The id of the program that is attached to the interface itself in this one's name.
    pub fn attached(&self, ifindex: u32, program: Program) -> Result<Option<u32>, EbpfError> {
        let found = tcx::attached(ifindex, program).map_err(|source| failed(program, source))?;
        Ok(found.map(|info| info.id()))
    }

    /// Attaches the program to the interface itself, in place of an older one.
    pub fn attach(&mut self, ifindex: u32, program: Program) -> Result<(), EbpfError> {
        let old = attached(ifindex, program)?;
        let new = classifier(&mut self.ebpf, program)?.fd();
        let new = new.map_err(|source| failed(program, source))?;
        let old = old.as_ref().map(|fd| fd.as_fd());
        tcx::attach(ifindex, new.as_fd(), old).map_err(|source| EbpfError::Attach {
            program: program.name(),
            ifindex,
            source,
        })
    }

    /// Takes it off again.
    pub fn detach(&mut self, ifindex: u32, program: Program) -> Result<(), EbpfError> {
        let Some(attached) = attached(ifindex, program)? else {
            return Ok(());
        };
        tcx::detach(ifindex, attached.as_fd()).map_err(|source| EbpfError::Attach {
            program: program.name(),
            ifindex,
            source,
        })
    }

    /// (trunk, VLAN, destination) to host veth.
    pub fn pops(&self) -> Result<BTreeMap<PopKey, u32>, EbpfError> {
        let all = self.pops.entries()?;
        Ok(all
            .map(|(k, v)| ((k.ifindex, k.vlan, narrow(k.address)), v.host_ifindex))
            .collect())
    }

    /// (trunk, source) to (VLAN, host veth).
    pub fn pushes(&self) -> Result<BTreeMap<InterfaceIp, PushValue>, EbpfError> {
        let all = self.pushes.entries()?;
        Ok(all
            .map(|(k, v)| ((k.ifindex, narrow(k.address)), (v.vlan, v.host_ifindex)))
            .collect())
    }

    /// (host veth, pod address) to pod MAC.
    pub fn sources(&self) -> Result<BTreeMap<InterfaceIp, [u8; 6]>, EbpfError> {
        let all = self.sources.entries()?;
        Ok(all
            .map(|(k, v)| ((k.ifindex, narrow(k.address)), v.mac))
            .collect())
    }

    pub fn put_pop(&mut self, (trunk, vlan, ip): PopKey, veth: u32) -> Result<(), EbpfError> {
        self.pops.put(
            TaggedAddress::ipv4(trunk, vlan, ip.octets()),
            PopTarget { host_ifindex: veth },
        )
    }

    pub fn put_push(&mut self, (trunk, ip): InterfaceIp, vlan: u16, veth: u32) -> Result<(), EbpfError> {
        self.pushes.put(
            InterfaceAddress::ipv4(trunk, ip.octets()),
            PushTag::new(veth, vlan),
        )
    }

    pub fn put_source(&mut self, (veth, ip): InterfaceIp, mac: [u8; 6]) -> Result<(), EbpfError> {
        self.sources
            .put(InterfaceAddress::ipv4(veth, ip.octets()), PodHardware::new(mac))
    }

    pub fn remove_pop(&mut self, (trunk, vlan, ip): PopKey) -> Result<(), EbpfError> {
        self.pops.remove(TaggedAddress::ipv4(trunk, vlan, ip.octets()))
    }

    pub fn remove_push(&mut self, (trunk, ip): InterfaceIp) -> Result<(), EbpfError> {
        self.pushes.remove(InterfaceAddress::ipv4(trunk, ip.octets()))
    }

    pub fn remove_source(&mut self, (veth, ip): InterfaceIp) -> Result<(), EbpfError> {
        self.sources.remove(InterfaceAddress::ipv4(veth, ip.octets()))
    }

    /// Packets per outcome since the maps were made, all CPUs together.
    pub fn counters(&self) -> Result<Vec<(Counter, u64)>, EbpfError> {
        let read = |counter: Counter| {
            let values = self.counters.get(&counter.slot(), 0);
            let values = values.map_err(|source| EbpfError::Map {
                map: maps::COUNTERS,
                source,
            })?;
            Ok((counter, values.iter().sum()))
        };
        Counter::ALL.into_iter().map(read).collect()
    }
}

fn attached(ifindex: u32, program: Program) -> Result<Option<ProgramFd>, EbpfError> {
    let info = tcx::attached(ifindex, program).map_err(|source| failed(program, source))?;
    let fd = info.map(|info| info.fd()).transpose();
    fd.map_err(|source| failed(program, source))
}

fn failed(program: Program, source: ProgramError) -> EbpfError {
    EbpfError::Program {
        program: program.name(),
        source,
    }
}

fn classifier(ebpf: &mut Ebpf, program: Program) -> Result<&mut SchedClassifier, EbpfError> {
    let found = ebpf
        .program_mut(program.name())
        .ok_or(EbpfError::Missing { what: program.name() })?;
    found.try_into().map_err(|source| EbpfError::Program {
        program: program.name(),
        source,
    })
}

/// Keys hold 16 bytes for IPv6 to come; an IPv4 address is in the first four.
fn narrow(address: [u8; 16]) -> Ipv4Addr {
    let [a, b, c, d, ..] = address;
    Ipv4Addr::new(a, b, c, d)
}
