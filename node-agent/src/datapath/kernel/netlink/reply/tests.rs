//! Tests of the reading of replies.

use super::*;

/// An acknowledgement as the kernel writes it: a code, a request, and a text.
fn acknowledgement(code: i32, flags: u16, request: &[u8], text: Option<&str>) -> Vec<u8> {
    let mut body = code.to_ne_bytes().to_vec();
    body.extend(request);
    if let Some(text) = text {
        // The offset of the attribute in question comes first.
        body.extend(8_u16.to_ne_bytes());
        body.extend(2_u16.to_ne_bytes());
        body.extend(20_u32.to_ne_bytes());
        body.extend((text.len() as u16 + 5).to_ne_bytes());
        body.extend(1_u16.to_ne_bytes());
        body.extend(text.as_bytes());
        body.push(0);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut bytes = (HEADER as u32 + body.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(2_u16.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([7_u32.to_ne_bytes(), 0_u32.to_ne_bytes()].concat());
    bytes.extend(body);
    bytes
}

/// A request of this many bytes, which says so in its header.
fn request(length: u32) -> Vec<u8> {
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.resize(length as usize, 0xaa);
    bytes
}

fn end(bytes: &[u8]) -> End {
    let packet = packets(bytes).next().unwrap().unwrap();
    End::of(&packet).unwrap()
}

#[test]
fn the_text_follows_the_request_or_its_header() {
    let text = Some("Nexthop has invalid gateway");
    let expected = End {
        code: libc::ENETUNREACH,
        words: text.map(str::to_owned),
    };
    let code = -libc::ENETUNREACH;
    let capped = acknowledgement(code, NLM_F_CAPPED | NLM_F_ACK_TLVS, &request(16), text);
    assert_eq!(end(&capped), expected);
    // The request is padded to a multiple of four bytes, which its length does not count.
    let mut whole = request(30);
    whole.extend([0; 2]);
    assert_eq!(
        end(&acknowledgement(code, NLM_F_ACK_TLVS, &whole, text)),
        expected
    );
}

#[test]
fn an_acknowledgement_without_a_text_has_no_words() {
    let plain = acknowledgement(-libc::EINVAL, NLM_F_CAPPED, &request(16), None);
    assert_eq!(
        end(&plain),
        End {
            code: libc::EINVAL,
            words: None
        }
    );
    let success = acknowledgement(0, NLM_F_CAPPED, &request(16), None);
    assert!(end(&success).into_result("act").is_ok());
}

#[test]
fn a_refusal_quotes_the_kernel() {
    let end = |words: Option<&str>| End {
        code: libc::EINVAL,
        words: words.map(str::to_owned),
    };
    let text = |end: End| end.into_result("put a route").unwrap_err().to_string();
    assert_eq!(
        text(end(Some("Invalid prefix"))),
        "cannot put a route: the kernel says \"Invalid prefix\""
    );
    assert_eq!(text(end(None)), "cannot put a route");
}

#[test]
fn a_message_that_is_cut_short_is_an_error() {
    let bytes = acknowledgement(0, 0, &request(16), None);
    let cut = packets(&bytes[..bytes.len() - 1]);
    assert!(cut.last().unwrap().is_err());
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..160)) {
        for packet in packets(&bytes).flatten() {
            let _ = End::of(&packet);
        }
    }
}
