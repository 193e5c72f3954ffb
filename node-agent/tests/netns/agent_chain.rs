//! The CNI binary in a chain with plugins of the distribution: portmap and bandwidth.

use std::{
    io::Write as _,
    net::UdpSocket,
    os::fd::{AsRawFd as _, OwnedFd},
    process::{Command, Stdio},
};

use crate::agent_world::Host;
use crate::datapath_world::{
    GATEWAY_MAC, NODE_IP, Pod, REMOTE, counted_in,
    frame::{ethernet, udp},
    listen, on_a_node, receive, run, talks, try_run,
};
use serde_json::{Value, json};

/// Where Debian's containernetworking-plugins has them.
const PLUGINS: &str = "/usr/lib/cni";
const HOST_PORT: u16 = 31_000;
const CLIENT: u16 = 40_000;

/// One sandbox as a runtime sees it.
struct Runtime<'a> {
    host: &'a Host,
    pod: &'a Pod,
    version: &'static str,
    /// What is limited: what the pod receives, and what it sends.
    ingress: bool,
    egress: bool,
    netns: OwnedFd,
}

impl Runtime<'_> {
    /// Runs the chain's plugins as a runtime does; returns the last result.
    async fn chain(&self, verb: &str, mut previous: Option<Value>) -> Option<Value> {
        let mut plugins = vec!["terway", "portmap", "bandwidth"];
        if verb == "CHECK" {
            // The distribution's portmap misses an IPv6 chain that it has not made, whoever is before it.
            plugins.remove(1);
        }
        if verb == "DEL" {
            plugins.reverse();
        }
        for plugin in plugins {
            let result = self.call(verb, plugin, previous.as_ref()).await;
            let result = result.unwrap_or_else(|error| panic!("{verb} of {plugin}: {error}"));
            if verb == "ADD" {
                previous = Some(result.unwrap());
            }
        }
        previous
    }

    async fn call(
        &self,
        verb: &str,
        plugin: &'static str,
        previous: Option<&Value>,
    ) -> Result<Option<Value>, String> {
        let mut conf = json!({ "cniVersion": self.version, "name": "terway-chainer", "type": plugin,
            "socket": self.host.socket(), "runtimeConfig": {
                "portMappings": [{ "hostPort": HOST_PORT, "containerPort": 7000, "protocol": "udp" }],
                "bandwidth": {} } });
        if self.ingress {
            conf["runtimeConfig"]["bandwidth"]["ingressRate"] = json!(80_000_000);
            conf["runtimeConfig"]["bandwidth"]["ingressBurst"] = json!(80_000_000);
        }
        if self.egress {
            conf["runtimeConfig"]["bandwidth"]["egressRate"] = json!(80_000_000);
            conf["runtimeConfig"]["bandwidth"]["egressBurst"] = json!(80_000_000);
        }
        if let Some(previous) = previous {
            conf["prevResult"] = previous.clone();
        }
        let environment = self.environment(verb);
        let call = move || match plugin {
            "terway" => ours(&environment, &conf),
            other => theirs(other, &environment, &conf),
        };
        // The runtime's thread must not stand in the agent's way.
        let printed = tokio::task::spawn_blocking(call).await.unwrap()?;
        Ok((!printed.trim().is_empty()).then(|| serde_json::from_str(&printed).unwrap()))
    }

    fn environment(&self, verb: &str) -> Vec<(&'static str, String)> {
        let (sandbox, member) = (self.pod.sandbox(), &self.pod.member);
        let netns = format!("/proc/{}/fd/{}", std::process::id(), self.netns.as_raw_fd());
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_UID={}",
            member.namespace, member.pod_name, sandbox.pod_uid
        );
        vec![
            ("CNI_COMMAND", verb.into()),
            ("CNI_CONTAINERID", sandbox.container_id.clone()),
            ("CNI_IFNAME", "eth0".into()),
            ("CNI_NETNS", netns),
            ("CNI_PATH", PLUGINS.into()),
            ("CNI_ARGS", args),
        ]
    }
}

fn ours(environment: &[(&'static str, String)], conf: &Value) -> Result<String, String> {
    let variable = |name: &str| {
        let found = environment.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.clone())
    };
    let (mut input, mut output) = (conf.to_string().into_bytes(), Vec::new());
    let exit = terway_cni::run(&variable, &mut input.as_slice(), &mut output);
    input.clear();
    let text = String::from_utf8(output).unwrap();
    if exit == std::process::ExitCode::SUCCESS {
        Ok(text)
    } else {
        Err(text)
    }
}

fn theirs(plugin: &str, environment: &[(&'static str, String)], conf: &Value) -> Result<String, String> {
    let mut child = Command::new(format!("{PLUGINS}/{plugin}"))
        .envs(environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the package containernetworking-plugins");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(conf.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!("{text}{output:?}"))
    }
}

#[test]
fn portmap_and_bandwidth_take_our_result() {
    on_a_node(async |node| {
        let eni = node.shared_eni();
        let mut host = Host::start(&node).await;
        for (version, number) in [("0.4.0", 4), ("1.0.0", 5)] {
            let mut pod = Pod::shared(number, "a");
            // Before Linux 6.6 the check of sources is where the plugin wants its ingress qdisc.
            let room = host.agent().kernel.has_room_for_shaper();
            pod.member.shaped = room;
            host.bind(&pod);
            let mut runtime = Runtime {
                host: &host,
                pod: &pod,
                version,
                ingress: true,
                egress: room,
                netns: pod.netns.descriptor(),
            };
            let result = runtime.chain("ADD", None).await.unwrap();
            assert_eq!(result["ips"][0]["address"], format!("10.0.17.{number}/32"));
            let veth = pod.host_ifname();
            let qdiscs = run(&format!("tc qdisc show dev {veth}"));
            assert!(qdiscs.contains("qdisc tbf"), "{qdiscs}");
            assert_eq!(qdiscs.contains("qdisc ingress"), room, "{qdiscs}");
            if !room {
                let limited = Runtime {
                    ingress: false,
                    egress: true,
                    ..runtime
                };
                let refused = limited.call("ADD", "bandwidth", Some(&result)).await.unwrap_err();
                assert!(refused.contains("create ingress qdisc"), "{refused}");
                runtime = Runtime {
                    ingress: true,
                    egress: false,
                    ..limited
                };
            }
            runtime.chain("CHECK", Some(result.clone())).await;

            // A client asks the host port, and is answered by the interface that it came by.
            let socket = listen(&pod);
            let question = udp((REMOTE, CLIENT), (NODE_IP, HOST_PORT), "question");
            let uplink = [0, 0x16, 0x3e, 0, 0, 2];
            node.uplink
                .send(&ethernet(uplink, GATEWAY_MAC, None, 0x0800, &question));
            assert_eq!(receive(&socket), "question");
            socket.send_to(b"answer", (REMOTE, CLIENT)).unwrap();
            let answer = node
                .uplink
                .expect("the answer", |f| f.is_udp_from(NODE_IP) && f.text() == "answer");
            assert_eq!(answer.ipv4(), Some((NODE_IP, REMOTE)));
            // Its own traffic passes both shapers, and the check of sources before them.
            talks(&pod, &eni);
            pod.netns.run("ip addr add 10.0.17.99/32 dev eth0");
            let spoof = pod
                .netns
                .inside(|| UdpSocket::bind(("10.0.17.99", 7001)).unwrap());
            let before = counted_in(host.agent(), "source_address").await;
            spoof.send_to(b"not mine", (REMOTE, 9)).unwrap();
            while counted_in(host.agent(), "source_address").await == before {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }

            runtime.chain("DEL", Some(result.clone())).await;
            runtime.chain("DEL", Some(result)).await;
            assert!(try_run(&format!("ip link show {veth}")).is_err());
            assert_eq!(
                run("ip -br link show type ifb").trim(),
                "",
                "bandwidth's own device went too"
            );
            let (pod, host) = (&pod, &mut host);
            host.free(pod);
        }
        assert!(!run("ip rule show").contains("10.0.17."));
    });
}
