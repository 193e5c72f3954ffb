//! The binary as the runtime runs it, against an agent that is played by the test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::{Value, json};
use terway_cni_protocol::{
    Address, Cidr, Decoder, Failure, Interface, Network, Reply, Request, Route, encode, transfer,
};

const NETNS: &str = "/proc/self/ns/net";

struct Agent {
    dir: tempfile::TempDir,
    thread: JoinHandle<(Request, Vec<OwnedFd>)>,
}

impl Agent {
    /// Answers one request.
    fn answering(reply: Reply) -> (Agent, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut decoder, mut fds, mut buffer) = (Decoder::new(), Vec::new(), [0; 4096]);
            let request = loop {
                let count = transfer::receive(stream.as_fd(), &mut buffer, &mut fds).unwrap();
                decoder.push(&buffer[..count]).unwrap();
                if let Some(request) = decoder.message().unwrap() {
                    break request;
                }
            };
            stream.write_all(&encode(&reply).unwrap()).unwrap();
            (request, fds)
        });
        (Agent { dir, thread }, path)
    }

    fn asked(self) -> (Request, Vec<OwnedFd>) {
        let asked = self.thread.join().unwrap();
        drop(self.dir);
        asked
    }
}

fn terway(verb: &str, extra: &[(&str, &str)], input: &Value) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_terway"));
    command
        .env_clear()
        .env("CNI_COMMAND", verb)
        .env("CNI_CONTAINERID", "abc123")
        .env("CNI_IFNAME", "eth0")
        .env("CNI_NETNS", NETNS)
        .env("CNI_PATH", "/opt/cni/bin")
        .env(
            "CNI_ARGS",
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=uid-1",
        )
        .envs(extra.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A call that fails on its environment does not read its input.
    let _ = child
        .stdin
        .take()
        .unwrap()
        .write_all(input.to_string().as_bytes());
    child.wait_with_output().unwrap()
}

fn conf(version: &str, socket: &Path) -> Value {
    json!({ "cniVersion": version, "name": "terway-chainer", "type": "terway", "socket": socket })
}

fn printed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn refused(output: &Output) -> (u64, String) {
    assert!(!output.status.success(), "{output:?}");
    let document = printed(output);
    (
        document["code"].as_u64().unwrap(),
        document["msg"].as_str().unwrap().to_owned(),
    )
}

fn network() -> Network {
    let cidr = |text: &str, prefix| Cidr {
        address: text.parse().unwrap(),
        prefix,
    };
    let gateway = Some("169.254.1.1".parse().unwrap());
    let interface = |name: &str, in_sandbox| Interface {
        name: name.into(),
        mac: "02:00:00:00:00:01".into(),
        mtu: 1500,
        in_sandbox,
    };
    Network {
        interfaces: vec![interface("cali1234", false), interface("eth0", true)],
        addresses: vec![Address {
            address: cidr("10.0.16.7", 32),
            gateway,
            interface: 1,
        }],
        routes: vec![Route {
            dst: cidr("0.0.0.0", 0),
            gateway,
        }],
    }
}

fn checked() -> Reply {
    Reply::Checked {
        addresses: network()
            .addresses
            .iter()
            .map(|address| address.address)
            .collect(),
    }
}

#[test]
fn add_passes_pod_and_namespace_and_prints_the_result() {
    let (agent, socket) = Agent::answering(Reply::Network(network()));
    let output = terway("ADD", &[], &conf("1.0.0", &socket));
    assert!(output.status.success(), "{output:?}");
    let document = printed(&output);
    assert_eq!(document["cniVersion"], "1.0.0");
    assert_eq!(document["interfaces"][1]["sandbox"], NETNS);
    assert_eq!(document["ips"][0]["address"], "10.0.16.7/32");

    let (request, fds) = agent.asked();
    let Request::Add(add) = request else {
        panic!("{request:?}")
    };
    assert_eq!(add.attachment.container_id, "abc123");
    assert_eq!(add.pod.to_string(), "shop/web");
    assert_eq!(add.pod.uid.as_deref(), Some("uid-1"));
    let [namespace] = <[OwnedFd; 1]>::try_from(fds).unwrap();
    let passed = File::from(namespace).metadata().unwrap();
    let ours = std::fs::metadata(NETNS).unwrap();
    assert_eq!((passed.dev(), passed.ino()), (ours.dev(), ours.ino()));
}

#[test]
fn the_agents_refusal_keeps_its_code_and_words() {
    let (agent, socket) = Agent::answering(Reply::Refused(Failure::new(
        11,
        "PodENI shop/web is in phase Binding",
    )));
    let output = terway("ADD", &[], &conf("0.4.0", &socket));
    assert_eq!(
        refused(&output),
        (11, "PodENI shop/web is in phase Binding".to_owned())
    );
    assert_eq!(printed(&output)["cniVersion"], "0.4.0");
    agent.asked();
}

#[test]
fn without_an_agent_add_is_tried_again_and_del_is_done() {
    let conf = conf("1.0.0", Path::new("/nonexistent/agent.sock"));
    assert_eq!(refused(&terway("ADD", &[], &conf)).0, 11);
    let output = terway("DEL", &[], &conf);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let check = terway("CHECK", &[], &conf);
    assert_eq!(refused(&check).0, 11);
}

#[test]
fn without_an_agent_status_says_so() {
    let socket = Path::new("/nonexistent/agent.sock");
    assert_eq!(refused(&terway("STATUS", &[], &conf("1.1.0", socket))).0, 50);
    assert_eq!(refused(&terway("STATUS", &[], &conf("1.0.0", socket))).0, 1);
}

#[test]
fn del_works_without_a_namespace() {
    for netns in ["", "/nonexistent/netns/a", "/proc/self/status/ns/net"] {
        let (agent, socket) = Agent::answering(Reply::Done);
        let output = terway("DEL", &[("CNI_NETNS", netns)], &conf("1.0.0", &socket));
        assert!(
            output.status.success() && output.stdout.is_empty(),
            "{netns}: {output:?}"
        );
        let (request, fds) = agent.asked();
        assert!(
            matches!(request, Request::Del(_)) && fds.is_empty(),
            "{request:?}"
        );
    }
}

#[test]
fn check_compares_with_the_previous_result() {
    let with = |address: &str, socket: &Path| {
        let mut conf = conf("1.0.0", socket);
        conf["prevResult"] = json!({ "cniVersion": "1.0.0", "ips": [{ "address": address }] });
        conf
    };
    let (agent, socket) = Agent::answering(checked());
    let output = terway("CHECK", &[], &with("10.0.16.7/32", &socket));
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    agent.asked();
    let (agent, socket) = Agent::answering(checked());
    assert_eq!(
        refused(&terway("CHECK", &[], &with("10.0.16.8/32", &socket))).0,
        100
    );
    agent.asked();
    assert_eq!(refused(&terway("CHECK", &[], &conf("0.3.1", &socket))).0, 1);
}

#[test]
fn gc_sends_the_list_and_refuses_to_guess_one() {
    let (agent, socket) = Agent::answering(Reply::Done);
    let mut with = conf("1.1.0", &socket);
    with["cni.dev/valid-attachments"] = json!([{ "containerID": "abc", "ifname": "eth0" }]);
    assert!(terway("GC", &[], &with).status.success());
    let (request, _) = agent.asked();
    let Request::Gc(gc) = request else {
        panic!("{request:?}")
    };
    assert_eq!(gc.valid.len(), 1);
    assert_eq!(gc.valid[0].container_id, "abc");
    assert_eq!(refused(&terway("GC", &[], &conf("1.1.0", &socket))).0, 7);
}

#[test]
fn version_lists_what_is_spoken() {
    let document = printed(&terway("VERSION", &[], &json!({ "cniVersion": "1.0.0" })));
    assert_eq!(document["cniVersion"], "1.0.0");
    assert_eq!(
        document["supportedVersions"],
        json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
    );
}

#[test]
fn a_person_gets_the_programs_version_and_a_runtime_does_not() {
    let ask = |arguments: &[&str], command: Option<&str>| {
        let mut terway = Command::new(env!("CARGO_BIN_EXE_terway"));
        terway.env_clear().args(arguments).stdin(Stdio::null());
        terway.envs(command.map(|command| ("CNI_COMMAND", command)));
        let output = terway.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let version = concat!("terway ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
    for flag in ["--version", "-V", "-v"] {
        assert_eq!(ask(&[flag], None), (true, version.clone()), "{flag}");
    }
    for (arguments, command) in [
        (&["--version"][..], Some("VERSION")),
        (&["--version", "--help"][..], None),
        (&["--help"][..], None),
        (&[][..], None),
    ] {
        let (_, printed) = ask(arguments, command);
        let document: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(document["cniVersion"], "1.1.0", "{arguments:?} {command:?}");
    }
}

#[test]
fn bad_input_has_its_own_code() {
    let socket = Path::new("/nonexistent/agent.sock");
    let code = |verb: &str, extra: &[(&str, &str)], input: &Value| refused(&terway(verb, extra, input)).0;
    assert_eq!(code("ADD", &[("CNI_CONTAINERID", "")], &conf("1.0.0", socket)), 4);
    assert_eq!(code("ADD", &[("CNI_IFNAME", "a/b")], &conf("1.0.0", socket)), 4);
    assert_eq!(code("ADD", &[("CNI_ARGS", "")], &conf("1.0.0", socket)), 4);
    assert_eq!(
        code("ADD", &[("CNI_NETNS", "/nonexistent")], &conf("1.0.0", socket)),
        5
    );
    assert_eq!(code("PATCH", &[], &conf("1.0.0", socket)), 4);
    assert_eq!(code("ADD", &[], &json!("text")), 6);
    assert_eq!(code("ADD", &[], &conf("2.0.0", socket)), 1);
    assert_eq!(code("ADD", &[], &conf("1.0.0", Path::new("relative.sock"))), 7);
}

#[test]
fn it_starts_quickly() {
    let best = (0..20)
        .map(|_| {
            let started = Instant::now();
            assert!(terway("VERSION", &[], &json!({})).status.success());
            started.elapsed()
        })
        .min()
        .unwrap();
    // About a millisecond; ten leave room for a busy machine and still exclude a runtime's start.
    assert!(best.as_millis() < 10, "{best:?}");
}
