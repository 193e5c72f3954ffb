//! Every name that other programs and people rely on: labels, annotations, finalizers, event reasons, extended
//! resources, cloud tags and the names of the installed objects.
//!
//! These names are part of upstream's contract, and this version neither reads nor writes them. They become constants
//! when a feature needs them, and they never get another meaning:
//!
//! - labels: `k8s.aliyun.com/pod-eni` on namespaces (value `false`: its pods are not mutated), `app` on the agent's
//!   pods (`terway-eniip`), `k8s-app` on the control plane's pods (`terway-controlplane`), and the value `default` of
//!   `k8s.aliyun.com/exclusive-mode-eni-type`;
//! - annotations of pods: `k8s.aliyun.com/pod-ip-reservation`, `k8s.aliyun.com/network-priority`
//!   (`guaranteed`, `burstable` or `best-effort`), `k8s.aliyun.com/ingress-bandwidth`,
//!   `k8s.aliyun.com/egress-bandwidth`, `kubernetes.io/ingress-bandwidth` and `cpuSet`;
//! - annotations of nodes: `k8s.aliyun.com/max-erdma-ip` and `alibabacloud.com/instance-type-info`; of PodENI,
//!   NetworkInterface and Node objects: `k8s.aliyun.com/eno-api`;
//! - reasons of events: `DeleteENISucceed`, `UpdatePodENIFailed`, `DeletePodENIFailed`, `PodDeleteFailed`,
//!   `SyncOpenAPIFailed`, `VirtualModeChanged`, `PrefixModeImmutable` and `ParseFailed`; actions of events:
//!   `UpdatePodENI` and `DeletePod`;
//! - the extended resource `aliyun/erdma`, and the value `terway` of the tag `creator` (ENIs of upstream's daemon).

/// API group of the custom resources.
pub const GROUP: &str = "network.alibabacloud.com";
/// API version of the custom resources.
pub const VERSION: &str = "v1beta1";
/// `group/version` of the custom resources.
pub const API_VERSION: &str = "network.alibabacloud.com/v1beta1";

/// Labels.
pub mod label {
    /// On pods and nodes, value `true`: leave it alone.
    pub const IGNORE: &str = "k8s.aliyun.com/ignore-by-terway";
    /// On nodes: `eniOnly` or `default`, compared without regard to case.
    pub const EXCLUSIVE_MODE: &str = "k8s.aliyun.com/exclusive-mode-eni-type";
    /// On nodes, value `true`: a Lingjun worker.
    pub const LINGJUN_WORKER: &str = "alibabacloud.com/lingjun-worker";
    /// On PodENI and NetworkInterface: the node it is on.
    pub const NODE: &str = "k8s.aliyun.com/node";
    /// On Node and NodeRuntime objects of our group: the node's name.
    pub const NODE_NAME: &str = "name";
    /// On nodes: the ConfigMap in kube-system that changes eni-config for this node.
    pub const DYNAMIC_CONFIG: &str = "terway-config";
    /// On nodes: kind of node; `virtual-kubelet` is left alone.
    pub const NODE_TYPE: &str = "type";
    /// On nodes: region.
    pub const REGION: &str = "topology.kubernetes.io/region";
    /// On nodes: zone.
    pub const ZONE: &str = "topology.kubernetes.io/zone";
    /// On nodes: zone, as old clusters write it.
    pub const ZONE_BETA: &str = "failure-domain.beta.kubernetes.io/zone";
    /// On nodes: instance type.
    pub const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
    /// Value of [`NODE_TYPE`] for virtual nodes.
    pub const NODE_TYPE_VIRTUAL_KUBELET: &str = "virtual-kubelet";
    /// Value of [`EXCLUSIVE_MODE`]: whole ENIs only.
    pub const EXCLUSIVE_ENI_ONLY: &str = "eniOnly";
}

/// Annotations.
pub mod annotation {
    /// On pods, value `true`: the pod has ENIs of its own.
    pub const POD_ENI: &str = "k8s.aliyun.com/pod-eni";
    /// On pods: the PodNetworking that matched.
    pub const POD_NETWORKING: &str = "k8s.aliyun.com/pod-networking";
    /// On pods: the networks in full, as JSON.
    pub const POD_NETWORKS: &str = "k8s.aliyun.com/pod-networks";
    /// On pods: PodNetworkings by name, one for each interface, as JSON.
    pub const POD_NETWORKS_REQUEST: &str = "k8s.aliyun.com/pod-networks-request";
    /// On PodENI: UID of the pod the allocation is for.
    pub const POD_UID: &str = "k8s.aliyun.com/pod-uid";
    /// On pods: their addresses, joined by commas.
    pub const POD_IPS: &str = "k8s.aliyun.com/pod-ips";
    /// On pods, where the control plane sends traces: when the webhook reviewed the pod.
    pub const ADMITTED: &str = "network.alibabacloud.com/admitted";
    /// On pods: inbound bandwidth.
    pub const INGRESS_BANDWIDTH: &str = "kubernetes.io/ingress-bandwidth";
    /// On pods: outbound bandwidth.
    pub const EGRESS_BANDWIDTH: &str = "kubernetes.io/egress-bandwidth";
    /// On nodes: id of the trunk ENI.
    pub const TRUNK_ON: &str = "k8s.aliyun.com/trunk-on";
    /// On nodes: addresses that pods can have.
    pub const MAX_AVAILABLE_IP: &str = "k8s.aliyun.com/max-available-ip";
    /// On nodes: trunk members that pods can have.
    pub const MAX_MEMBER_ENI_IP: &str = "k8s.aliyun.com/max-member-eni-ip";
    /// On definitions: version of the schema.
    pub const CRD_VERSION: &str = "crd.network.alibabacloud.com/version";
}

/// Finalizers.
pub mod finalizer {
    /// On PodENI.
    pub const POD_ENI: &str = "network.alibabacloud.com/pod-eni";
    /// On PodENI of very old versions; only ever removed.
    pub const POD_ENI_OLD: &str = "pod-eni";
    /// On NetworkInterface.
    pub const ENI: &str = "network.alibabacloud.com/eni";
    /// On Node objects of our group.
    pub const NODE: &str = "network.alibabacloud.com/node-controller";
}

/// Reasons of events.
pub mod event {
    pub const CREATE_ENI_SUCCEED: &str = "CreateENISucceed";
    pub const CREATE_ENI_FAILED: &str = "CreateENIFailed";
    pub const ATTACH_ENI_SUCCEED: &str = "AttachENISucceed";
    pub const ATTACH_ENI_FAILED: &str = "AttachENIFailed";
    pub const DETACH_ENI_SUCCEED: &str = "DetachENISucceed";
    pub const DETACH_ENI_FAILED: &str = "DetachENIFailed";
    pub const DELETE_ENI_FAILED: &str = "DeleteENIFailed";
    pub const POD_CREATE_FAILED: &str = "PodCreateFailed";
    pub const SYNC_POD_NETWORKING_SUCCEED: &str = "SyncPodNetworkingSucceed";
    pub const SYNC_POD_NETWORKING_FAILED: &str = "SyncPodNetworkingFailed";
    pub const CONFIG_ERROR: &str = "ConfigError";
    /// On pods: a PodNetworking selects the pod, and the pod has no network of it. Our own.
    pub const NETWORK_MISSING: &str = "NetworkMissing";
    pub const ALLOC_IP_SUCCEED: &str = "AllocIPSucceed";
    pub const ALLOC_IP_FAILED: &str = "AllocIPFailed";
    /// On a pod whose ADD waits. Our own.
    pub const ALLOC_IP_WAITS: &str = "AllocIPWaits";
    pub const SYNC_OPENAPI_SUCCESS: &str = "SyncOpenAPISuccess";
    pub const CONFIG_CHECK: &str = "ConfigCheck";
    /// On pods: an annotation that limits the bandwidth is not served on this node. Our own.
    pub const BANDWIDTH_NOT_SERVED: &str = "BandwidthNotServed";
    pub const RESOURCE_INVALID: &str = "ResourceInvalid";
    /// On the control plane's pod: calls to the cloud cannot work. Our own.
    pub const CLOUD_CALLS_FAIL: &str = "CloudCallsFail";
    /// On the control plane's pod: they work again. Our own.
    pub const CLOUD_CALLS_WORK: &str = "CloudCallsWork";
}

/// Actions of events.
pub mod action {
    pub const CREATE_ENI: &str = "CreateENI";
    pub const CALL_CLOUD: &str = "CallCloud";
    pub const ATTACH_ENI: &str = "AttachENI";
    pub const DETACH_ENI: &str = "DetachENI";
    pub const DELETE_ENI: &str = "DeleteENI";
    pub const SYNC_POD_NETWORKING: &str = "SyncPodNetworking";
    pub const CONFIG: &str = "Config";
    pub const ALLOC_IP: &str = "AllocIP";
    pub const SYNC_OPENAPI: &str = "SyncOpenAPI";
    pub const CREATE_POD: &str = "CreatePod";
}

/// Condition types and their reasons.
pub mod condition {
    /// On Kubernetes nodes: pods can still get addresses.
    pub const SUFFICIENT_IP: &str = "SufficientIP";
    /// Reason of a False [`SUFFICIENT_IP`]; also a per-ENI condition of Node objects of our group.
    pub const INSUFFICIENT_IP: &str = "InsufficientIP";
    /// Per-ENI condition of Node objects of our group: the last cloud error.
    pub const OPERATION_ERR: &str = "OperationErr";
    /// On PodNetworking, PodENI and NetworkInterface: it can be used.
    pub const READY: &str = "Ready";
    /// On PodNetworking: workloads it selects and cannot serve.
    pub const PASSED_OVER: &str = "WorkloadsPassedOver";
    /// On PodNetworking: living pods it selects that have no network of it.
    pub const UNSERVED: &str = "PodsWithoutNetwork";
}

/// Extended resources of nodes.
pub mod resource {
    /// Slots for whole ENIs.
    pub const ENI: &str = "aliyun/eni";
    /// Slots for trunk members.
    pub const MEMBER_ENI: &str = "aliyun/member-eni";
}

/// Tags of ENIs in the cloud.
pub mod tag {
    /// Cluster that made the ENI.
    pub const CLUSTER: &str = "ack.aliyun.com";
    /// Program that made the ENI.
    pub const CREATOR: &str = "creator";
    /// Value of [`CREATOR`] on ENIs made for pods and nodes by the control plane.
    pub const CREATOR_CONTROLLER: &str = "terway-controller";
    /// Intent the ENI was made for: UID, index and attempt.
    pub const INTENT: &str = "terway.alibabacloud.com/intent";
}

/// Names of the objects a cluster has.
pub mod object {
    /// Name of the control plane, of its Lease and of its webhook configurations.
    pub const CONTROL_PLANE: &str = "terway-controlplane";
    /// Name of the agent's DaemonSet.
    pub const AGENT: &str = "terway-eniip";
    /// Namespace everything is installed in.
    pub const NAMESPACE: &str = "kube-system";
    /// ConfigMap with the cluster's defaults.
    pub const ENI_CONFIG: &str = "eni-config";
    /// Key in [`ENI_CONFIG`] and in the ConfigMaps of single nodes.
    pub const ENI_CONFIG_KEY: &str = "eni_conf";
}
