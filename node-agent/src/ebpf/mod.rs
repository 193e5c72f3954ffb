//! Loads the eBPF programs, pins them with their maps, and reads and writes the maps. Nothing else knows the loading
//! library, but for the bound that keys and values are plain bytes (`datapath/kernel/entry.rs`).

mod error;
mod pins;
mod tables;
mod tcx;

use std::{
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
    path::Path,
};

use aya::{
    Ebpf, EbpfLoader,
    programs::{ProgramError, ProgramFd, SchedClassifier},
};
use terway_ebpf_abi::maps;
use terway_node_core::program::{Program, ProgramIds};

use crate::refusal;

pub use error::EbpfError;
pub use pins::mount_where_missing;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/terway.bpf.o"));

/// The loaded programs and their maps.
pub struct Programs {
    ebpf: Ebpf,
    ids: ProgramIds,
    tcx: bool,
}

impl Programs {
    /// Loads the programs with the maps that are pinned below `directory`, or with new maps. Filters that carry older
    /// programs go on working until they are replaced.
    pub fn load(directory: &Path) -> Result<Self, EbpfError> {
        if OBJECT.is_empty() {
            return Err(EbpfError::NotBuilt);
        }
        let pins = pins::prepare(directory)?;
        let mut loader = EbpfLoader::new();
        for map in maps::ALL {
            loader.map_pin_path(map, pins.join(map));
        }
        let mut ebpf = loader.load(OBJECT).map_err(|source| EbpfError::Load {
            cause: refusal::of_bpf(&source),
            source: Box::new(source),
        })?;
        let mut ids = ProgramIds::default();
        for program in Program::ALL {
            let classifier = classifier(&mut ebpf, program)?;
            let failed = |source| failed(program, source);
            classifier.load().map_err(failed)?;
            ids.0.insert(program, classifier.info().map_err(failed)?.id());
            pins::replace(classifier, &pins.join(program.name()))?;
        }
        Ok(Self {
            ids,
            tcx: tcx::is_supported(),
            ebpf,
        })
    }

    /// Ids of the loaded programs.
    pub fn ids(&self) -> &ProgramIds {
        &self.ids
    }

    /// The descriptor of a program for a filter. Valid as long as `self`.
    pub fn descriptor(&mut self, program: Program) -> Result<RawFd, EbpfError> {
        let classifier = classifier(&mut self.ebpf, program)?;
        let fd = classifier.fd().map_err(|source| failed(program, source))?;
        Ok(fd.as_fd().as_raw_fd())
    }

    /// Whether the kernel has [`Hook::Tcx`](terway_node_core::object::filter::Hook::Tcx).
    pub fn has_tcx(&self) -> bool {
        self.tcx
    }

    /// The id of the program of the same name that is attached to the interface itself.
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

    /// Detaches the program from the interface itself.
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
}

fn attached(ifindex: u32, program: Program) -> Result<Option<ProgramFd>, EbpfError> {
    let info = tcx::attached(ifindex, program).map_err(|source| failed(program, source))?;
    let fd = info.map(|info| info.fd()).transpose();
    fd.map_err(|source| failed(program, source))
}

fn failed(program: Program, source: ProgramError) -> EbpfError {
    EbpfError::Program {
        program: program.name(),
        cause: refusal::of_bpf(&source),
        source,
    }
}

fn classifier(ebpf: &mut Ebpf, program: Program) -> Result<&mut SchedClassifier, EbpfError> {
    let found = ebpf
        .program_mut(program.name())
        .ok_or(EbpfError::Missing { what: program.name() })?;
    found.try_into().map_err(|source| failed(program, source))
}
