//! A minimal HTTP/1.0 client: one request and one answer over any byte stream.
//!
//! No library is used. The simulator's admin API listens on a unix socket, which ureq has no transport for, and reqwest
//! brings an async runtime into a program that has none.

use std::io::{self, Read, Write};

/// A status code and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Sends one request and reads the answer to its end. The request is HTTP/1.0, so that the body ends with the
/// connection and is not sent in chunks.
pub fn exchange(
    stream: &mut (impl Read + Write),
    host: &str,
    method: &str,
    path: &str,
    json: Option<&str>,
) -> io::Result<Answer> {
    let mut request = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nAccept: */*\r\n");
    let body = json.unwrap_or_default();
    if json.is_some() {
        request += &format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
    }
    request += "\r\n";
    request += body;
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // Go's server may close without a TLS close_notify. The bytes that were read are complete.
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof && !bytes.is_empty() => {}
        other => {
            other?;
        }
    }
    parse(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn parse(text: &str) -> Option<Answer> {
    let status = text.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    Some(Answer {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_told_apart() {
        let answer = parse("HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nno\r\n\r\nsuch").unwrap();
        assert_eq!(
            answer,
            Answer {
                status: 404,
                body: "no\r\n\r\nsuch".to_owned()
            }
        );
    }

    #[test]
    fn anything_else_is_no_answer() {
        for text in ["", "SSH-2.0\r\n\r\n", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
