//! Frames: `'T' 'W'`, a protocol version (u16), the length of the body (u32), the body as JSON.
//! Numbers are big-endian.
//! [`Decoder`] does no I/O. The caller gives it the bytes as they arrive, and gets a message or the reason why there
//! will be none. The decoder checks the length as soon as it has the header, so a peer cannot make the other side hold
//! more than [`MAX_BODY`] bytes and one chunk.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The protocol version of this build. Only a change that an older peer would misread raises it.
pub const VERSION: u16 = 1;

/// The largest body, in bytes. The longest message is the list of sandboxes of a GC.
pub const MAX_BODY: usize = 1 << 20;

/// Bytes of the header.
pub const HEADER: usize = 8;

const MAGIC: [u8; 2] = *b"TW";

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The bytes are of another protocol.
    #[error("the bytes are not a terway request; is another program using this socket?")]
    NotOurs,
    /// The peer's protocol is not this one.
    #[error("the peer speaks protocol version {peer}, this side {VERSION}; finish the upgrade of the node")]
    Version {
        /// The peer's version.
        peer: u16,
    },
    /// The body is longer than anything that is ever sent.
    #[error("a message of {0} bytes is larger than the limit of {MAX_BODY}")]
    TooLarge(usize),
    /// Bytes follow the message.
    #[error("{0} bytes follow the message; one connection carries one request")]
    Trailing(usize),
    /// The connection ended before the message did.
    #[error("the connection ended after {got} bytes of a message")]
    Truncated {
        /// The bytes that arrived.
        got: usize,
    },
    /// The body is not the JSON of a known message.
    #[error("the body of the message cannot be read")]
    Body(#[source] serde_json::Error),
}

/// The frame of a message.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; HEADER];
    serde_json::to_writer(&mut frame, message).map_err(FrameError::Body)?;
    let length = frame.len() - HEADER;
    let field = u32::try_from(length).map_err(|_| FrameError::TooLarge(length))?;
    if length > MAX_BODY {
        return Err(FrameError::TooLarge(length));
    }
    frame[..2].copy_from_slice(&MAGIC);
    frame[2..4].copy_from_slice(&VERSION.to_be_bytes());
    frame[4..HEADER].copy_from_slice(&field.to_be_bytes());
    Ok(frame)
}

/// Collects the bytes of one message.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    /// Makes a decoder without bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes. After an error the decoder cannot be used any more.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), FrameError> {
        self.bytes.extend_from_slice(chunk);
        match self.frame_length()? {
            Some(length) if self.bytes.len() > length => Err(FrameError::Trailing(self.bytes.len() - length)),
            _ => Ok(()),
        }
    }

    /// The message, as soon as all its bytes have arrived.
    pub fn message<T: DeserializeOwned>(&self) -> Result<Option<T>, FrameError> {
        match self.frame_length()? {
            Some(length) if self.bytes.len() >= length => serde_json::from_slice(&self.bytes[HEADER..length])
                .map(Some)
                .map_err(FrameError::Body),
            _ => Ok(None),
        }
    }

    /// The error for a connection that ends now.
    pub fn truncated(&self) -> FrameError {
        FrameError::Truncated {
            got: self.bytes.len(),
        }
    }

    fn frame_length(&self) -> Result<Option<usize>, FrameError> {
        let known = self.bytes.len().min(MAGIC.len());
        if self.bytes[..known] != MAGIC[..known] {
            return Err(FrameError::NotOurs);
        }
        let Some(header) = self.bytes.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [_, _, v0, v1, l0, l1, l2, l3] = *header;
        let peer = u16::from_be_bytes([v0, v1]);
        if peer != VERSION {
            return Err(FrameError::Version { peer });
        }
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if length > MAX_BODY {
            return Err(FrameError::TooLarge(length));
        }
        Ok(Some(HEADER + length))
    }
}
