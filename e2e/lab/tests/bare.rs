//! The bare API server becomes ready, obeys its options and ends with its owner.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what is wrong by panicking"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::bare::{Apiserver, Options};

fn kubectl(kubeconfig: &Path, args: &[&str]) -> (bool, String) {
    let out = Command::new(lab::binaries::kubernetes("kubectl").unwrap())
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--cache-dir")
        .arg(kubeconfig.with_extension("cache"))
        .args(args)
        .output()
        .unwrap();
    (
        out.status.success(),
        String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned(),
    )
}

fn alive(pid: u32) -> bool {
    // A zombie still has a folder in /proc, but no command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "still not true after 20 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_start_at_once_take_objects_and_die_on_drop() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let started = Instant::now();
    let servers: Vec<Apiserver> = std::thread::scope(|scope| {
        let threads: Vec<_> = dirs
            .iter()
            .map(|dir| scope.spawn(move || Apiserver::start(dir.path(), Options::default()).unwrap()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    eprintln!(
        "two bare apiservers ready after {:.1} s",
        started.elapsed().as_secs_f32()
    );
    assert_ne!(servers[0].url, servers[1].url);

    // The threads that started the servers have ended. The servers must still run.
    for server in &servers {
        let (ok, text) = kubectl(&server.kubeconfig, &["create", "namespace", "probe"]);
        assert!(ok, "{text}");
        let (ok, text) = kubectl(&server.kubeconfig, &["-n", "probe", "run", "pod", "--image=none"]);
        assert!(ok, "{text}");
    }

    let pids: Vec<u32> = servers
        .iter()
        .flat_map(|s| [s.apiserver_pid(), s.etcd_pid()])
        .collect();
    assert!(pids.iter().all(|pid| alive(*pid)));
    drop(servers);
    assert!(
        !pids.iter().any(|pid| alive(*pid)),
        "a process outlived its owner"
    );
}

#[test]
fn another_identity_has_only_its_own_rights_and_the_audit_log_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n";
    let server = Apiserver::start(dir.path(), Options::default().audit_policy(policy)).unwrap();
    let reader = server.kubeconfig_for("reader", &["lab:readers"]).unwrap();

    let (ok, text) = kubectl(&reader, &["get", "pods"]);
    assert!(!ok && text.contains("Forbidden"), "{text}");
    for create in [
        [
            "create",
            "clusterrole",
            "reader",
            "--verb=get,list",
            "--resource=pods",
        ]
        .as_slice(),
        [
            "create",
            "clusterrolebinding",
            "reader",
            "--clusterrole=reader",
            "--group=lab:readers",
        ]
        .as_slice(),
    ] {
        let (ok, text) = kubectl(&server.kubeconfig, create);
        assert!(ok, "{text}");
    }
    // The authorizer reads roles from a watch cache, which lags behind by a moment.
    wait_until("the reader may list pods", || {
        kubectl(&reader, &["get", "pods"]).0
    });

    let log = server.audit_log();
    wait_until("the audit log names the reader", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains(r#""username":"reader""#))
    });
}

#[test]
fn a_flag_that_the_apiserver_does_not_know_is_reported_with_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let Err(err) = Apiserver::start(dir.path(), Options::default().flag("no-such-flag", "1")) else {
        panic!("started with an unknown flag");
    };
    assert!(err.to_string().contains("unknown flag: --no-such-flag"), "{err}");
}

/// The owner process of the next test. It starts a server, writes the ids of its processes, and waits to be killed.
#[test]
#[ignore = "run by dies_when_its_owner_is_killed in a process of its own"]
fn owner() {
    let dir = std::env::var_os("LAB_TEST_DIR").expect("set by the other test");
    let server = Apiserver::start(Path::new(&dir), Options::default()).unwrap();
    let pids = format!("{} {}", server.apiserver_pid(), server.etcd_pid());
    // The file is renamed into place, so that the reader never sees half of it.
    std::fs::write(Path::new(&dir).join("pids.new"), pids).unwrap();
    std::fs::rename(Path::new(&dir).join("pids.new"), Path::new(&dir).join("pids")).unwrap();
    std::thread::park();
}

#[test]
fn dies_when_its_owner_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "owner"])
        .env("LAB_TEST_DIR", dir.path())
        .spawn()
        .unwrap();
    let pids = dir.path().join("pids");
    let deadline = Instant::now() + Duration::from_secs(120);
    while !pids.exists() {
        assert!(
            Instant::now() < deadline && owner.try_wait().unwrap().is_none(),
            "the owner did not start"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let pids: Vec<u32> = std::fs::read_to_string(&pids)
        .unwrap()
        .split(' ')
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert!(pids.iter().all(|pid| alive(*pid)));
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("both servers are gone", || !pids.iter().any(|pid| alive(*pid)));
}
