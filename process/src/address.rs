//! Addresses to listen on, as Go programs write them in flags and settings.

use std::net::{AddrParseError, SocketAddr};

/// Reads `host:port`, or `:port` for every address of this machine; an empty text and `"0"` mean no address.
///
/// # Errors
/// When `text` is none of these.
pub fn listen_address(text: &str) -> Result<Option<SocketAddr>, AddrParseError> {
    match text {
        "" | "0" => Ok(None),
        port if port.starts_with(':') => format!("0.0.0.0{port}").parse().map(Some),
        whole => whole.parse().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let read = |text| listen_address(text).map(|address| address.map(|address| address.to_string()));
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("0"), Ok(None));
        assert_eq!(read(":9091"), Ok(Some("0.0.0.0:9091".to_owned())));
        assert_eq!(read("127.0.0.1:1"), Ok(Some("127.0.0.1:1".to_owned())));
        assert!(read("localhost").is_err() && read("10.0.0.1").is_err());
    }
}
