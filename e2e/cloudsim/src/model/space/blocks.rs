//! Blocks of a vSwitch that are reserved for prefixes, and the prefixes from these blocks.

use super::super::error::{self, ApiError};
use super::super::family::{Address, Prefix};
use super::super::ranges::Span;
use super::AddressSpace;

/// A block reserved for prefixes.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub span: Span,
    /// Whether prefixes are given from the block.
    open: bool,
    /// Number of prefixes of the block that ENIs have.
    given: u32,
}

/// Number of prefixes of a reserved block that ENIs have, and that are still available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockUse {
    pub given: u32,
    pub available: u64,
}

impl<A: Address> AddressSpace<A> {
    /// Takes the next free prefix of the open blocks.
    pub(super) fn take_next_prefix(&mut self) -> Result<Prefix<A>, ApiError> {
        let open = self.blocks.values().filter(|block| block.open);
        let first = open
            .filter_map(|block| self.taken.first_gap(&block.span, A::prefix_size()))
            .next()
            .ok_or_else(|| {
                error::VSWITCH_FULL.because(format!(
                    "The reserved {} CIDR blocks of the specified VSwitch have not enough prefixes.",
                    A::FAMILY
                ))
            })?;
        let prefix = Prefix {
            first: A::from_number(first),
        };
        self.take_prefix(prefix).map(|()| prefix)
    }

    pub(super) fn take_prefix(&mut self, prefix: Prefix<A>) -> Result<(), ApiError> {
        let span = prefix.span();
        let block = self
            .blocks
            .range_mut(..=span.first)
            .next_back()
            .map(|(_, block)| block)
            .filter(|block| block.open && block.span.contains(&span))
            .ok_or_else(|| {
                error::ADDRESS_OUTSIDE.because(format!(
                    "The specified prefix {prefix} is in no reserved CIDR block of the VSwitch."
                ))
            })?;
        if self.taken.overlaps(&span) {
            return Err(
                error::ADDRESS_TAKEN.because(format!("The specified prefix {prefix} is already assigned."))
            );
        }
        block.given += 1;
        self.taken.insert(span);
        Ok(())
    }

    pub(super) fn release_prefix(&mut self, prefix: Prefix<A>) {
        let span = prefix.span();
        if !self.taken.remove(span) {
            return;
        }
        if let Some((_, block)) = self.blocks.range_mut(..=span.first).next_back() {
            block.given = block.given.saturating_sub(1);
        }
    }

    pub(super) fn block_at(&self, number: u128) -> Option<&Block> {
        let (_, block) = self.blocks.range(..=number).next_back()?;
        (number <= block.span.last).then_some(block)
    }

    /// The first free part of the vSwitch with a prefix of `length` bits.
    pub fn room_for_block(&self, length: u8) -> Option<A> {
        let size = 1u128 << (A::BITS - length);
        let mut within = self.usable;
        loop {
            let first = self.taken.first_gap(&within, size)?;
            let span = Span::sized(first, size);
            match self.blocks.values().find(|block| block.span.overlaps(&span)) {
                None => return Some(A::from_number(first)),
                Some(block) => within.first = block.span.last.checked_add(1)?,
            }
        }
    }

    /// Reserves a closed block. Addresses of the block that an ENI has stay with the ENI. A prefix that contains such
    /// an address is not given until the ENI gives the address back.
    pub fn reserve(&mut self, span: Span) -> Result<(), ApiError> {
        if !self.cidr.contains(&span) || self.cidr == span {
            return Err(error::RESERVATION_CIDR
                .because("The reserved CIDR block must be a proper subset of that of the VSwitch."));
        }
        if !self.usable.contains(&span) {
            return Err(error::RESERVATION_CIDR
                .because("The reserved CIDR block contains addresses that the system keeps."));
        }
        if self.blocks.values().any(|block| block.span.overlaps(&span)) {
            return Err(error::RESERVATION_CONFLICT
                .because("The reserved CIDR block overlaps another one of the VSwitch."));
        }
        self.free -= span.size() - self.taken.count_in(&span);
        let block = Block {
            span,
            open: false,
            given: 0,
        };
        self.blocks.insert(span.first, block);
        Ok(())
    }

    /// Opens or closes a block. Prefixes are given only from open blocks.
    pub fn set_open(&mut self, first: A, open: bool) {
        if let Some(block) = self.blocks.get_mut(&first.number()) {
            block.open = open;
        }
    }

    /// Ends a reservation. The vSwitch gives the block's free addresses again.
    pub fn unreserve(&mut self, first: A) {
        if let Some(block) = self.blocks.remove(&first.number()) {
            self.free += block.span.size() - self.taken.count_in(&block.span);
        }
    }

    /// The use of a block.
    pub fn block_use(&self, first: A) -> Option<BlockUse> {
        let block = self.blocks.get(&first.number())?;
        let size = A::prefix_size();
        let mut touched = 0;
        // A prefix that two ranges touch counts once.
        let mut next = block.span.first / size;
        for part in self.taken.parts(&block.span) {
            let (from, to) = ((part.first / size).max(next), part.last / size);
            touched += (to + 1).saturating_sub(from);
            next = to + 1;
        }
        Some(BlockUse {
            given: block.given,
            available: u64::try_from(block.span.size() / size - touched).unwrap_or(u64::MAX),
        })
    }
}
