//! All ENIs, with indexes that keep calls fast with a hundred thousand ENIs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::net::Ipv4Addr;
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;

use super::eni::Eni;
use super::history::{Past, SeenEnis};

type Serials = BTreeSet<u64>;

/// ENIs by serial, which is their order of creation, and indexes for the filters of listings.
#[derive(Debug, Default)]
pub struct EniTable {
    rows: BTreeMap<u64, Eni>,
    ids: HashMap<Arc<str>, u64>,
    /// An address has more than one ENI only if VPCs overlap.
    addresses: HashMap<Ipv4Addr, Serials>,
    instances: HashMap<Arc<str>, Serials>,
    trunks: HashMap<Arc<str>, Serials>,
    tags: HashMap<(Arc<str>, Arc<str>), Serials>,
    groups: HashMap<Arc<str>, usize>,
    /// The time of the next changes.
    pub(super) now: Timestamp,
    /// The values that changes replaced.
    pub(super) past: Past<u64, Option<Eni>>,
    /// The moment that listings show; the present when absent.
    pub(super) seen_at: Option<Timestamp>,
}

/// The rows that a listing reads.
#[derive(Debug)]
pub enum Candidates<'a> {
    All,
    Indexed(&'a Serials),
    Picked(Serials),
    None,
}

impl Candidates<'_> {
    /// Number of rows that the listing reads.
    pub fn size(&self) -> usize {
        match self {
            Candidates::All => usize::MAX,
            Candidates::Indexed(serials) => serials.len(),
            Candidates::Picked(serials) => serials.len(),
            Candidates::None => 0,
        }
    }
}

impl EniTable {
    /// Number of ENIs.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Adds an ENI whose serial and id are new.
    pub fn insert(&mut self, eni: Eni) {
        self.ids.insert(eni.id.clone(), eni.serial);
        if self.past.kept() {
            self.past.note(self.now, eni.serial, None);
        }
        self.index(&eni);
        self.rows.insert(eni.serial, eni);
    }

    /// Removes an ENI.
    pub fn remove(&mut self, id: &str) -> Option<Eni> {
        let serial = self.ids.remove(id)?;
        let eni = self.rows.remove(&serial)?;
        self.unindex(&eni);
        if self.past.kept() {
            self.past.note(self.now, serial, Some(eni.clone()));
        }
        Some(eni)
    }

    /// An ENI by id.
    pub fn get(&self, id: &str) -> Option<&Eni> {
        self.rows.get(self.ids.get(id)?)
    }

    /// Changes an ENI and updates the indexes.
    pub fn update<R>(&mut self, id: &str, change: impl FnOnce(&mut Eni) -> R) -> Option<R> {
        let serial = *self.ids.get(id)?;
        let mut eni = self.rows.remove(&serial)?;
        self.unindex(&eni);
        if self.past.kept() {
            self.past.note(self.now, serial, Some(eni.clone()));
        }
        let result = change(&mut eni);
        self.index(&eni);
        self.rows.insert(serial, eni);
        Some(result)
    }

    /// All ENIs in order of creation.
    pub fn iter(&self) -> impl Iterator<Item = &Eni> {
        self.rows.values()
    }

    /// ENIs attached to an instance, or moving to or from it, members included.
    pub fn of_instance(&self, instance: &str) -> impl Iterator<Item = &Eni> {
        self.listed(self.instances.get(instance))
    }

    /// Members of a trunk.
    pub fn of_trunk(&self, trunk: &str) -> impl Iterator<Item = &Eni> {
        self.listed(self.trunks.get(trunk))
    }

    /// Number of addresses that the ENIs of a security group have.
    pub fn addresses_in_group(&self, group: &str) -> usize {
        self.groups.get(group).copied().unwrap_or(0)
    }

    fn listed<'a>(&'a self, serials: Option<&'a Serials>) -> impl Iterator<Item = &'a Eni> {
        serials
            .into_iter()
            .flatten()
            .filter_map(|serial| self.rows.get(serial))
    }

    /// Rows with one of these ids.
    pub fn with_ids(&self, ids: &[String]) -> Candidates<'_> {
        Candidates::Picked(
            ids.iter()
                .filter_map(|id| self.ids.get(id.as_str()).copied())
                .collect(),
        )
    }

    /// Rows with one of these addresses, in any VPC.
    pub fn with_addresses(&self, addresses: &[Ipv4Addr]) -> Candidates<'_> {
        let holders = addresses.iter().filter_map(|address| self.addresses.get(address));
        Candidates::Picked(holders.flatten().copied().collect())
    }

    /// Rows of an instance.
    pub fn with_instance(&self, instance: &str) -> Candidates<'_> {
        self.instances
            .get(instance)
            .map_or(Candidates::None, Candidates::Indexed)
    }

    /// Rows with a tag.
    pub fn with_tag(&self, key: &str, value: &str) -> Candidates<'_> {
        self.tags
            .get(&(Arc::from(key), Arc::from(value)))
            .map_or(Candidates::None, Candidates::Indexed)
    }

    /// The candidates after serial `after`, in order of creation, at the moment that listings show. ENIs that have
    /// changed since that moment are always included, because the indexes know only the present.
    pub fn scan<'a>(
        &'a self,
        candidates: &'a Candidates<'a>,
        after: u64,
    ) -> Box<dyn Iterator<Item = &'a Eni> + 'a> {
        let present = self.scan_present(candidates, after);
        let seen: SeenEnis<'a> = match self.seen_at {
            Some(at) => self.past.since(at),
            None => SeenEnis::new(),
        };
        if seen.is_empty() {
            return present;
        }
        let then: Vec<&Eni> = seen
            .range((Bound::Excluded(after), Bound::Unbounded))
            .filter_map(|(_, eni)| eni.as_ref())
            .collect();
        let mut unchanged = present
            .filter(move |eni| !seen.contains_key(&eni.serial))
            .peekable();
        let mut then = then.into_iter().peekable();
        Box::new(std::iter::from_fn(move || {
            match (unchanged.peek(), then.peek()) {
                (Some(one), Some(other)) if other.serial < one.serial => then.next(),
                (Some(_), _) => unchanged.next(),
                (None, _) => then.next(),
            }
        }))
    }

    fn scan_present<'a>(
        &'a self,
        candidates: &'a Candidates<'a>,
        after: u64,
    ) -> Box<dyn Iterator<Item = &'a Eni> + 'a> {
        let beyond = (Bound::Excluded(after), Bound::Unbounded);
        let picked = |serials: &'a Serials| serials.range(beyond).filter_map(|serial| self.rows.get(serial));
        match candidates {
            Candidates::All => Box::new(self.rows.range(beyond).map(|(_, eni)| eni)),
            Candidates::Indexed(serials) => Box::new(picked(serials)),
            Candidates::Picked(serials) => Box::new(picked(serials)),
            Candidates::None => Box::new(std::iter::empty()),
        }
    }

    fn index(&mut self, eni: &Eni) {
        let serial = eni.serial;
        let mut count = 0;
        for address in eni.addresses() {
            self.addresses.entry(address).or_default().insert(serial);
            count += 1;
        }
        for group in &eni.security_group_ids {
            *self.groups.entry(group.clone()).or_default() += count;
        }
        if let Some(instance) = eni.instance() {
            self.instances.entry(instance.clone()).or_default().insert(serial);
        }
        if let Some(trunk) = eni.trunk() {
            self.trunks.entry(trunk.clone()).or_default().insert(serial);
        }
        for (key, value) in &eni.tags {
            self.tags
                .entry((key.clone(), value.clone()))
                .or_default()
                .insert(serial);
        }
    }

    fn unindex(&mut self, eni: &Eni) {
        let serial = eni.serial;
        let mut count = 0;
        for address in eni.addresses() {
            withdraw(&mut self.addresses, &address, serial);
            count += 1;
        }
        for group in &eni.security_group_ids {
            if let Some(held) = self.groups.get_mut(group) {
                *held = held.saturating_sub(count);
            }
        }
        if let Some(instance) = eni.instance() {
            withdraw(&mut self.instances, instance, serial);
        }
        if let Some(trunk) = eni.trunk() {
            withdraw(&mut self.trunks, trunk, serial);
        }
        for (key, value) in &eni.tags {
            withdraw(&mut self.tags, &(key.clone(), value.clone()), serial);
        }
    }
}

/// Removes a serial from an index, and the entry if this was its last serial.
fn withdraw<K: Eq + Hash>(index: &mut HashMap<K, Serials>, key: &K, serial: u64) {
    if let Some(serials) = index.get_mut(key) {
        serials.remove(&serial);
        if serials.is_empty() {
            index.remove(key);
        }
    }
}
