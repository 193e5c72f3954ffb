//! The decoder against bytes that nobody promised anything about.

use proptest::prelude::*;
use terway_cni_protocol::frame::{HEADER, MAX_BODY, VERSION};
use terway_cni_protocol::{
    AddRequest, Attachment, Decoder, FrameError, GcRequest, PodRef, Reply, Request, encode,
};

fn add() -> Request {
    Request::Add(AddRequest {
        attachment: Attachment {
            container_id: "c1".into(),
            ifname: "eth0".into(),
        },
        pod: PodRef {
            namespace: "default".into(),
            name: "web".into(),
            uid: Some("u-1".into()),
        },
        wait_ms: 1000,
    })
}

/// Whether these bytes are a message or the beginning of one, and no byte more.
fn may_go_on(bytes: &[u8]) -> bool {
    let Some((&[m0, m1, v0, v1, l0, l1, l2, l3], body)) = bytes.split_first_chunk::<HEADER>() else {
        return b"TW".starts_with(&bytes[..bytes.len().min(2)]);
    };
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    [m0, m1] == *b"TW"
        && u16::from_be_bytes([v0, v1]) == VERSION
        && length <= MAX_BODY
        && body.len() <= length
}

proptest! {
    #[test]
    fn never_panics_and_ends_the_connection_at_the_first_byte_too_many(
        // Half of the streams begin like a message, with a length that may be short, long or beyond the limit.
        begun in any::<bool>(),
        length in prop_oneof![0..200_u32, any::<u32>()],
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..16),
    ) {
        let mut stream = Vec::new();
        if begun {
            stream.extend(b"TW");
            stream.extend(VERSION.to_be_bytes());
            stream.extend(length.to_be_bytes());
        }
        let chunks = std::iter::once(stream).chain(chunks);
        let (mut decoder, mut taken) = (Decoder::new(), Vec::new());
        for chunk in chunks {
            taken.extend(&chunk);
            match decoder.push(&chunk) {
                Ok(()) => prop_assert!(may_go_on(&taken), "{taken:?}"),
                Err(error) => {
                    prop_assert!(!may_go_on(&taken), "{error}: {taken:?}");
                    break;
                }
            }
            let _ = decoder.message::<Request>();
            let _ = decoder.message::<Reply>();
        }
    }

    #[test]
    fn a_right_header_with_an_arbitrary_body_is_an_error_or_a_message(body in prop::collection::vec(any::<u8>(), 0..256)) {
        let mut frame = b"TW".to_vec();
        frame.extend(VERSION.to_be_bytes());
        frame.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        frame.extend(&body);
        let mut decoder = Decoder::new();
        decoder.push(&frame).unwrap();
        match decoder.message::<Request>() {
            Ok(message) => prop_assert!(message.is_some()),
            Err(error) => prop_assert!(matches!(error, FrameError::Body(_))),
        }
    }

    #[test]
    fn a_message_arrives_however_it_is_cut(cut in 1usize..64) {
        let frame = encode(&add()).unwrap();
        let mut decoder = Decoder::new();
        let mut seen = None;
        for chunk in frame.chunks(cut) {
            prop_assert!(seen.is_none());
            decoder.push(chunk).unwrap();
            seen = decoder.message::<Request>().unwrap();
        }
        prop_assert_eq!(seen, Some(add()));
    }

    #[test]
    fn one_changed_byte_never_panics(at in 0usize..128, to in any::<u8>()) {
        let mut frame = encode(&add()).unwrap();
        let at = at % frame.len();
        frame[at] = to;
        let mut decoder = Decoder::new();
        if decoder.push(&frame).is_ok() {
            let _ = decoder.message::<Request>();
        }
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_its_body() {
    let mut decoder = Decoder::new();
    let mut header = b"TW".to_vec();
    header.extend(VERSION.to_be_bytes());
    header.extend(u32::MAX.to_be_bytes());
    assert!(matches!(decoder.push(&header), Err(FrameError::TooLarge(_))));
}

#[test]
fn another_version_is_named() {
    let mut frame = encode(&Request::Status).unwrap();
    frame[3] = 9;
    assert!(matches!(
        Decoder::new().push(&frame),
        Err(FrameError::Version { peer: 9 })
    ));
}

#[test]
fn bytes_after_the_message_are_refused() {
    let mut frame = encode(&Request::Status).unwrap();
    frame.push(b' ');
    assert!(matches!(
        Decoder::new().push(&frame),
        Err(FrameError::Trailing(1))
    ));
}

#[test]
fn a_message_too_large_to_send_is_refused_by_the_sender() {
    let one = Attachment {
        container_id: "c".repeat(128),
        ifname: "eth0".into(),
    };
    let request = Request::Gc(GcRequest {
        valid: vec![one; MAX_BODY / 128],
    });
    assert!(matches!(encode(&request), Err(FrameError::TooLarge(_))));
}

#[test]
fn unknown_fields_are_ignored() {
    let body = br#"{"verb":"del","attachment":{"container_id":"c","ifname":"eth0","new":1},"newer":{}}"#;
    let mut frame = encode(&Request::Status).unwrap();
    frame.truncate(4);
    frame.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend(body);
    assert!(frame.len() > HEADER);
    let mut decoder = Decoder::new();
    decoder.push(&frame).unwrap();
    assert!(matches!(decoder.message::<Request>(), Ok(Some(Request::Del(_)))));
}

#[test]
fn attachment_names_follow_the_specification() {
    let good = |id: &str, name: &str| {
        Attachment {
            container_id: id.into(),
            ifname: name.into(),
        }
        .validate()
        .is_ok()
    };
    assert!(good("abc-1_2.3", "eth0"));
    assert!(!good("", "eth0"));
    assert!(!good("-a", "eth0"));
    assert!(!good("a/b", "eth0"));
    assert!(!good(&"a".repeat(129), "eth0"));
    assert!(!good("a", ""));
    assert!(!good("a", ".."));
    assert!(!good("a", "e h"));
    assert!(!good("a", "abcdefghijklmnop"));
}
