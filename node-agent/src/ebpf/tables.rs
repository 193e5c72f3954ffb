//! Typed hash maps: what the agent writes and reads back.

use aya::{
    Ebpf, Pod,
    maps::{HashMap, Map, MapData, MapError, PerCpuArray},
};
use terway_ebpf_abi::maps;

use super::EbpfError;

/// One hash map and its name.
pub struct Table<K: Pod, V: Pod> {
    name: &'static str,
    map: HashMap<MapData, K, V>,
}

impl<K: Pod, V: Pod> Table<K, V> {
    /// Takes the map out of the loaded object.
    pub fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, EbpfError> {
        let map = take(ebpf, name)?;
        let map = map
            .try_into()
            .map_err(|source| EbpfError::Map { map: name, source })?;
        Ok(Self { name, map })
    }

    /// All entries, or an error: half a map is never taken for the whole. Only the agent
    /// writes, so nothing moves while this reads.
    pub fn entries(&self) -> Result<impl Iterator<Item = (K, V)>, EbpfError> {
        let all: Result<Vec<_>, _> = self.map.iter().collect();
        all.map(Vec::into_iter).map_err(|source| self.failed(source))
    }

    pub fn put(&mut self, key: K, value: V) -> Result<(), EbpfError> {
        self.map.insert(key, value, 0).map_err(|source| EbpfError::Map {
            map: self.name,
            source,
        })
    }

    /// Removes an entry; one that is not there is removed already.
    pub fn remove(&mut self, key: K) -> Result<(), EbpfError> {
        match self.map.remove(&key) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(e)) if e.io_error.raw_os_error() == Some(nix::libc::ENOENT) => Ok(()),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn failed(&self, source: MapError) -> EbpfError {
        EbpfError::Map {
            map: self.name,
            source,
        }
    }
}

/// Takes the counters out of the loaded object.
pub fn take_counters(ebpf: &mut Ebpf) -> Result<PerCpuArray<MapData, u64>, EbpfError> {
    let map = take(ebpf, maps::COUNTERS)?;
    map.try_into().map_err(|source| EbpfError::Map {
        map: maps::COUNTERS,
        source,
    })
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, EbpfError> {
    ebpf.take_map(name).ok_or(EbpfError::Missing { what: name })
}
