//! Ids, MAC addresses and request ids. The same seed gives the same ids.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::eni::Mac;

const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// The vendor part of the MAC addresses of ENIs (examples of the ECS API page DescribeNetworkInterfaces).
const VENDOR: [u8; 3] = [0x00, 0x16, 0x3e];
/// Multiplier for MAC addresses. It is odd, so that its multiples visit every 24-bit number once.
const STRIDE: u32 = 0x9e_3779;

/// Generates ids.
#[derive(Debug)]
pub struct IdMaker {
    random: StdRng,
    serial: u64,
    mac_offset: u32,
}

impl IdMaker {
    /// A generator whose ids depend on `seed` alone.
    pub fn new(seed: u64) -> IdMaker {
        let mut random = StdRng::seed_from_u64(seed);
        let mac_offset = random.random();
        IdMaker {
            random,
            serial: 0,
            mac_offset,
        }
    }

    /// The next serial, from 1.
    pub fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// An id of the form the cloud uses, such as `eni-bp1…`.
    pub fn id(&mut self, prefix: &str) -> String {
        let mut id = format!("{prefix}-bp1");
        for _ in 0..17 {
            id.push(char::from(ALPHABET[self.random.random_range(0..ALPHABET.len())]));
        }
        id
    }

    /// The MAC of the ENI with this serial; unique for 16 million ENIs.
    pub fn mac(&self, serial: u64) -> Mac {
        let low = (serial as u32).wrapping_mul(STRIDE).wrapping_add(self.mac_offset);
        let [_, a, b, c] = low.to_be_bytes();
        Mac([VENDOR[0], VENDOR[1], VENDOR[2], a, b, c])
    }
}
