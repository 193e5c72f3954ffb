//! Netlink attributes and messages of nf_tables as bytes. Numbers are `linux/netfilter/nf_tables.h`'s;
//! those in attributes are big-endian.

use nix::libc;

/// Attributes, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<u8>);

/// Bit of an attribute's type: it holds attributes.
const NESTED: u16 = 0x8000;
const ATTRIBUTE_HEADER: usize = 4;
const MESSAGE_HEADER: usize = 16;
/// Family, version and resource of a netfilter message.
const FAMILY_HEADER: usize = 4;

impl Attributes {
    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        // Every value here is shorter than a page.
        let length = (ATTRIBUTE_HEADER + value.len()) as u16;
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub fn text(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    pub fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub fn nest(self, kind: u16, inner: Attributes) -> Self {
        self.bytes(kind | NESTED, &inner.0)
    }
}

/// A message of one of netfilter's parts.
pub fn message(
    kind: u16,
    flags: u16,
    sequence: u32,
    family: u8,
    resource: u16,
    attributes: &Attributes,
) -> Vec<u8> {
    let length = (MESSAGE_HEADER + FAMILY_HEADER + attributes.0.len()) as u32;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(&attributes.0);
    bytes
}

/// A message as it was received.
#[derive(Debug, PartialEq, Eq)]
pub struct Received<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    body: &'a [u8],
}

impl Received<'_> {
    /// The error number of an acknowledgement or of a dump's end; zero when all is well.
    pub fn outcome(&self) -> Option<i32> {
        let ends = [libc::NLMSG_ERROR, libc::NLMSG_DONE].map(|kind| kind as u16);
        if !ends.contains(&self.kind) {
            return None;
        }
        let code = self
            .body
            .first_chunk::<4>()
            .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        Some(code.abs())
    }

    /// The first attribute of this type.
    pub fn attribute(&self, kind: u16) -> Option<&[u8]> {
        let mut rest = self.body.get(FAMILY_HEADER..)?;
        while let Some((length, found)) = header(rest) {
            let value = rest.get(ATTRIBUTE_HEADER..length)?;
            if found & !NESTED == kind {
                return Some(value);
            }
            rest = rest.get(length.next_multiple_of(4)..)?;
        }
        None
    }
}

fn header(bytes: &[u8]) -> Option<(usize, u16)> {
    let length = u16::from_ne_bytes(*bytes.first_chunk::<2>()?);
    let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk::<2>()?);
    (usize::from(length) >= ATTRIBUTE_HEADER).then_some((usize::from(length), kind))
}

/// The messages of one datagram; `None` in place of one that is cut short.
pub fn received(mut rest: &[u8]) -> impl Iterator<Item = Option<Received<'_>>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let found = one(rest);
        let length = found
            .as_ref()
            .map_or(rest.len(), |(length, _)| length.next_multiple_of(4));
        rest = rest.get(length..).unwrap_or_default();
        Some(found.map(|(_, message)| message))
    })
}

fn one(bytes: &[u8]) -> Option<(usize, Received<'_>)> {
    let length = u32::from_ne_bytes(*bytes.first_chunk::<4>()?) as usize;
    let half = |at: usize| {
        bytes
            .get(at..)?
            .first_chunk::<2>()
            .map(|b| u16::from_ne_bytes(*b))
    };
    let message = Received {
        kind: half(4)?,
        flags: half(6)?,
        sequence: u32::from_ne_bytes(*bytes.get(8..)?.first_chunk::<4>()?),
        body: bytes.get(MESSAGE_HEADER..length)?,
    };
    Some((length, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let inner = Attributes::default().number(1, 7);
        let attributes = Attributes::default()
            .text(1, "abc")
            .nest(4, inner)
            .bytes(7, &[1, 2, 3]);
        let mut bytes = message(0x0a06, 5, 9, 2, 10, &attributes);
        bytes.extend(message(3, 0, 10, 0, 0, &Attributes::default()));
        let all: Vec<_> = received(&bytes).map(Option::unwrap).collect();
        assert_eq!((all[0].kind, all[0].flags, all[0].sequence), (0x0a06, 5, 9));
        assert_eq!(all[0].attribute(1), Some(b"abc\0".as_slice()));
        assert_eq!(all[0].attribute(7), Some([1, 2, 3].as_slice()));
        assert_eq!(all[0].attribute(2), None);
        assert_eq!(all[1].outcome(), Some(0));
    }

    #[test]
    fn a_message_that_is_cut_short_is_told() {
        let bytes = message(3, 0, 1, 0, 0, &Attributes::default());
        assert_eq!(received(&bytes[..bytes.len() - 1]).collect::<Vec<_>>(), [None]);
        assert_eq!(received(&[1]).collect::<Vec<_>>(), [None]);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..128)) {
            for message in received(&bytes).flatten() {
                let _ = (message.outcome(), message.attribute(7));
            }
        }
    }
}
