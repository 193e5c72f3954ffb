//! Captures of single ENIs in the classic pcap format.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    time::{Duration, SystemTime},
};

/// Magic number for time stamps in nanoseconds, in the byte order of this machine (the Internet draft on the pcap
/// format, draft-ietf-opsawg-pcap).
const MAGIC: u32 = 0xa1b2_3c4d;
const SNAPLEN: u32 = 65_535;
const LINKTYPE_ETHERNET: u32 = 1;

/// An open capture file. Readers tell the byte order from its magic number.
#[derive(Debug)]
pub struct Capture<W: Write = BufWriter<File>> {
    out: W,
}

impl Capture {
    /// Creates or empties the file and writes its header.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut capture = Self::new(BufWriter::new(File::create(path)?))?;
        capture.flush()?;
        Ok(capture)
    }
}

impl<W: Write> Capture<W> {
    fn new(mut out: W) -> io::Result<Self> {
        let mut header = [0; 24];
        header[..4].copy_from_slice(&MAGIC.to_ne_bytes());
        header[4..6].copy_from_slice(&2u16.to_ne_bytes()); // format 2.4
        header[6..8].copy_from_slice(&4u16.to_ne_bytes());
        header[16..20].copy_from_slice(&SNAPLEN.to_ne_bytes());
        header[20..].copy_from_slice(&LINKTYPE_ETHERNET.to_ne_bytes());
        out.write_all(&header)?;
        Ok(Self { out })
    }

    /// Appends a frame, given in parts.
    pub fn record(&mut self, now: SystemTime, parts: &[&[u8]]) -> io::Result<()> {
        let since = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // Seconds wrap in 2106, as the format has it.
        for word in [
            since.as_secs() as u32,
            since.subsec_nanos(),
            length as u32,
            length as u32,
        ] {
            self.out.write_all(&word.to_ne_bytes())?;
        }
        parts.iter().try_for_each(|part| self.out.write_all(part))
    }

    /// Writes all buffered frames to the file.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_in_parts_becomes_one_record() {
        let mut bytes = Vec::new();
        let mut capture = Capture::new(&mut bytes).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::new(7, 9);
        capture.record(at, &[b"head", b"payload"]).unwrap();
        assert_eq!(bytes.len(), 24 + 16 + 11);
        assert_eq!(bytes[..4], MAGIC.to_ne_bytes());
        let words: Vec<u32> = bytes[24..40]
            .chunks(4)
            .map(|word| u32::from_ne_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(words, [7, 9, 11, 11]);
        assert_eq!(&bytes[40..], b"headpayload");
    }
}
