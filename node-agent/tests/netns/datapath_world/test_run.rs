//! One loaded program on one frame, by the kernel's `BPF_PROG_TEST_RUN` (`net/bpf/test_run.c`).

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use nix::libc;
use terway_agent::datapath::DatapathConfig;
use terway_node_core::program::Program;

/// Verdicts of a classifier (`linux/pkt_cls.h`).
pub const UNSPEC: i32 = -1;
pub const SHOT: i32 = 2;

/// Result of one run.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub verdict: i32,
    /// The frame's bytes after the run. The tag that the kernel keeps beside the frame is not among them.
    pub frame: Vec<u8>,
}

/// Runs the program of the agent `repeat` times on the same frame, on this interface.
pub fn run(program: Program, ifindex: u32, frame: &[u8], repeat: u32) -> Run {
    run_on(&pinned(program), (0, ifindex), frame, repeat)
}

/// Runs the program of the agent on a frame that has come in by one interface and is at another.
pub fn run_forwarded(program: Program, (from, at): (u32, u32), frame: &[u8], repeat: u32) -> Run {
    run_on(&pinned(program), (from, at), frame, repeat)
}

/// Runs the program of the agent on a frame with this tag. The kernel takes no tag from its caller, so a
/// program of the test puts the tag on and calls the program of the agent.
pub fn run_tagged(program: Program, tag: u16, ifindex: u32, frame: &[u8]) -> Run {
    let agents = pinned(program);
    let programs = program_array(agents.fd().unwrap().as_fd().as_raw_fd()).unwrap();
    let tagger = load(&tagger(tag, programs.as_raw_fd())).unwrap();
    let path = format!("/sys/fs/bpf/tagger-{tag}");
    pin(&tagger, &path).unwrap();
    let tagger = SchedClassifier::from_pin(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    run_on(&tagger, (0, ifindex), frame, 1)
}

fn pinned(program: Program) -> SchedClassifier {
    let version = format!("v{}", terway_ebpf_abi::VERSION);
    let path = DatapathConfig::default()
        .pin_directory
        .join(version)
        .join(program.name());
    SchedClassifier::from_pin(path).unwrap()
}

fn run_on(program: &SchedClassifier, (from, at): (u32, u32), frame: &[u8], repeat: u32) -> Run {
    /// Of `struct __sk_buff` the fields up to `ingress_ifindex` and `ifindex`, the last ones that are set.
    const CONTEXT: usize = 44;
    let mut context = [0; CONTEXT];
    context[CONTEXT - 8..CONTEXT - 4].copy_from_slice(&from.to_ne_bytes());
    context[CONTEXT - 4..].copy_from_slice(&at.to_ne_bytes());
    let mut out = vec![0; 2048];
    let result = program
        .test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            repeat,
            ..TestRunOptions::new()
        })
        .unwrap();
    out.truncate(result.data_size_out as usize);
    Run {
        verdict: result.return_value.cast_signed(),
        frame: out,
    }
}

/// A program that puts the tag on and goes on as the first program of the array. It returns 77 when there is none.
fn tagger(tag: u16, programs: RawFd) -> [u64; 11] {
    const CONTEXT: u64 = 6;
    const SKB_VLAN_PUSH: u32 = 18;
    const TAIL_CALL: u32 = 12;
    const MAP_BY_DESCRIPTOR: u64 = 1;
    // Operation code, destination, source, offset and immediate value (`struct bpf_insn`).
    let copy = |to: u64, from: u64| 0xbf | to << 8 | from << 12;
    let set = |to: u64, value: u32| 0xb7 | to << 8 | u64::from(value) << 32;
    let call = |function: u32| 0x85 | u64::from(function) << 32;
    let map = u64::from(programs.cast_unsigned()) << 32;
    [
        copy(CONTEXT, 1),
        set(2, u32::from(0x8100_u16.to_be())),
        set(3, u32::from(tag)),
        call(SKB_VLAN_PUSH),
        copy(1, CONTEXT),
        0x18 | 2 << 8 | MAP_BY_DESCRIPTOR << 12 | map,
        0,
        set(3, 0),
        call(TAIL_CALL),
        set(0, 77),
        0x95,
    ]
}

fn program_array(program: RawFd) -> io::Result<OwnedFd> {
    const MAP_CREATE: libc::c_long = 0;
    const MAP_UPDATE: libc::c_long = 2;
    const PROGRAM_ARRAY: u32 = 3;
    // Type, size of a key, size of a value, entries.
    let array = descriptor(bpf(MAP_CREATE, &[PROGRAM_ARRAY, 4, 4, 1])?);
    let (key, value) = (0_u32, program.cast_unsigned());
    let map = u64::from(array.as_raw_fd().cast_unsigned());
    let update = [
        map,
        (&raw const key).addr() as u64,
        (&raw const value).addr() as u64,
        0,
    ];
    bpf(MAP_UPDATE, &update)?;
    Ok(array)
}

fn load(instructions: &[u64]) -> io::Result<OwnedFd> {
    const PROG_LOAD: libc::c_long = 5;
    const CLASSIFIER: u64 = 3;
    let licence = c"Apache-2.0";
    // Type and number of instructions share a word; then the instructions and the licence.
    let load = [
        CLASSIFIER | (instructions.len() as u64) << 32,
        instructions.as_ptr().expose_provenance() as u64,
        licence.as_ptr().expose_provenance() as u64,
    ];
    bpf(PROG_LOAD, &load).map(descriptor)
}

fn pin(program: &OwnedFd, path: &str) -> io::Result<()> {
    const OBJ_PIN: libc::c_long = 6;
    let path = CString::new(path).unwrap();
    let program = u64::from(program.as_raw_fd().cast_unsigned());
    bpf(OBJ_PIN, &[path.as_ptr().expose_provenance() as u64, program]).map(drop)
}

#[allow(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper for programs made of instructions"
)]
fn bpf<T, const N: usize>(command: libc::c_long, attributes: &[T; N]) -> io::Result<RawFd> {
    // SAFETY: the attributes are integers, have the size that is told, and outlive the call, as does all that they
    // point to: each caller keeps it in a local variable.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_ptr(),
            size_of_val(attributes),
        )
    };
    RawFd::try_from(result)
        .ok()
        .filter(|result| *result >= 0)
        .ok_or_else(io::Error::last_os_error)
}

#[allow(unsafe_code, reason = "the kernel hands descriptors over as plain numbers")]
fn descriptor(number: RawFd) -> OwnedFd {
    // SAFETY: bpf(2) has just opened this descriptor and nothing else knows its number.
    unsafe { OwnedFd::from_raw_fd(number) }
}
