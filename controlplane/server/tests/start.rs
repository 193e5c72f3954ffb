//! The program at its start: a setting it cannot use ends it with the key's name, before anything is asked
//! of the API server or the cloud.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Output};

fn start(dir: &Path, config: &str, credential: &str, flags: &[&str]) -> Output {
    let (config_file, secret_file) = (dir.join("ctrl-config.yaml"), dir.join("ctrl-secret.yaml"));
    std::fs::write(&config_file, config).unwrap();
    std::fs::write(&secret_file, credential).unwrap();
    Command::new(env!("CARGO_BIN_EXE_terway-controlplane"))
        .arg("-config")
        .arg(&config_file)
        .arg("-credential")
        .arg(&secret_file)
        .args(flags)
        // If it got so far as to look for an API server, there is none.
        .env("KUBECONFIG", dir.join("no-such-kubeconfig"))
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .unwrap()
}

/// It ends with 2, and says one line that holds all of `words`.
fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}

const GOOD: &str = "clusterID: c1\nvpcID: vpc-1\nregionID: cn-hangzhou\n";
const KEYS: &str = "accessKey: lab-ak\naccessSecret: lab-sk\n";

#[test]
fn an_unknown_key_ends_the_start_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let output = start(dir.path(), &format!("{GOOD}podMaxConcurent: 5\n"), KEYS, &[]);
    refused(&output, &["ctrl-config.yaml", "podMaxConcurent", "not known"]);
}

#[test]
fn a_bad_value_ends_the_start_with_its_key_and_what_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let output = start(dir.path(), &format!("{GOOD}podMaxConcurrent: many\n"), KEYS, &[]);
    refused(&output, &["podMaxConcurrent", "many", "write"]);
    let output = start(dir.path(), "vpcID: vpc-1\n", KEYS, &[]);
    refused(&output, &["clusterID", "missing"]);
}

#[test]
fn an_unknown_flag_ends_the_start_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    refused(&start(dir.path(), GOOD, KEYS, &["-confg", "x"]), &["confg"]);
}

#[test]
fn the_version_is_told_before_any_file_is_read() {
    for flag in ["-version", "--version"] {
        let output = Command::new(env!("CARGO_BIN_EXE_terway-controlplane"))
            .args([flag, "-config", "/nonexistent"])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(
            said.starts_with(concat!("terway-controlplane ", env!("CARGO_PKG_VERSION"))),
            "{said}"
        );
    }
}

#[test]
fn a_secret_is_not_repeated_in_a_complaint_about_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let output = start(
        dir.path(),
        GOOD,
        "accessKey: lab-ak\naccessSecrt: very-secret\n",
        &[],
    );
    refused(&output, &["accessSecrt"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("very-secret"));
}
