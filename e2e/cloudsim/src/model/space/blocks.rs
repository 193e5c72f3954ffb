//! Blocks of a vSwitch that are reserved for prefixes, and the prefixes out of them.

use super::super::error::{self, ApiError};
use super::super::family::{Address, Prefix};
use super::super::ranges::Span;
use super::AddressSpace;

/// A block reserved for prefixes.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub span: Span,
    /// Whether prefixes can be had from it yet.
    open: bool,
    /// Prefixes that ENIs have of it.
    given: u32,
}

/// How many prefixes of a reserved block ENIs have, and how many can still be had.
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

    /// The first part of the vSwitch, of `length` bits, that is free to become a block.
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

    /// Reserves a block for prefixes, closed at first. Addresses that somebody has in it stay
    /// his; their prefixes cannot be had until he gives them back.
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

    /// Opens or closes a block: only of an open one can prefixes be had.
    pub fn set_open(&mut self, first: A, open: bool) {
        if let Some(block) = self.blocks.get_mut(&first.number()) {
            block.open = open;
        }
    }

    /// Ends a reservation; its free addresses are the vSwitch's again.
    pub fn unreserve(&mut self, first: A) {
        if let Some(block) = self.blocks.remove(&first.number()) {
            self.free += block.span.size() - self.taken.count_in(&block.span);
        }
    }

    /// How a block is used.
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
