//! The blocking call over a real socket: descriptors, timeouts, peers that misbehave.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use terway_cni_protocol::{CallError, Decoder, FrameError, Reply, Request, call, encode, transfer};

const SECOND: Duration = Duration::from_secs(1);

fn agent<T: Send + 'static>(
    serve: impl FnOnce(UnixStream) -> T + Send + 'static,
) -> (tempfile::TempDir, PathBuf, JoinHandle<T>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || serve(listener.accept().unwrap().0));
    (dir, path, thread)
}

fn read_request(stream: &UnixStream) -> (Request, Vec<OwnedFd>) {
    let (mut decoder, mut fds, mut buffer) = (Decoder::new(), Vec::new(), [0; 512]);
    loop {
        let count = transfer::receive(stream.as_fd(), &mut buffer, &mut fds).unwrap();
        assert_ne!(count, 0, "the client closed early");
        decoder.push(&buffer[..count]).unwrap();
        if let Some(request) = decoder.message().unwrap() {
            return (request, fds);
        }
    }
}

#[test]
fn the_descriptor_that_arrives_is_the_file_that_was_sent() {
    let file = tempfile::tempfile().unwrap();
    let inode = file.metadata().unwrap().ino();
    let (_dir, path, thread) = agent(|mut stream| {
        let (request, fds) = read_request(&stream);
        stream.write_all(&encode(&Reply::Done).unwrap()).unwrap();
        (
            request,
            fds.into_iter()
                .map(|fd| File::from(fd).metadata().unwrap().ino())
                .collect::<Vec<_>>(),
        )
    });
    let reply = call(&path, &Request::Status, Some(file.as_fd()), SECOND).unwrap();
    assert_eq!(reply, Reply::Done);
    assert_eq!(thread.join().unwrap(), (Request::Status, vec![inode]));
}

#[test]
fn no_socket_and_no_listener_both_mean_absent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let absent = |p| {
        matches!(
            call(p, &Request::Status, None, SECOND),
            Err(CallError::Absent { .. })
        )
    };
    assert!(absent(&path));
    drop(UnixListener::bind(&path).unwrap());
    assert!(absent(&path));
}

#[test]
fn a_silent_agent_runs_into_the_timeout() {
    let (_dir, path, thread) = agent(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let started = Instant::now();
    let result = call(&path, &Request::Status, None, Duration::from_millis(80));
    assert!(matches!(result, Err(CallError::TimedOut(_))), "{result:?}");
    assert!(started.elapsed() < 5 * SECOND);
    thread.join().unwrap();
}

#[test]
fn an_agent_that_hangs_up_is_a_truncated_answer() {
    let (_dir, path, thread) = agent(|stream| drop(read_request(&stream)));
    let result = call(&path, &Request::Status, None, SECOND);
    assert!(
        matches!(result, Err(CallError::Frame(FrameError::Truncated { got: 0 }))),
        "{result:?}"
    );
    thread.join().unwrap();
}

#[test]
fn many_descriptors_are_all_owned() {
    let (left, right) = UnixStream::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    for _ in 0..3 {
        transfer::send(left.as_fd(), b"x", Some(file.as_fd())).unwrap();
    }
    let (mut fds, mut got) = (Vec::new(), 0);
    while got < 3 {
        got += transfer::receive(right.as_fd(), &mut [0; 8], &mut fds).unwrap();
    }
    assert_eq!(fds.len(), 3);
}
