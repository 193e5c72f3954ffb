//! A whole lab comes up, carries packets over the simulated VPC, runs pods, and leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what is wrong by panicking"
)]

mod remains;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lab::down::{Found, down};
use lab::state::StateDir;
use lab::{Cluster, ClusterError, Options};
use remains::Footprint;

/// Lets one lab start at a time, because a lab needs both cores while it starts.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn options(dir: &Path) -> Options {
    Options {
        state_dir: Some(dir.to_path_buf()),
        port: 0,
        ..Options::default()
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn kubectl(cluster: &Cluster, arguments: &str) -> Result<String, String> {
    let output = cluster
        .kubectl()
        .unwrap()
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    if output.status.success() {
        Ok(text(&output))
    } else {
        Err(text(&output))
    }
}

fn exec(cluster: &Cluster, machine: &str, command: &[&str]) -> Result<String, String> {
    let output = cluster.exec(machine).unwrap().args(command).output().unwrap();
    if output.status.success() {
        Ok(text(&output))
    } else {
        Err(text(&output))
    }
}

fn wait_until(what: &str, seconds: u64, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "still not true after {seconds} s: {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_lab_runs_pods_over_the_simulated_vpc_and_leaves_nothing() {
    let _one = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let cluster = Cluster::up(&options(dir.path()), |step| eprintln!("{step}")).unwrap();
    eprintln!("up after {:.1} s", started.elapsed().as_secs_f32());
    let footprint = Footprint::of(cluster.state(), cluster.machines());

    let status =
        "jsonpath={range.items[*]}{.metadata.name}={.spec.providerID}={.status.conditions[-1].status};{end}";
    let nodes = kubectl(&cluster, &format!("get nodes -o {status}")).unwrap();
    assert_eq!(
        nodes,
        "node1=cn-hangzhou.i-node1=False;node2=cn-hangzhou.i-node2=False;"
    );

    packets_cross_the_vpc(&cluster);
    a_host_network_pod_runs_before_there_is_a_network_plugin(&cluster);
    a_service_is_translated_on_the_node(&cluster);
    a_reference_plugin_makes_a_node_ready(&cluster);
    a_rebooted_node_keeps_its_disk_and_runs_its_pods_again(&cluster);

    let again = Cluster::up(&options(dir.path()), |_| {});
    assert!(
        matches!(again, Err(ClusterError::Up { .. })),
        "a second lab came up in the same folder"
    );

    let started = Instant::now();
    cluster.down().unwrap();
    eprintln!("down after {:.1} s", started.elapsed().as_secs_f32());
    footprint.assert_gone();
}

fn packets_cross_the_vpc(cluster: &Cluster) {
    for (from, to) in [
        ("node1", "10.0.0.12"),
        ("node2", "10.0.0.11"),
        ("node1", "10.0.0.10"),
    ] {
        let ping = ["busybox", "ping", "-c", "1", "-W", "2", to];
        exec(cluster, from, &ping).unwrap_or_else(|err| panic!("{from} cannot ping {to}: {err}"));
    }
    let forwarded = cluster.admin().get("/fabric/counters").unwrap();
    assert!(
        forwarded.contains("eni-node1"),
        "the fabric has not seen node1: {forwarded}"
    );
    // A machine has its own host name, processes and root.
    assert_eq!(exec(cluster, "node1", &["hostname"]).unwrap().trim(), "node1");
    assert!(
        exec(cluster, "node1", &["touch", "/usr/probe"]).is_err(),
        "the host's root is writable"
    );
    let command = exec(cluster, "node1", &["cat", "/proc/1/cmdline"]).unwrap();
    assert!(command.contains("machine-init"), "{command}");
}

fn a_host_network_pod_runs_before_there_is_a_network_plugin(cluster: &Cluster) {
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"host","labels":{"app":"host"}},"spec":{
        "hostNetwork":true,"nodeSelector":{"kubernetes.io/hostname":"node1"},"tolerations":[{"operator":"Exists"}],
        "containers":[{"name":"c","image":"lab.local/agnhost:1","args":["netexec","--http-port=8080"],
        "readinessProbe":{"httpGet":{"path":"/healthz","port":8080},"periodSeconds":1}}]}}"#;
    apply(cluster, pod);
    kubectl(cluster, "wait --for=condition=Ready pod/host --timeout=60s").unwrap();
    // These two requests go from the API server to the kubelet, over the fabric.
    assert!(
        kubectl(cluster, "logs host")
            .unwrap()
            .contains("Started HTTP server")
    );
    assert!(
        kubectl(cluster, "exec host -- /agnhost --help")
            .unwrap()
            .contains("Usage")
    );
}

fn a_service_is_translated_on_the_node(cluster: &Cluster) {
    kubectl(
        cluster,
        "expose pod host --port=80 --target-port=8080 --cluster-ip=10.96.7.7",
    )
    .unwrap();
    let get = ["curl", "-s", "-m", "2", "http://10.96.7.7/hostname"];
    wait_until("node2 reaches the Service", 20, || {
        exec(cluster, "node2", &get).is_ok_and(|answer| answer.trim() == "node1")
    });
    let version = exec(
        cluster,
        "node2",
        &["curl", "-sk", "-m", "5", "https://10.96.0.1/version"],
    )
    .unwrap();
    assert!(version.contains(lab::binaries::KUBERNETES_VERSION), "{version}");
}

fn a_reference_plugin_makes_a_node_ready(cluster: &Cluster) {
    let conflist = r#"{"cniVersion":"0.4.0","name":"t","plugins":[{"type":"ptp","ipam":{"type":"host-local",
        "subnet":"10.89.1.0/24","dataDir":"/run/cni-ipam","routes":[{"dst":"0.0.0.0/0"}]}}]}"#;
    let write = format!("cat > /etc/cni/net.d/10-t.conflist <<'EOF'\n{conflist}\nEOF");
    exec(cluster, "node1", &["sh", "-c", &write]).unwrap();
    kubectl(cluster, "wait --for=condition=Ready node/node1 --timeout=60s").unwrap();
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pod"},"spec":{"nodeName":"node1",
        "containers":[{"name":"c","image":"lab.local/busybox:1","command":["httpd","-f","-p","8080"],
        "readinessProbe":{"tcpSocket":{"port":8080},"periodSeconds":1}}]}}"#;
    apply(cluster, pod);
    kubectl(cluster, "wait --for=condition=Ready pod/pod --timeout=60s").unwrap();
    let address = kubectl(cluster, "get pod pod -o jsonpath={.status.podIP}").unwrap();
    assert!(address.starts_with("10.89.1."), "{address}");
}

fn a_rebooted_node_keeps_its_disk_and_runs_its_pods_again(cluster: &Cluster) {
    let boot = "get node node1 -o jsonpath={.status.nodeInfo.bootID}";
    let restarts = "get pod pod -o jsonpath={.status.containerStatuses[0].restartCount}";
    let before = kubectl(cluster, boot).unwrap();
    assert_eq!(kubectl(cluster, restarts).unwrap(), "0");
    let mark = "echo kept >/var/lib/mark; echo lost >/run/mark; ip rule add pref 512 from 10.9.9.9 lookup 77";
    exec(cluster, "node1", &["sh", "-c", mark]).unwrap();

    lab::reboot::reboot(cluster.state(), &cluster.admin(), "node1").unwrap();
    wait_until("the kubelet tells of another boot", 60, || {
        kubectl(cluster, boot).is_ok_and(|now| now != before)
    });
    wait_until("the pod's container was started again", 60, || {
        kubectl(cluster, restarts).is_ok_and(|count| count == "1")
    });
    kubectl(cluster, "wait --for=condition=Ready pod/pod --timeout=60s").unwrap();
    assert_eq!(
        exec(cluster, "node1", &["cat", "/var/lib/mark"]).unwrap(),
        "kept\n"
    );
    assert!(exec(cluster, "node1", &["cat", "/run/mark"]).is_err());
    let rules = exec(cluster, "node1", &["ip", "rule"]).unwrap();
    assert!(!rules.contains("10.9.9.9"), "{rules}");
    let ping = ["busybox", "ping", "-c", "1", "-W", "2", "10.0.0.12"];
    exec(cluster, "node1", &ping).unwrap();
    assert!(lab::reboot::reboot(cluster.state(), &cluster.admin(), "control").is_err());
}

fn apply(cluster: &Cluster, manifest: &str) {
    let file = cluster.state().root().join("manifest.json");
    std::fs::write(&file, manifest).unwrap();
    kubectl(cluster, &format!("apply -f {}", file.display())).unwrap();
}

#[test]
fn what_a_killed_supervisor_leaves_is_removed_by_down() {
    let _one = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::up(&options(dir.path()), |_| {}).unwrap();
    let footprint = Footprint::of(cluster.state(), cluster.machines());
    let state = cluster.state().clone();
    // The lab is detached, so that only `down` removes it.
    cluster.detach().unwrap();
    let supervisor = state.supervisor().unwrap().expect("a living supervisor");
    kill(supervisor);
    wait_until("the machines died with the supervisor", 20, || {
        footprint.processes().is_empty()
    });
    assert_eq!(down(&state).unwrap(), Found::Remains);
    footprint.assert_gone();
    assert_eq!(down(&state).unwrap(), Found::Nothing);
}

#[test]
fn a_lab_goes_when_its_caller_is_killed_at_any_moment() {
    let _one = one_at_a_time();
    for step in ["the simulated cloud answers", "node1 is on", "up; the nodes wait"] {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let log = dir.path().join("up.log");
        let mut up = Command::new(env!("CARGO_BIN_EXE_lab"))
            .arg("--state-dir")
            .arg(dir.path())
            .args(["up", "--port=0", "--dies-with-caller"])
            .stdout(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        wait_until(step, 120, || {
            assert!(up.try_wait().unwrap().is_none(), "`lab up` ended before: {step}");
            std::fs::read_to_string(&log).unwrap().contains(step)
        });
        let footprint = Footprint::of(&state, &["control", "node1", "node2"].map(str::to_owned));
        up.kill().unwrap();
        up.wait().unwrap();
        wait_until("the supervisor has cleaned up", 30, || {
            state.supervisor().unwrap().is_none()
        });
        footprint.assert_gone();
    }
}

#[test]
fn a_world_without_the_nodes_is_refused_before_anything_starts() {
    let _one = one_at_a_time();
    let dir = tempfile::tempdir().unwrap();
    let world = dir.path().join("mine.yaml");
    std::fs::write(&world, "region: r\nvSwitches: []\ninstances: []\n").unwrap();
    let options = Options {
        world: Some(world),
        ..options(dir.path())
    };
    let Err(err) = Cluster::up(&options, |_| {}) else {
        panic!("came up without machines")
    };
    assert!(err.to_string().contains("no instance 'i-node1'"), "{err}");
    Footprint::of(&StateDir::open(dir.path()).unwrap(), &[]).assert_gone();
}

#[allow(clippy::cast_possible_wrap, reason = "process ids fit")]
fn kill(pid: u32) {
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid as i32),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
}
