//! The address space of a vSwitch in one family. An address is free, taken, the system's own, or in a reserved block
//! that only prefixes come from.

mod blocks;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::error::{self, ApiError};
use super::family::{Address, Held, Prefix, Wanted};
use super::ranges::{Ranges, Span};
use blocks::Block;

pub use blocks::BlockUse;

/// The addresses of a vSwitch.
#[derive(Debug, Clone)]
pub struct AddressSpace<A> {
    cidr: Span,
    /// The addresses without those that the system keeps at both ends.
    usable: Span,
    /// Addresses that are given, one by one or as prefixes.
    taken: Ranges,
    /// Reserved blocks by their first address.
    blocks: BTreeMap<u128, Block>,
    /// Number of usable addresses that are neither taken nor in a block.
    free: u128,
    /// Number of free addresses that nobody gets.
    withheld: u32,
    /// Where the next search for a free address begins, so that a released address is not given again at once.
    cursor: u128,
    family: PhantomData<A>,
}

impl AddressSpace<Ipv4Addr> {
    /// The vSwitch's gateway: the third-last address (VPC user guide, vSwitches).
    pub fn gateway(cidr: Ipv4Net) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(cidr.broadcast()).saturating_sub(2))
    }

    /// The vSwitch's IPv6 gateway: the ninth-last address (unverified).
    pub fn gateway_ipv6(cidr: Ipv6Net) -> Ipv6Addr {
        Ipv6Addr::from(u128::from(cidr.broadcast()).saturating_sub(8))
    }
}

impl<A: Address> AddressSpace<A> {
    /// The space of the block with a prefix of `length` bits that contains `network`.
    pub fn new(network: A, length: u8, withheld: u32) -> AddressSpace<A> {
        let cidr = network.block(length);
        let usable = Span {
            first: cidr.first + A::KEPT_AT_START,
            last: cidr.last - A::KEPT_AT_END,
        };
        AddressSpace {
            cidr,
            usable,
            taken: Ranges::default(),
            blocks: BTreeMap::new(),
            free: usable.size(),
            withheld,
            cursor: usable.first,
            family: PhantomData,
        }
    }

    /// Number of single addresses that are available.
    pub fn available(&self) -> u32 {
        let free = self.free.saturating_sub(self.withheld.into());
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// Number of free addresses that nobody gets.
    pub fn withheld(&self) -> u32 {
        self.withheld
    }

    /// Withholds this many free addresses from now on.
    pub fn withhold(&mut self, addresses: u32) {
        self.withheld = addresses;
    }

    /// Takes all requested addresses and prefixes, or nothing.
    pub fn claim(&mut self, wanted: &Wanted<A>) -> Result<Held<A>, ApiError> {
        let mut held = Held::default();
        let outcome = self.claim_into(wanted, &mut held);
        if outcome.is_err() {
            self.give_back(&held.addresses, &held.prefixes);
        }
        outcome.map(|()| held)
    }

    fn claim_into(&mut self, wanted: &Wanted<A>, held: &mut Held<A>) -> Result<(), ApiError> {
        for &address in &wanted.listed {
            self.take(address)?;
            held.addresses.push(address);
        }
        for _ in 0..wanted.count {
            held.addresses.push(self.take_next()?);
        }
        for &prefix in &wanted.prefixes {
            self.take_prefix(prefix)?;
            held.prefixes.push(prefix);
        }
        for _ in 0..wanted.prefix_count {
            held.prefixes.push(self.take_next_prefix()?);
        }
        Ok(())
    }

    /// Gives addresses and prefixes back.
    pub fn give_back(&mut self, addresses: &[A], prefixes: &[Prefix<A>]) {
        addresses.iter().for_each(|address| self.release(*address));
        prefixes.iter().for_each(|prefix| self.release_prefix(*prefix));
    }

    /// Takes the next free address.
    pub fn take_next(&mut self) -> Result<A, ApiError> {
        if self.available() == 0 {
            return Err(full());
        }
        let to_the_end = Span {
            first: self.cursor,
            last: self.usable.last,
        };
        let number = self
            .next_free(to_the_end)
            .or_else(|| self.next_free(self.usable))
            .ok_or_else(full)?;
        self.cursor = if number < self.usable.last {
            number + 1
        } else {
            self.usable.first
        };
        self.taken.insert(Span::of(number));
        self.free -= 1;
        Ok(A::from_number(number))
    }

    /// The first address within `span` that is neither taken nor in a block.
    fn next_free(&self, mut span: Span) -> Option<u128> {
        loop {
            let number = self.taken.first_gap(&span, 1)?;
            match self.block_at(number) {
                None => return Some(number),
                Some(block) if block.span.last < span.last => span.first = block.span.last + 1,
                Some(_) => return None,
            }
        }
    }

    /// Takes one address.
    pub fn take(&mut self, address: A) -> Result<(), ApiError> {
        let span = Span::of(address.number());
        if !self.usable.contains(&span) || self.block_at(span.first).is_some() {
            return Err(error::ADDRESS_OUTSIDE.because(format!(
                "The specified IP {address} is not usable in the VSwitch."
            )));
        }
        if self.taken.overlaps(&span) {
            return Err(
                error::ADDRESS_TAKEN.because(format!("The specified IP {address} is already assigned."))
            );
        }
        if self.available() == 0 {
            return Err(full());
        }
        self.taken.insert(span);
        self.free -= 1;
        Ok(())
    }

    /// Gives an address back.
    pub fn release(&mut self, address: A) {
        let number = address.number();
        if self.taken.remove(Span::of(number)) && self.block_at(number).is_none() {
            self.free += 1;
        }
    }
}

fn full() -> ApiError {
    error::VSWITCH_FULL.because("The specified VSwitch has not enough IP addresses.")
}

#[cfg(test)]
mod tests;
