//! Reads the messages of a reply: its end, and the kernel's own words about a refusal.

use std::io;

use netlink_packet_core::{
    DecodeError, NLM_F_ACK_TLVS, NLM_F_CAPPED, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NlasIterator,
};
use nix::libc;

use super::NetlinkError;

/// Bytes of a message's header (`struct nlmsghdr`). Messages start at multiples of four bytes.
const HEADER: usize = 16;

/// An object of a reply as the kernel wrote it. A dump contains the objects of everybody, and a single one that the
/// library cannot decode must not hide the others.
#[derive(Clone, Debug)]
pub struct Raw {
    pub header: NetlinkHeader,
    pub body: Vec<u8>,
}

impl NetlinkDeserializable for Raw {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, body: &[u8]) -> Result<Self, DecodeError> {
        Ok(Raw {
            header: *header,
            body: body.to_vec(),
        })
    }
}

/// The end of a reply: an acknowledgement, a refusal, or the end of a dump.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    /// An error number, or zero.
    code: i32,
    words: Option<String>,
}

impl End {
    /// The end that this message tells; none for a message with an object.
    pub fn of(packet: &NetlinkMessage<Raw>) -> Option<Self> {
        let flags = packet.header.flags;
        let (code, words) = match &packet.payload {
            NetlinkPayload::Error(error) => (error.raw_code(), words_of_refusal(flags, &error.header)),
            NetlinkPayload::Done(done) => (done.code, words(flags, &done.extended_ack)),
            NetlinkPayload::Overrun(_) => (-libc::ENOBUFS, None),
            _ => return None,
        };
        Some(End {
            code: code.saturating_abs(),
            words,
        })
    }

    pub fn into_result(self, act: &'static str) -> Result<(), NetlinkError> {
        if self.code == 0 {
            return Ok(());
        }
        Err(NetlinkError::Refused {
            act,
            words: self.words,
            source: io::Error::from_raw_os_error(self.code),
        })
    }
}

/// The kernel's text in an error message. The request comes before the text: its header alone, or the whole of it
/// (`netlink_ack` in `net/netlink/af_netlink.c`).
fn words_of_refusal(flags: u16, body: &[u8]) -> Option<String> {
    let request = if flags & NLM_F_CAPPED != 0 {
        HEADER
    } else {
        u32::from_ne_bytes(*body.first_chunk()?) as usize
    };
    words(flags, body.get(request.next_multiple_of(4)..)?)
}

/// The kernel's text among the attributes of an extended acknowledgement.
fn words(flags: u16, attributes: &[u8]) -> Option<String> {
    /// `NLMSGERR_ATTR_MSG` of `linux/netlink.h`.
    const MESSAGE: u16 = 1;
    if flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let message = NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|attribute| attribute.kind() == MESSAGE)?;
    let text = message.value().split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// The messages of one datagram.
pub fn packets(bytes: &[u8]) -> impl Iterator<Item = Result<NetlinkMessage<Raw>, DecodeError>> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let packet = NetlinkMessage::deserialize(rest);
        // A length of zero would never end.
        let length = packet.as_ref().map_or(rest.len(), |p| {
            (p.header.length as usize).max(HEADER).next_multiple_of(4)
        });
        rest = rest.get(length..).unwrap_or_default();
        Some(packet)
    })
}

#[cfg(test)]
mod tests;
