//! A reader that goes away is no error.

#![allow(
    clippy::expect_used,
    reason = "a test fails by panicking, and says what was expected"
)]

use std::process::{Command, Stdio};

#[test]
fn a_reader_that_goes_away_ends_nothing_with_a_panic() {
    let state = tempfile::tempdir().expect("a folder");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let done = Command::new(env!("CARGO_BIN_EXE_lab"))
        .arg("--state-dir")
        .arg(state.path())
        .arg("status")
        .stdout(Stdio::from(writer))
        .output()
        .expect("lab runs");
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    assert_eq!(done.status.code(), Some(1), "no lab is up");
}
