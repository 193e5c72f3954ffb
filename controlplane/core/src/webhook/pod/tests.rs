//! What is written into pods, and which pods are refused.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::webhook::Reason;

fn settings() -> PodSettings {
    PodSettings {
        enable_trunk: true,
        inject_resources: true,
        every_pod: false,
        stateful_kinds: vec!["CloneSet".to_owned()],
    }
}

/// A pod of a StatefulSet, changed by a merge patch.
fn pod(change: Value) -> Value {
    let mut pod = json!({
        "metadata": {
            "name": "db-0", "namespace": "shop", "labels": { "app": "db" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u", "controller": true }],
        },
        "spec": { "containers": [{ "name": "db", "resources": {} }, { "name": "log", "resources": {} }] },
    });
    json_patch::merge(&mut pod, &change);
    pod
}

fn annotated(name: &str, value: &str) -> Value {
    json!({ "metadata": { "annotations": { name: value } } })
}

fn owned_by(kind: &str) -> Value {
    json!({ "metadata": { "ownerReferences": [{ "apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": "u" }] } })
}

fn networking(name: &str, change: Value) -> PodNetworking {
    let mut object = json!({
        "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "PodNetworking", "metadata": { "name": name },
        "spec": {
            "selector": { "podSelector": { "matchLabels": { "app": "db" } } },
            "vSwitchOptions": ["vsw-1", "vsw-2"], "securityGroupIDs": ["sg-1"], "eniOptions": { "eniType": "Trunk" },
        },
        "status": { "status": "Ready", "vSwitches": [{ "id": "vsw-1", "zone": "h" }, { "id": "vsw-2", "zone": "i" }] },
    });
    json_patch::merge(&mut object, &change);
    serde_json::from_value(object).unwrap()
}

fn by_name(name: &str, change: Value) -> PodNetworking {
    let mut whole = json!({ "spec": { "selector": null } });
    json_patch::merge(&mut whole, &change);
    networking(name, whole)
}

fn fixed() -> Value {
    json!({ "spec": { "allocationType": { "type": "Fixed", "releaseStrategy": "TTL", "releaseAfter": "10m" } } })
}

struct Case {
    pod: Value,
    networkings: Vec<PodNetworking>,
    previous: Option<PodEni>,
    defaults: Result<Option<EniConfig>, ConfigProblem>,
    settings: PodSettings,
}

impl Case {
    fn new(pod: Value, networkings: Vec<PodNetworking>) -> Self {
        Self {
            pod,
            networkings,
            previous: None,
            defaults: Ok(None),
            settings: settings(),
        }
    }

    fn verdict(&self) -> PodVerdict {
        review(&PodReview {
            pod: &serde_json::from_value(self.pod.clone()).unwrap(),
            namespace_labels: &BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
            networkings: &self.networkings,
            previous: self.previous.as_ref(),
            defaults: self.defaults.as_ref().map(Option::as_ref),
            settings: &self.settings,
        })
    }

    fn mutation(&self) -> PodMutation {
        match self.verdict() {
            PodVerdict::Mutated(mutation) => mutation,
            other => panic!("not mutated: {other:?}"),
        }
    }

    /// The pod as the API server stores it.
    fn stored(&self) -> Value {
        let mut pod = self.pod.clone();
        let patch: json_patch::Patch =
            serde_json::from_value(serde_json::to_value(self.mutation().patch).unwrap()).unwrap();
        json_patch::patch(&mut pod, &patch).unwrap();
        serde_json::from_value::<Pod>(pod.clone()).unwrap();
        pod
    }

    fn refusal(&self) -> String {
        match self.verdict() {
            PodVerdict::Denied(refusal) => refusal.to_string(),
            other => panic!("not refused: {other:?}"),
        }
    }

    fn zones(&self) -> Value {
        let required =
            "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
        self.stored().pointer(required).cloned().unwrap_or(Value::Null)
    }
}

fn within(zones: &[&str]) -> Value {
    json!({ "key": "topology.kubernetes.io/zone", "operator": "In", "values": zones })
}

fn networks_of(pod: &Value) -> PodNetworks {
    serde_json::from_str(
        pod["metadata"]["annotations"][annotation::POD_NETWORKS]
            .as_str()
            .unwrap(),
    )
    .unwrap()
}

#[test]
fn a_selected_pod_gets_the_network_in_full_the_resource_and_the_zones() {
    let case = Case::new(pod(json!({})), vec![networking("db", json!({}))]);
    let stored = case.stored();
    let annotations = &stored["metadata"]["annotations"];
    assert_eq!(annotations[annotation::POD_ENI], "true");
    assert_eq!(annotations[annotation::POD_NETWORKING], "db");
    let network = &networks_of(&stored).pod_networks[0];
    assert_eq!(network.interface, "eth0");
    assert_eq!(network.vswitch_options, ["vsw-1", "vsw-2"]);
    assert_eq!(network.security_group_ids, ["sg-1"]);
    let resources = &stored["spec"]["containers"][0]["resources"];
    assert_eq!(resources["requests"]["aliyun/member-eni"], "1");
    assert_eq!(resources["limits"]["aliyun/member-eni"], "1");
    assert_eq!(stored["spec"]["containers"][1]["resources"], json!({}));
    assert_eq!(
        case.zones(),
        json!([{ "matchExpressions": [within(&["h", "i"])] }])
    );
}

#[test]
fn pods_that_are_none_of_our_business_stay_as_they_are() {
    let label = json!({ "metadata": { "labels": { "k8s.aliyun.com/ignore-by-terway": "true" } } });
    for (change, expected) in [
        (json!({ "spec": { "hostNetwork": true } }), Untouched::HostNetwork),
        (json!({ "spec": { "containers": [] } }), Untouched::NoContainers),
        (label, Untouched::LabelledToBeIgnored),
        (
            json!({ "metadata": { "labels": { "app": "web" } } }),
            Untouched::NoNetworkSelectsIt,
        ),
    ] {
        let case = Case::new(pod(change), vec![networking("db", json!({}))]);
        assert_eq!(
            case.verdict(),
            PodVerdict::Untouched {
                reason: expected,
                passed_over: vec![]
            }
        );
    }
}

#[test]
fn both_selectors_must_match_and_none_matches_nothing() {
    let with_namespace = |team: &str| {
        networking(
            "db",
            json!({ "spec": { "selector": { "namespaceSelector": { "matchLabels": { "team": team } } } } }),
        )
    };
    Case::new(pod(json!({})), vec![with_namespace("shop")]).mutation();
    for other in [with_namespace("bank"), by_name("db", json!({}))] {
        let verdict = Case::new(pod(json!({})), vec![other]).verdict();
        assert!(matches!(
            verdict,
            PodVerdict::Untouched {
                reason: Untouched::NoNetworkSelectsIt,
                ..
            }
        ));
    }
}

#[test]
fn the_first_by_name_wins_whatever_the_order_of_the_list() {
    let case = Case::new(
        pod(json!({})),
        vec![networking("b", json!({})), networking("a", json!({}))],
    );
    assert_eq!(
        case.stored()["metadata"]["annotations"][annotation::POD_NETWORKING],
        "a"
    );
}

#[test]
fn a_networking_that_is_not_ready_is_passed_over_with_a_warning() {
    let failing = networking(
        "a",
        json!({ "status": { "status": "Fail", "message": "InvalidVSwitchId.NotFound" } }),
    );
    let only = Case::new(pod(json!({})), vec![failing.clone()]);
    let PodVerdict::Untouched { passed_over, .. } = only.verdict() else {
        panic!("touched")
    };
    assert!(passed_over[0].to_string().contains("InvalidVSwitchId.NotFound"));
    let second = Case::new(pod(json!({})), vec![failing, networking("b", json!({}))]);
    assert_eq!(second.mutation().passed_over.len(), 1);
    assert_eq!(
        second.stored()["metadata"]["annotations"][annotation::POD_NETWORKING],
        "b"
    );
}

#[test]
fn a_fixed_networking_is_passed_over_for_pods_whose_names_are_not_kept() {
    let deployment = Case::new(pod(owned_by("ReplicaSet")), vec![networking("db", fixed())]);
    let PodVerdict::Untouched { passed_over, .. } = deployment.verdict() else {
        panic!("touched")
    };
    let warning = passed_over[0].to_string();
    assert!(
        warning.contains("PodNetworking db") && warning.contains("StatefulSet"),
        "{warning}"
    );
    for kept in [
        pod(json!({})),
        pod(owned_by("CloneSet")),
        pod(json!({ "metadata": { "ownerReferences": null } })),
    ] {
        assert_eq!(
            Case::new(kept, vec![networking("db", fixed())])
                .mutation()
                .passed_over,
            vec![]
        );
    }
}

#[test]
fn a_fixed_pod_goes_back_to_the_zone_of_its_eni() {
    let mut case = Case::new(pod(json!({})), vec![networking("db", fixed())]);
    let mut previous = PodEni::new("db-0", Default::default());
    previous.spec.zone = "i".into();
    case.previous = Some(previous.clone());
    assert_eq!(
        case.zones(),
        json!([{ "matchExpressions": [within(&["h", "i"])] }]),
        "a record without ENIs says nothing"
    );

    previous.spec.allocations.push(Default::default());
    case.previous = Some(previous.clone());
    assert_eq!(
        case.zones(),
        json!([{ "matchExpressions": [within(&["i"]), within(&["h", "i"])] }])
    );

    previous.spec.zone = "gone".into();
    case.previous = Some(previous.clone());
    assert_eq!(
        case.zones(),
        json!([{ "matchExpressions": [within(&["gone"])] }]),
        "the ENI is there and nowhere else"
    );

    case.networkings = vec![networking("db", json!({}))];
    assert_eq!(
        case.zones(),
        json!([{ "matchExpressions": [within(&["h", "i"])] }]),
        "an Elastic pod may go anywhere"
    );
}

#[test]
fn zones_restrict_every_alternative_of_an_affinity_and_widen_none() {
    let affinity = json!({ "spec": { "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": "disk", "operator": "Exists" }] },
            { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n"] }] },
            {},
        ] } }, "podAntiAffinity": {} } } });
    let case = Case::new(pod(affinity), vec![networking("db", json!({}))]);
    let terms = case.zones();
    assert_eq!(
        terms[0]["matchExpressions"],
        json!([{ "key": "disk", "operator": "Exists" }, within(&["h", "i"])])
    );
    assert_eq!(terms[1]["matchExpressions"], json!([within(&["h", "i"])]));
    assert_eq!(
        terms[2],
        json!({}),
        "a term that selects nothing must not begin to select"
    );
    assert!(case.stored()["spec"]["affinity"]["podAntiAffinity"].is_object());
}

#[test]
fn a_daemon_sets_pod_keeps_its_node() {
    let case = Case::new(pod(owned_by("DaemonSet")), vec![networking("db", json!({}))]);
    assert_eq!(case.zones(), Value::Null);
}

#[test]
fn what_the_author_wrote_beside_ours_is_kept() {
    let change = json!({
        "metadata": { "annotations": { "mine": "yes" } },
        "spec": {
            "containers": [{ "name": "db", "resources": { "requests": { "cpu": "1", "aliyun/member-eni": "9" } } }],
            "affinity": { "podAffinity": {} },
        },
    });
    let stored = Case::new(pod(change), vec![networking("db", json!({}))]).stored();
    assert_eq!(stored["metadata"]["annotations"]["mine"], "yes");
    let resources = &stored["spec"]["containers"][0]["resources"];
    assert_eq!(
        *resources,
        json!({ "requests": { "cpu": "1", "aliyun/member-eni": "1" }, "limits": { "aliyun/member-eni": "1" } })
    );
    assert!(stored["spec"]["affinity"]["podAffinity"].is_object());
}

#[test]
fn whole_enis_are_refused_by_type_and_where_there_is_no_trunk() {
    let whole = networking("db", json!({ "spec": { "eniOptions": { "eniType": "ENI" } } }));
    let refusal = Case::new(pod(json!({})), vec![whole]).refusal();
    assert!(refusal.contains("set eniType to Trunk or Default"), "{refusal}");
    let mut case = Case::new(pod(json!({})), vec![networking("db", json!({}))]);
    case.settings.enable_trunk = false;
    let refusal = case.refusal();
    assert!(refusal.contains("set enableTrunk to true"), "{refusal}");
}

#[test]
fn members_are_counted_only_where_resources_are_injected() {
    let count = |case: &Case| case.stored()["spec"]["containers"][0]["resources"]["limits"].clone();
    let mut case = Case::new(pod(json!({})), vec![networking("db", json!({}))]);
    assert_eq!(count(&case), json!({ "aliyun/member-eni": "1" }));
    case.settings.inject_resources = false;
    assert_eq!(count(&case), Value::Null);
}

#[test]
fn networks_asked_for_by_name_become_interfaces() {
    let request = r#"[{"interfaceName":"eth0","network":"a","defaultRoute":true},
        {"interfaceName":"eth1","network":"b","routes":[{"dst":"10.1.0.0/16"}]}]"#;
    let only_h = json!({ "spec": { "vSwitchOptions": ["vsw-1"] } });
    let case = Case::new(
        pod(annotated(annotation::POD_NETWORKS_REQUEST, request)),
        vec![by_name("a", json!({})), by_name("b", only_h)],
    );
    let stored = case.stored();
    let networks = networks_of(&stored).pod_networks;
    assert_eq!(
        (networks[0].interface.as_str(), networks[0].default_route),
        ("eth0", true)
    );
    assert_eq!(networks[1].extra_routes[0].dst, "10.1.0.0/16");
    assert_eq!(
        stored["spec"]["containers"][0]["resources"]["limits"]["aliyun/member-eni"],
        "2"
    );
    assert_eq!(
        case.zones(),
        json!([{ "matchExpressions": [within(&["h"])] }]),
        "the zones in common"
    );
}

#[test]
fn a_request_that_cannot_be_served_is_refused_with_what_to_change() {
    let one = r#"[{"interfaceName":"eth0","network":"a"}]"#;
    let two = r#"[{"interfaceName":"eth0","network":"a"},{"interfaceName":"eth1","network":"b"}]"#;
    let other_type = json!({ "spec": { "eniOptions": { "eniType": "ENI" } } });
    let zone = |id: &str| json!({ "spec": { "vSwitchOptions": [id] } });
    let failing = json!({ "status": { "status": "Fail", "message": "no such vSwitch" } });
    for (request, networkings, words) in [
        ("[]", vec![], "names no network"),
        ("{", vec![], "correct its JSON"),
        (one, vec![], "\"a\", which does not exist"),
        (one, vec![by_name("a", failing)], "no such vSwitch"),
        (one, vec![networking("a", json!({}))], "has a selector"),
        (
            two,
            vec![by_name("a", json!({})), by_name("b", other_type)],
            "different eniTypes",
        ),
        (
            two,
            vec![by_name("a", zone("vsw-1")), by_name("b", zone("vsw-2"))],
            "no zone in common",
        ),
    ] {
        let text = Case::new(
            pod(annotated(annotation::POD_NETWORKS_REQUEST, request)),
            networkings,
        )
        .refusal();
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
}

#[test]
fn a_request_without_an_interface_name_is_for_eth0() {
    let request = r#"[{"network":"a"}]"#;
    let asking = pod(annotated(annotation::POD_NETWORKS_REQUEST, request));
    let stored = Case::new(asking, vec![by_name("a", json!({}))]).stored();
    assert_eq!(networks_of(&stored).pod_networks[0].interface, "eth0");
}

#[test]
fn networks_written_by_hand_are_checked() {
    let network = |change: Value| {
        let mut network = json!({ "interface": "eth0", "vSwitchOptions": ["v"], "securityGroupIDs": ["s"] });
        json_patch::merge(&mut network, &change);
        network
    };
    let text_of = |networks: Vec<Value>| json!({ "podNetworks": networks }).to_string();
    let good = Case::new(
        pod(annotated(
            annotation::POD_NETWORKS,
            &text_of(vec![network(json!({}))]),
        )),
        vec![],
    );
    assert_eq!(
        networks_of(&good.stored()).pod_networks[0].allocation_type,
        Some(Default::default())
    );
    assert_eq!(good.zones(), Value::Null);

    let eleven: Vec<String> = (0..11).map(|n| format!("sg-{n}")).collect();
    for (networks, words) in [
        (vec![], "names no network"),
        (vec![network(json!({ "interface": "" }))], "1 to 5"),
        (vec![network(json!({ "interface": "net100" }))], "1 to 5"),
        (vec![network(json!({ "interface": "a/b" }))], "1 to 5"),
        (vec![network(json!({})), network(json!({}))], "asked for twice"),
        (vec![network(json!({ "securityGroupIDs": eleven }))], "at most 10"),
        (
            vec![network(json!({ "interface": "eth1", "vSwitchOptions": null }))],
            "has no vSwitch",
        ),
        (
            vec![network(json!({ "securityGroupIDs": null }))],
            "has no security group",
        ),
        (
            vec![network(json!({ "eniOptions": { "eniType": "Huge" } }))],
            "Default, ENI, Trunk",
        ),
        (
            vec![network(json!({ "extraRoutes": [{ "dst": "10.1.0.0" }] }))],
            "as a CIDR",
        ),
        (
            vec![network(json!({ "allocationType": { "type": "Fixed" } }))],
            "needs releaseStrategy",
        ),
        (
            vec![
                network(json!({ "defaultRoute": true })),
                network(json!({ "interface": "eth1", "defaultRoute": true })),
            ],
            "defaultRoute on one",
        ),
    ] {
        let text = Case::new(
            pod(annotated(annotation::POD_NETWORKS, &text_of(networks))),
            vec![],
        )
        .refusal();
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
}

#[test]
fn a_fixed_network_on_a_deployments_pod_is_refused() {
    let fixed = r#"{"podNetworks":[{"interface":"eth0","vSwitchOptions":["v"],"securityGroupIDs":["s"],
        "allocationType":{"type":"Fixed","releaseStrategy":"Never"}}]}"#;
    let mut replica = owned_by("ReplicaSet");
    json_patch::merge(&mut replica, &annotated(annotation::POD_NETWORKS, fixed));
    let text = Case::new(pod(replica), vec![]).refusal();
    assert!(
        text.contains("belongs to a ReplicaSet") && text.contains("use a StatefulSet"),
        "{text}"
    );
}

#[test]
fn annotations_that_exclude_each_other_are_named() {
    let change = json!({ "metadata": { "annotations": {
        annotation::POD_NETWORKS: "{}", annotation::POD_NETWORKING: "db",
    } } });
    let text = Case::new(pod(change), vec![]).refusal();
    assert!(
        text.contains("k8s.aliyun.com/pod-networks and k8s.aliyun.com/pod-networking"),
        "{text}"
    );
}

#[test]
fn a_pod_that_only_wants_an_eni_takes_the_clusters_defaults() {
    let mut case = Case::new(pod(annotated(annotation::POD_ENI, "true")), vec![]);
    assert!(case.refusal().contains("eni-config"));
    let config = |text| EniConfig::parse(text, None);
    case.defaults = config(r#"{"vswitches":{"h":["vsw-9"]},"security_groups":["sg-9"]}"#).map(Some);
    let network = &networks_of(&case.stored()).pod_networks[0];
    assert_eq!(
        (&network.vswitch_options[0], &network.security_group_ids[0]),
        (&"vsw-9".to_owned(), &"sg-9".to_owned())
    );
    case.pod = pod(json!({}));
    assert!(matches!(case.verdict(), PodVerdict::Untouched { .. }));
    case.settings.every_pod = true;
    case.mutation();
    // A pod that needs no default starts whatever is wrong with eni-config.
    case.defaults = config(r#"{"security_groups": ["sg-9"], "min_pool_size": "many"}"#).map(Some);
    assert!(case.refusal().contains("min_pool_size"), "{}", case.refusal());
    case.settings.every_pod = false;
    case.networkings = vec![networking("db", json!({}))];
    case.mutation();
}

#[test]
fn reasons_are_values() {
    let case = Case::new(pod(json!({})), vec![networking("db", json!({ "status": null }))]);
    let labels = BTreeMap::from([("app".to_owned(), "db".to_owned())]);
    let selection = matching::select(&case.networkings, &labels, &BTreeMap::new(), true);
    assert_eq!(selection.passed_over[0].reason, Reason::NotLookedAt);
}

proptest! {
    /// Whatever shape a pod has, the patch applies to it, and only adds.
    #[test]
    fn the_patch_applies_to_any_pod(
        annotations in proptest::option::of(Just(json!({ "a~/b": "c" }))),
        resources in prop_oneof![
            Just(Value::Null), Just(json!({})), Just(json!({ "requests": {} })), Just(json!({ "limits": { "cpu": "1" } })),
        ],
        affinity in prop_oneof![
            Just(Value::Null), Just(json!({})), Just(json!({ "nodeAffinity": {} })),
            Just(json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [] } } })),
            Just(json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n"] }] }] } } })),
        ],
        tolerations in proptest::option::of(Just(json!([{ "operator": "Exists", "fromTheFuture": 1 }]))),
    ) {
        let change = json!({
            "metadata": { "annotations": annotations },
            "spec": {
                "containers": [{ "name": "db", "resources": resources }],
                "affinity": affinity, "tolerations": tolerations,
            },
        });
        let before = pod(change);
        let after = Case::new(before.clone(), vec![networking("db", json!({}))]).stored();
        for path in ["/metadata/annotations/a~0~1b", "/spec/tolerations", "/spec/containers/0/resources/limits/cpu"] {
            prop_assert_eq!(before.pointer(path), after.pointer(path).filter(|_| before.pointer(path).is_some()));
        }
    }
}
