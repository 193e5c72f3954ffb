//! The address space of a vSwitch: which addresses are free, taken or the system's own.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::error::{self, ApiError};

/// Addresses the system keeps at each end of a vSwitch.
const RESERVED_AT_EACH_END: u32 = 3;

/// One bit per address of a vSwitch.
#[derive(Debug, Clone)]
pub struct AddressSpace {
    cidr: Ipv4Net,
    taken: Vec<u64>,
    free: u32,
    /// Free addresses that are given to nobody.
    withheld: u32,
    /// Where the search for a free address goes on, so that a released address is not
    /// handed out again at once.
    cursor: u32,
}

impl AddressSpace {
    /// The space of `cidr`, of which the first and the last three addresses are the system's.
    pub fn new(cidr: Ipv4Net, withheld: u32) -> AddressSpace {
        let size = 1u32 << (32 - cidr.prefix_len());
        AddressSpace {
            cidr: cidr.trunc(),
            taken: vec![0; size.div_ceil(64) as usize],
            free: size - 2 * RESERVED_AT_EACH_END,
            withheld,
            cursor: RESERVED_AT_EACH_END,
        }
    }

    /// The vSwitch's gateway: the third-last address.
    pub fn gateway(cidr: Ipv4Net) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(cidr.broadcast()).saturating_sub(2))
    }

    /// Addresses that can still be had.
    pub fn available(&self) -> u32 {
        self.free.saturating_sub(self.withheld)
    }

    /// Free addresses that are given to nobody.
    pub fn withheld(&self) -> u32 {
        self.withheld
    }

    /// Withholds this many free addresses from now on.
    pub fn withhold(&mut self, addresses: u32) {
        self.withheld = addresses;
    }

    /// Whether an address is the system's own.
    pub fn reserved(&self, address: Ipv4Addr) -> bool {
        self.offset(address).is_some_and(|offset| {
            offset < RESERVED_AT_EACH_END || offset >= self.size() - RESERVED_AT_EACH_END
        })
    }

    /// Takes the next free address.
    pub fn take_next(&mut self) -> Result<Ipv4Addr, ApiError> {
        if self.available() == 0 {
            return Err(error::VSWITCH_FULL.because("The specified VSwitch has not enough IP addresses."));
        }
        let usable = self.size() - 2 * RESERVED_AT_EACH_END;
        let start = self.cursor - RESERVED_AT_EACH_END;
        let offset = (0..usable)
            .map(|step| RESERVED_AT_EACH_END + (start + step) % usable)
            .find(|&offset| !self.is_taken(offset))
            .ok_or_else(|| {
                error::VSWITCH_FULL.because("The specified VSwitch has not enough IP addresses.")
            })?;
        self.cursor = if offset + 1 >= self.size() - RESERVED_AT_EACH_END {
            RESERVED_AT_EACH_END
        } else {
            offset + 1
        };
        self.mark(offset);
        Ok(self.address(offset))
    }

    /// Takes one address.
    pub fn take(&mut self, address: Ipv4Addr) -> Result<(), ApiError> {
        let offset = self.usable_offset(address)?;
        if self.is_taken(offset) {
            return Err(
                error::ADDRESS_TAKEN.because(format!("The specified IP {address} is already assigned."))
            );
        }
        if self.available() == 0 {
            return Err(error::VSWITCH_FULL.because("The specified VSwitch has not enough IP addresses."));
        }
        self.mark(offset);
        Ok(())
    }

    /// Gives an address back.
    pub fn release(&mut self, address: Ipv4Addr) {
        if let Some(offset) = self.offset(address)
            && self.is_taken(offset)
        {
            self.taken[(offset / 64) as usize] &= !(1 << (offset % 64));
            self.free += 1;
        }
    }

    fn usable_offset(&self, address: Ipv4Addr) -> Result<u32, ApiError> {
        match self.offset(address) {
            Some(offset) if !self.reserved(address) => Ok(offset),
            _ => Err(error::ADDRESS_OUTSIDE.because(format!(
                "The specified IP {address} is not usable in the VSwitch."
            ))),
        }
    }

    fn size(&self) -> u32 {
        1 << (32 - self.cidr.prefix_len())
    }

    fn offset(&self, address: Ipv4Addr) -> Option<u32> {
        self.cidr
            .contains(&address)
            .then(|| u32::from(address) - u32::from(self.cidr.network()))
    }

    fn address(&self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.cidr.network()) + offset)
    }

    fn is_taken(&self, offset: u32) -> bool {
        self.taken[(offset / 64) as usize] & (1 << (offset % 64)) != 0
    }

    fn mark(&mut self, offset: u32) {
        self.taken[(offset / 64) as usize] |= 1 << (offset % 64);
        self.free -= 1;
    }
}
