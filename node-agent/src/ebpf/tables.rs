//! Reads and writes the maps.

use aya::{
    Pod,
    maps::{HashMap, Map as AnyMap, MapData, MapError, PerCpuArray},
};
use terway_ebpf_abi::{Counter, maps};
use terway_node_core::object::entry::Map;

use super::{EbpfError, Programs};

/// Keys and values of a map.
type Entries<M> = Vec<(<M as Map>::Key, <M as Map>::Value)>;

impl Programs {
    /// All entries of a map, or an error: half a map is never taken for the whole. Only the agent writes, so nothing
    /// moves while this reads.
    pub fn entries<M: Map>(&self) -> Result<Entries<M>, EbpfError>
    where
        M::Key: Pod,
        M::Value: Pod,
    {
        let map = self
            .ebpf
            .map(M::NAME)
            .ok_or(EbpfError::Missing { what: M::NAME })?;
        let map: HashMap<&MapData, M::Key, M::Value> = map.try_into().map_err(failed(M::NAME))?;
        map.iter().collect::<Result<_, _>>().map_err(failed(M::NAME))
    }

    /// Makes an entry, or changes its value.
    pub fn put<M: Map>(&mut self, key: M::Key, value: M::Value) -> Result<(), EbpfError>
    where
        M::Key: Pod,
        M::Value: Pod,
    {
        let mut map: HashMap<&mut MapData, M::Key, M::Value> =
            self.map_mut(M::NAME)?.try_into().map_err(failed(M::NAME))?;
        map.insert(key, value, 0).map_err(failed(M::NAME))
    }

    /// Removes an entry. An absent entry counts as removed.
    pub fn remove<M: Map>(&mut self, key: M::Key) -> Result<(), EbpfError>
    where
        M::Key: Pod,
        M::Value: Pod,
    {
        let mut map: HashMap<&mut MapData, M::Key, M::Value> =
            self.map_mut(M::NAME)?.try_into().map_err(failed(M::NAME))?;
        match map.remove(&key) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(e)) if e.io_error.raw_os_error() == Some(nix::libc::ENOENT) => Ok(()),
            Err(source) => Err(failed(M::NAME)(source)),
        }
    }

    /// Packets per outcome since the maps were made, all CPUs together.
    pub fn counters(&self) -> Result<Vec<(Counter, u64)>, EbpfError> {
        let name = maps::COUNTERS;
        let map = self.ebpf.map(name).ok_or(EbpfError::Missing { what: name })?;
        let map: PerCpuArray<&MapData, u64> = map.try_into().map_err(failed(name))?;
        let read = |counter: Counter| {
            let values = map.get(&counter.slot(), 0).map_err(failed(name))?;
            Ok((counter, values.iter().sum()))
        };
        Counter::ALL.into_iter().map(read).collect()
    }

    fn map_mut(&mut self, name: &'static str) -> Result<&mut AnyMap, EbpfError> {
        self.ebpf.map_mut(name).ok_or(EbpfError::Missing { what: name })
    }
}

fn failed(map: &'static str) -> impl Fn(MapError) -> EbpfError {
    move |source| EbpfError::Map { map, source }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, path::Path, thread};

    use aya::maps::PerCpuValues;
    use nix::{
        mount::{MsFlags, mount},
        sched::{CloneFlags, unshare},
    };
    use terway_ebpf_abi::{InterfaceAddress, MAX_ENTRIES, PushTag};
    use terway_node_core::object::Push;

    use super::*;

    const PINS: &str = "/sys/fs/bpf/terway";

    /// Runs a test on a thread that has a BPF file system of its own.
    fn with_pins(test: impl FnOnce() + Send) {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNS).expect("unshare: these tests need root");
                let none: Option<&str> = None;
                mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
                mount(Some("bpf"), "/sys/fs/bpf", Some("bpf"), MsFlags::empty(), none).unwrap();
                test();
            });
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn load() -> Programs {
        Programs::load(Path::new(PINS)).unwrap()
    }

    fn key(ip: &str) -> InterfaceAddress {
        InterfaceAddress::new(3, ip.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn entries_outlive_the_agent_are_changed_in_place_and_can_be_removed_twice() {
        with_pins(|| {
            let mut programs = load();
            assert_eq!(programs.entries::<Push>().unwrap(), []);
            for ip in ["10.0.16.1", "fd00::1"] {
                programs.put::<Push>(key(ip), PushTag::new(11, 101)).unwrap();
            }
            programs
                .put::<Push>(key("10.0.16.1"), PushTag::new(12, 102))
                .unwrap();
            drop(programs);
            let mut programs = load();
            let mut all = programs.entries::<Push>().unwrap();
            all.sort_by_key(|(key, _)| *key);
            let expected = [
                (key("10.0.16.1"), PushTag::new(12, 102)),
                (key("fd00::1"), PushTag::new(11, 101)),
            ];
            assert_eq!(all, expected);
            for _ in 0..2 {
                programs.remove::<Push>(key("fd00::1")).unwrap();
            }
            assert_eq!(programs.entries::<Push>().unwrap(), expected[..1]);
        });
    }

    #[test]
    fn a_full_map_is_read_whole_and_the_next_entry_is_refused_with_the_maps_name() {
        with_pins(|| {
            let mut programs = load();
            let address = |number: usize| IpAddr::from((number as u32).to_be_bytes());
            let key = |number| InterfaceAddress::new(3, address(number));
            for number in 0..MAX_ENTRIES {
                programs.put::<Push>(key(number), PushTag::new(11, 101)).unwrap();
            }
            let refused = programs.put::<Push>(key(MAX_ENTRIES), PushTag::new(11, 101));
            let told = terway_process::error_chain(&refused.unwrap_err());
            assert!(told.contains("MEMBER_PUSH"), "{told}");
            assert_eq!(programs.entries::<Push>().unwrap().len(), MAX_ENTRIES);
        });
    }

    #[test]
    fn a_counter_is_the_sum_of_all_cpus_and_outlives_the_agent() {
        with_pins(|| {
            let mut programs = load();
            let cpus = aya::util::nr_cpus().unwrap() as u64;
            let map = programs.map_mut(maps::COUNTERS).unwrap();
            let mut map: PerCpuArray<&mut MapData, u64> = map.try_into().unwrap();
            let values = PerCpuValues::try_from((1..=cpus).collect::<Vec<_>>()).unwrap();
            map.set(Counter::PopArp.slot(), values, 0).unwrap();
            drop(programs);
            for (counter, count) in load().counters().unwrap() {
                let expected = if counter == Counter::PopArp {
                    cpus * (cpus + 1) / 2
                } else {
                    0
                };
                assert_eq!(count, expected, "{}", counter.name());
            }
        });
    }
}
