//! Why the kernel denied an act: the cause that follows from the error number and from facts about this process. The
//! kernel's own answer is only "Operation not permitted" or "Permission denied".

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;

use nix::errno::Errno;

/// Numbers of capabilities (`include/uapi/linux/capability.h`).
const DAC_OVERRIDE: u32 = 1;
const SYS_ADMIN: u32 = 21;
const SYS_RESOURCE: u32 = 24;
const BPF: u32 = 39;

/// What this process may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// The effective capabilities, one bit each.
    capabilities: u64,
    /// RLIMIT_MEMLOCK in bytes; `None` when it is unlimited.
    memlock: Option<u64>,
    /// The label of AppArmor or SELinux that confines the process.
    label: Option<String>,
}

/// Why an act was denied. Its text begins with `"; "`, so that it can follow any sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Kernels before 5.11 charge maps and programs to RLIMIT_MEMLOCK.
    Memlock { bytes: u64 },
    /// A capability that the process lacks.
    Capability(&'static str),
    /// A label of AppArmor or SELinux.
    Label(String),
    /// No fact of this process tells the cause.
    Unknown,
}

impl Rights {
    /// The rights of this process. A fact that cannot be read explains nothing and counts as none.
    #[must_use]
    pub fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        Self::from_texts(
            &text("/proc/self/status"),
            &text("/proc/self/limits"),
            &text("/proc/self/attr/current"),
        )
    }

    fn from_texts(status: &str, limits: &str, label: &str) -> Self {
        let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let capabilities = capabilities.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        let memlock = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max locked memory"));
        let memlock = memlock.and_then(|line| line.split_whitespace().next()?.parse().ok());
        let label = label.trim_end_matches(['\0', '\n']);
        // AppArmor says "unconfined". SELinux has types that may do everything.
        let free = label.is_empty()
            || ["unconfined", "spc_t", "kernel_t"]
                .iter()
                .any(|free| label.contains(free));
        Self {
            capabilities: capabilities.unwrap_or(u64::MAX),
            memlock,
            label: (!free).then(|| label.to_owned()),
        }
    }

    fn has(&self, capability: u32) -> bool {
        self.capabilities & (1 << capability) != 0
    }

    /// Why a system call of eBPF was denied.
    fn denied_bpf(&self, errno: Errno) -> Cause {
        match errno {
            Errno::EPERM if !self.has(BPF) && !self.has(SYS_ADMIN) => Cause::Capability("BPF"),
            Errno::EPERM => match self.memlock {
                Some(bytes) if !self.has(SYS_RESOURCE) => Cause::Memlock { bytes },
                _ => Cause::Unknown,
            },
            Errno::EACCES => self.label(),
            _ => Cause::Unknown,
        }
    }

    /// Why a file or a folder was denied.
    fn denied_file(&self, errno: Errno) -> Cause {
        match errno {
            Errno::EACCES if !self.has(DAC_OVERRIDE) && self.label.is_none() => {
                Cause::Capability("DAC_OVERRIDE")
            }
            Errno::EACCES => self.label(),
            _ => Cause::Unknown,
        }
    }

    /// Why a mount was denied.
    fn denied_mount(&self, errno: Errno) -> Cause {
        match errno {
            Errno::EPERM if !self.has(SYS_ADMIN) => Cause::Capability("SYS_ADMIN"),
            Errno::EACCES => self.label(),
            _ => Cause::Unknown,
        }
    }

    fn label(&self) -> Cause {
        self.label.clone().map_or(Cause::Unknown, Cause::Label)
    }
}

/// Why this process could not make a map or load a program.
#[must_use]
pub fn of_bpf(error: &(dyn Error + 'static)) -> Cause {
    errno(error).map_or(Cause::Unknown, |errno| Rights::read().denied_bpf(errno))
}

/// Why this process could not write or remove a file or a folder.
#[must_use]
pub fn of_file(error: &io::Error) -> Cause {
    errno(error).map_or(Cause::Unknown, |errno| Rights::read().denied_file(errno))
}

/// Why this process could not mount a file system.
#[must_use]
pub fn of_mount(error: &io::Error) -> Cause {
    errno(error).map_or(Cause::Unknown, |errno| Rights::read().denied_mount(errno))
}

/// The error number at the end of a chain of errors.
fn errno(error: &(dyn Error + 'static)) -> Option<Errno> {
    let mut next = Some(error);
    while let Some(error) = next {
        let number = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        if let Some(number) = number {
            return Some(Errno::from_raw(number));
        }
        next = error.source();
    }
    None
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memlock { bytes } => write!(
                f,
                "; RLIMIT_MEMLOCK is {} KiB, and kernels before 5.11 charge maps to it: give the container the \
                 capability SYS_RESOURCE, as the chart does, or raise the runtime's limit (LimitMEMLOCK=infinity)",
                bytes / 1024
            ),
            Self::Capability(name) => write!(
                f,
                "; the process lacks the capability {name}, which the chart gives"
            ),
            Self::Label(label) => write!(
                f,
                "; the label {label:?} confines the process: run it as AppArmor's unconfined or SELinux's spc_t, as the \
                 chart does"
            ),
            Self::Unknown => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                          Max locked memory         65536                65536                bytes     \n";

    fn rights(capabilities: &str, label: &str) -> Rights {
        Rights::from_texts(&format!("Name:\tx\nCapEff:\t{capabilities}\n"), LIMITS, label)
    }

    /// NET_ADMIN, SYS_ADMIN, PERFMON and BPF, as the kernel prints them.
    const FOUR: &str = "000000c000201000";
    const ALL: &str = "000001ffffffffff";

    #[test]
    fn a_map_that_the_limit_forbids_is_not_blamed_on_a_capability_that_is_there() {
        let four = rights(FOUR, "unconfined\n");
        assert_eq!(four.denied_bpf(Errno::EPERM), Cause::Memlock { bytes: 65536 });
        let text = four.denied_bpf(Errno::EPERM).to_string();
        assert!(text.contains("64 KiB") && text.contains("SYS_RESOURCE"), "{text}");
        let none = rights("0", "");
        assert_eq!(none.denied_bpf(Errno::EPERM), Cause::Capability("BPF"));
        assert_eq!(rights(ALL, "").denied_bpf(Errno::EPERM), Cause::Unknown);
        let unlimited = LIMITS.replace("65536 ", "unlimited ");
        let free = Rights::from_texts(&format!("CapEff:\t{FOUR}"), &unlimited, "");
        assert_eq!(free.denied_bpf(Errno::EPERM), Cause::Unknown);
    }

    #[test]
    fn a_label_is_named_unless_it_confines_nothing() {
        let confined = rights(FOUR, "cri-containerd.apparmor.d (enforce)\n");
        let text = confined.denied_file(Errno::EACCES).to_string();
        assert!(text.contains("cri-containerd.apparmor.d (enforce)"), "{text}");
        assert_eq!(confined.denied_mount(Errno::EACCES), confined.label());
        for free in ["unconfined\n", "", "system_u:system_r:spc_t:s0\0"] {
            assert_eq!(
                rights(ALL, free).denied_file(Errno::EACCES),
                Cause::Unknown,
                "{free}"
            );
        }
        let selinux = rights(ALL, "system_u:system_r:container_t:s0:c1,c2\0");
        assert!(matches!(selinux.denied_file(Errno::EACCES), Cause::Label(_)));
    }

    #[test]
    fn a_folder_of_another_user_needs_dac_override() {
        let four = rights(FOUR, "");
        assert_eq!(four.denied_file(Errno::EACCES), Cause::Capability("DAC_OVERRIDE"));
        assert_eq!(four.denied_file(Errno::ENOSPC), Cause::Unknown);
        assert_eq!(Cause::Unknown.to_string(), "");
    }

    #[test]
    fn the_number_is_found_below_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("above")]
        struct Above(#[source] io::Error);
        let above = Above(io::Error::from_raw_os_error(nix::libc::EPERM));
        assert_eq!(errno(&above), Some(Errno::EPERM));
        assert_eq!(errno(&Above(io::Error::other("no number"))), None);
    }
}
