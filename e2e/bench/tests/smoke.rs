//! The benchmarks of the node still run, with the smallest sizes. Their figures say nothing here.

#![allow(clippy::expect_used, reason = "a test says what is wrong by panicking")]

use std::process::Command;

/// Runs one and gives what it printed.
fn bench(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(arguments)
        .output()
        .expect("bench starts; it needs root");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{arguments:?} failed:\n{out}\n{err}");
    out
}

#[test]
fn packets_cross_our_ways_and_the_plain_ones() {
    let out = bench(&["packets", "--milliseconds", "20", "--runs", "1"]);
    assert_eq!(out.matches("TCP stream, Gbit/s").count(), 2, "{out}");
}

#[test]
fn pods_are_added_and_deleted_by_us_and_by_the_reference() {
    let out = bench(&["cni", "--pods", "2", "--at-once", "2", "--runs", "1"]);
    assert_eq!(out.matches("DEL p50, ratio").count(), 2, "{out}");
}
