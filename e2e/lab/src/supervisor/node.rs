//! The plan of a node: containerd, the images, a kubelet without a network plugin, kube-proxy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::credentials::{Files, in_machine};
use crate::images::PAUSE;
use crate::machine::HOME;
use crate::machine::tasks::{Condition, Task};
use crate::options::ProxyMode;
use crate::world::{Fleet, Machine};

const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
const KUBELET_CONFIG: &str = "/mnt/lab/kubelet.json";
const PROXY_CONFIG: &str = "/mnt/lab/kube-proxy.json";
/// Debian's folder of the reference network plugins.
const REFERENCE_PLUGINS: &str = "/usr/lib/cni";

/// Folders that the node's programs expect.
pub(super) fn directories() -> Vec<PathBuf> {
    [
        "/opt/cni/bin",
        "/etc/cni/net.d",
        "/etc/containerd",
        "/var/lib/kubelet",
        "/var/lib/containerd",
        "/var/lib/cni",
        "/var/log/pods",
        "/var/log/containers",
    ]
    .map(PathBuf::from)
    .into()
}

/// Links to the reference plugins. containerd needs `loopback`, and a user may try other plugins.
pub(super) fn links(installed: &[String]) -> BTreeMap<PathBuf, PathBuf> {
    let pair = |name: &String| {
        (
            Path::new("/opt/cni/bin").join(name),
            Path::new(REFERENCE_PLUGINS).join(name),
        )
    };
    installed.iter().map(pair).collect()
}

/// The names of the reference plugins on this host. containerd has no plugins of its own.
pub(super) fn installed_plugins() -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(REFERENCE_PLUGINS)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// The files of a node, without credentials.
pub(super) fn files(machine: &Machine, fleet: &Fleet, proxy: ProxyMode) -> Files {
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    for machine in fleet.machines() {
        hosts += &format!("{} {}\n", machine.address.addr(), machine.name);
    }
    for (name, address) in &fleet.hosts {
        hosts += &format!("{address} {name}\n");
    }
    let texts = [
        ("/etc/hosts", hosts),
        ("/etc/hostname", format!("{}\n", machine.name)),
        // A machine id has 32 hexadecimal digits and is unique (man page machine-id(5)).
        (
            "/etc/machine-id",
            format!("{:032x}\n", machine.address.addr().to_bits()),
        ),
        // The kubelet reports an empty file as an error for ever. This VPC has no name server of its own.
        ("/etc/resolv.conf", "nameserver 10.96.0.10\n".to_owned()),
        ("/etc/containerd/config.toml", containerd_config()),
        (KUBELET_CONFIG, kubelet_config(machine)),
        (PROXY_CONFIG, proxy_config(machine, proxy)),
    ];
    texts
        .into_iter()
        .map(|(path, text)| (PathBuf::from(path), text))
        .collect()
}

/// The programs of a node. `archives` are the image archives to import.
pub(super) fn tasks(machine: &Machine, archives: &[String]) -> Vec<Task> {
    let strings = |list: &[&str]| -> Vec<String> { list.iter().map(|text| (*text).to_owned()).collect() };
    let task = |name: &str, argv: Vec<String>, after: Vec<Condition>, once: bool| Task {
        name: name.to_owned(),
        argv,
        after,
        once,
    };
    let mut tasks = vec![task("containerd", strings(&["containerd"]), vec![], false)];
    let mut images = vec![];
    for archive in archives {
        let name = format!("import-{}", archive.trim_end_matches(".tar"));
        let path = format!("{HOME}/images/{archive}");
        let argv = strings(&["ctr", "-n", "k8s.io", "images", "import", &path]);
        tasks.push(task(
            &name,
            argv,
            vec![Condition::Listens(CONTAINERD_SOCKET.into())],
            true,
        ));
        images.push(Condition::Done(name));
    }
    tasks.push(task("kubelet", kubelet_argv(machine), images, false));
    let proxy = strings(&[&format!("{HOME}/bin/kube-proxy"), "--config", PROXY_CONFIG]);
    tasks.push(task("kube-proxy", proxy, vec![], false));
    tasks
}

fn kubelet_argv(machine: &Machine) -> Vec<String> {
    let labels = [
        ("topology.kubernetes.io/region", &machine.region),
        ("topology.kubernetes.io/zone", &machine.zone),
        ("node.kubernetes.io/instance-type", &machine.instance_type),
    ]
    .map(|(name, value)| format!("{name}={value}"))
    .join(",");
    vec![
        format!("{HOME}/bin/kubelet"),
        format!("--config={KUBELET_CONFIG}"),
        format!("--kubeconfig={}", in_machine("kubelet.kubeconfig").display()),
        format!("--hostname-override={}", machine.name),
        format!("--node-ip={}", machine.address.addr()),
        format!("--provider-id={}.{}", machine.region, machine.instance),
        format!("--node-labels={labels}"),
        "--v=2".to_owned(),
    ]
}

fn kubelet_config(machine: &Machine) -> String {
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": in_machine("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": in_machine("kubelet.crt"),
        "tlsPrivateKeyFile": in_machine("kubelet.key"),
        "address": machine.address.addr(),
        "healthzBindAddress": "127.0.0.1",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "cgroupDriver": "cgroupfs",
        // The root of the machine's cgroup namespace is the machine's own cgroup.
        "cgroupRoot": "/",
        "cgroupsPerQOS": true,
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": false,
        "failSwapOn": false,
        "protectKernelDefaults": false,
        "makeIPTablesUtilChains": false,
        "resolvConf": "/etc/resolv.conf",
        "clusterDNS": ["10.96.0.10"],
        "clusterDomain": "cluster.local",
        "maxPods": 110,
        // The machine shares memory and disk with the host, so a full host must not evict the node's pods.
        "evictionHard": {
            "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
            "imagefs.available": "0%", "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "rotateCertificates": false,
        "serializeImagePulls": false,
        "shutdownGracePeriod": "0s",
        "nodeStatusUpdateFrequency": "5s",
        "nodeLeaseDurationSeconds": 20,
        "configMapAndSecretChangeDetectionStrategy": "Get",
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
    });
    format!("{config:#}\n")
}

/// The configuration of kube-proxy. It has no clusterCIDR: with one, kube-proxy would masquerade the packets that pods
/// send to Services, and these packets would leave by the pod's ENI with the node's address.
fn proxy_config(machine: &Machine, mode: ProxyMode) -> String {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
        "hostnameOverride": machine.name,
        "clientConnection": {"kubeconfig": in_machine("kube-proxy.kubeconfig")},
        // The size of the conntrack table belongs to the host's kernel, so kube-proxy must not set it.
        "conntrack": {
            "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
        },
    });
    format!("{config:#}\n")
}

fn containerd_config() -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE, as in many sandboxes, no process may lower its score.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
    max_conf_num = 1
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::SMALL;

    fn fleet() -> Fleet {
        Fleet::plan(SMALL, &["node1".to_owned(), "node2".to_owned()]).unwrap()
    }

    #[test]
    fn the_kubelet_knows_its_instance_and_zone() {
        let argv = kubelet_argv(&fleet().nodes[0]);
        assert!(argv.contains(&"--provider-id=cn-hangzhou.i-node1".to_owned()));
        let labels = argv.iter().find(|arg| arg.starts_with("--node-labels=")).unwrap();
        assert!(
            labels.contains("topology.kubernetes.io/zone=cn-hangzhou-h"),
            "{labels}"
        );
        assert!(
            labels.contains("node.kubernetes.io/instance-type=ecs.g7.2xlarge"),
            "{labels}"
        );
    }

    #[test]
    fn the_kubelet_waits_for_every_image() {
        let tasks = tasks(&fleet().nodes[0], &["a.tar".to_owned(), "b.tar".to_owned()]);
        let kubelet = tasks.iter().find(|task| task.name == "kubelet").unwrap();
        let done = |name: &str| Condition::Done(name.to_owned());
        assert_eq!(kubelet.after, [done("import-a"), done("import-b")]);
    }

    #[test]
    fn kube_proxy_gets_its_mode_and_no_cluster_cidr() {
        for (mode, name) in [
            (ProxyMode::Nftables, "nftables"),
            (ProxyMode::Iptables, "iptables"),
        ] {
            let config = proxy_config(&fleet().nodes[0], mode);
            assert!(!config.contains("clusterCIDR"));
            assert!(config.contains(&format!("\"mode\": \"{name}\"")), "{config}");
        }
    }

    #[test]
    fn machine_ids_differ() {
        let fleet = fleet();
        let id = |n: usize| {
            files(&fleet.nodes[n], &fleet, ProxyMode::Nftables)[Path::new("/etc/machine-id")].clone()
        };
        assert_eq!(id(0).trim().len(), 32);
        assert_ne!(id(0), id(1));
    }
}
