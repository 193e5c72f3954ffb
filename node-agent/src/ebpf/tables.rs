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
