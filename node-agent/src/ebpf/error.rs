//! Errors of the eBPF programs and their maps.

use std::{io, path::PathBuf};

use aya::{maps::MapError, pin::PinError, programs::ProgramError};

use crate::refusal::Cause;

/// A failure, with the program, map or path that it is about.
#[derive(Debug, thiserror::Error)]
pub enum EbpfError {
    #[error(
        "this agent was built without its eBPF programs (TERWAY_EBPF_SKIP=1); build it again without that variable"
    )]
    NotBuilt,
    #[error("no BPF file system below {}; mount one on the host (mount -t bpf bpf /sys/fs/bpf){cause}", path.display())]
    NoBpfFs {
        path: PathBuf,
        cause: Cause,
        source: io::Error,
    },
    #[error("cannot prepare the pin directory {}{cause}", path.display())]
    PinDirectory {
        path: PathBuf,
        cause: Cause,
        source: io::Error,
    },
    #[error("cannot load the eBPF object, which needs a kernel with BTF (CONFIG_DEBUG_INFO_BTF){cause}")]
    Load {
        cause: Cause,
        source: Box<aya::EbpfError>,
    },
    #[error("cannot load the eBPF program {program}{cause}")]
    Program {
        program: &'static str,
        cause: Cause,
        source: ProgramError,
    },
    #[error("cannot attach {program} to interface {ifindex}, or take it off")]
    Attach {
        program: &'static str,
        ifindex: u32,
        source: io::Error,
    },
    #[error("cannot pin {}", path.display())]
    Pin { path: PathBuf, source: PinError },
    #[error("cannot use the eBPF map {map}")]
    Map { map: &'static str, source: MapError },
    #[error("the eBPF object has no {what}; agent and object are of different versions")]
    Missing { what: &'static str },
}
