//! The plan of the control machine: etcd, kube-apiserver, kube-controller-manager, kube-scheduler.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use super::credentials::{APISERVER_PORT, SERVICE_CIDR, in_machine};
use crate::machine::HOME;
use crate::machine::tasks::{Condition, Task};
use crate::options::Options;
use crate::world::Machine;

/// Path of the audit policy in the machine.
pub(super) const AUDIT_POLICY: &str = "/mnt/lab/audit-policy.yaml";

/// The programs of the control machine.
pub(super) fn tasks(machine: &Machine, options: &Options) -> Vec<Task> {
    let ready = Condition::ApiserverReady {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, APISERVER_PORT)),
        ca: in_machine("ca.crt"),
        certificate: in_machine("admin.crt"),
        key: in_machine("admin.key"),
    };
    let task = |name: &str, flags: BTreeMap<String, String>, after: Vec<Condition>| Task {
        name: name.to_owned(),
        argv: std::iter::once(format!("{HOME}/bin/{name}"))
            .chain(flags.into_iter().map(|(flag, value)| format!("--{flag}={value}")))
            .collect(),
        after,
        once: false,
    };
    vec![
        task("etcd", etcd_flags(), vec![]),
        task("kube-apiserver", apiserver_flags(machine, options), vec![]),
        // Both programs wait for the API server, because they would fail during the bootstrap of RBAC and then wait
        // long.
        task(
            "kube-controller-manager",
            controller_manager_flags(options),
            vec![ready.clone()],
        ),
        task("kube-scheduler", scheduler_flags(), vec![ready]),
    ]
}

type Flags = BTreeMap<String, String>;

fn flags<const N: usize>(list: [(&str, &str); N]) -> Flags {
    list.into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn pki(name: &str) -> String {
    in_machine(name).to_string_lossy().into_owned()
}

fn etcd_flags() -> Flags {
    flags([
        ("data-dir", "/var/lib/etcd"),
        ("listen-client-urls", "http://127.0.0.1:2379"),
        ("advertise-client-urls", "http://127.0.0.1:2379"),
        ("listen-peer-urls", "http://127.0.0.1:2380"),
        // The data is in memory and ends with the machine, so fsync is off.
        ("unsafe-no-fsync", "true"),
        ("log-level", "warn"),
    ])
}

fn apiserver_flags(machine: &Machine, options: &Options) -> Flags {
    let address = machine.address.addr().to_string();
    let port = APISERVER_PORT.to_string();
    let mut all = flags([
        ("etcd-servers", "http://127.0.0.1:2379"),
        ("bind-address", "0.0.0.0"),
        ("secure-port", &port),
        ("advertise-address", &address),
        ("service-cluster-ip-range", SERVICE_CIDR),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        // kube-apiserver calls webhooks at their endpoints, because this machine has no kube-proxy and the VPC has no
        // Service CIDR.
        ("enable-aggregator-routing", "true"),
        ("client-ca-file", &pki("ca.crt")),
        // No aggregated API server uses this CA, but the controller-manager waits for it without end.
        ("requestheader-client-ca-file", &pki("ca.crt")),
        ("requestheader-allowed-names", "front-proxy"),
        ("requestheader-username-headers", "X-Remote-User"),
        ("tls-cert-file", &pki("apiserver.crt")),
        ("tls-private-key-file", &pki("apiserver.key")),
        ("service-account-issuer", "https://kubernetes.default.svc"),
        ("service-account-key-file", &pki("tokens.pub")),
        ("service-account-signing-key-file", &pki("tokens.key")),
        ("kubelet-certificate-authority", &pki("ca.crt")),
        ("kubelet-client-certificate", &pki("kubelets.crt")),
        ("kubelet-client-key", &pki("kubelets.key")),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("allow-privileged", "true"),
        ("profiling", "false"),
    ]);
    if options.audit_policy.is_some() {
        all.extend(flags([
            ("audit-policy-file", AUDIT_POLICY),
            ("audit-log-path", &format!("{HOME}/log/audit.log")),
        ]));
    }
    all.extend(options.apiserver_flags.clone());
    all
}

fn controller_manager_flags(options: &Options) -> Flags {
    let kubeconfig = pki("controller-manager.kubeconfig");
    flags([
        ("kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("service-account-private-key-file", &pki("tokens.key")),
        ("root-ca-file", &pki("ca.crt")),
        ("use-service-account-credentials", "true"),
        // There is only one replica, so it needs no leader election.
        ("leader-elect", "false"),
        ("kube-api-qps", "300"),
        ("kube-api-burst", "600"),
        (
            "node-monitor-grace-period",
            &format!("{}s", options.node_grace_seconds),
        ),
        ("bind-address", "127.0.0.1"),
        // The default path is below the read-only root.
        ("flex-volume-plugin-dir", "/var/lib/flex-volumes"),
    ])
}

fn scheduler_flags() -> Flags {
    let kubeconfig = pki("scheduler.kubeconfig");
    flags([
        ("kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("leader-elect", "false"),
        ("kube-api-qps", "300"),
        ("kube-api-burst", "600"),
        ("bind-address", "127.0.0.1"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Fleet, SMALL};

    fn control_tasks(options: &Options) -> Vec<Task> {
        tasks(&Fleet::plan(SMALL, &options.nodes).unwrap().control, options)
    }

    #[test]
    fn a_users_flag_replaces_ours() {
        let mut options = Options::default();
        options
            .apiserver_flags
            .insert("profiling".to_owned(), "true".to_owned());
        let argv = &control_tasks(&options)[1].argv;
        assert!(argv.contains(&"--profiling=true".to_owned()));
        assert!(!argv.contains(&"--profiling=false".to_owned()));
    }

    #[test]
    fn what_needs_rbac_waits_for_the_apiserver() {
        let tasks = control_tasks(&Options::default());
        let waiting: Vec<_> = tasks
            .iter()
            .filter(|t| !t.after.is_empty())
            .map(|t| &t.name)
            .collect();
        assert_eq!(waiting, ["kube-controller-manager", "kube-scheduler"]);
    }
}
