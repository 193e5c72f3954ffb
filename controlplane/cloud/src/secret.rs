//! A text that must not appear in a log.

use secrecy::{ExposeSecret, SecretString};

/// A secret. `Debug` shows none of its content, and its memory is overwritten when it is dropped. Two secrets can be
/// compared, because a key file that was read again may hold the same keys.
#[derive(Debug, Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// The value, for signing and decrypting.
    pub(crate) fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.reveal() == other.reveal()
    }
}

impl Eq for Secret {}

impl<T: Into<String>> From<T> for Secret {
    fn from(value: T) -> Self {
        Secret(value.into().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_it() {
        assert!(!format!("{:?}", Secret::from("hunter2")).contains("hunter2"));
    }
}
