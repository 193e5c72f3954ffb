//! The admin API over TCP and over a unix socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::bench::{Bench, admin, quick_world};
use cloudsim::admin::Address;
use cloudsim::{Options, Simulator};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn state_and_call_log_tell_what_happened() {
    let bench = Bench::start(quick_world()).await;
    let eni = bench
        .create(&[
            ("ClientToken", "token-1"),
            ("Tag.1.Key", "a"),
            ("Tag.1.Value", "b"),
        ])
        .await;
    let (status, state) = admin(&bench, Method::GET, "/state", None).await;
    assert_eq!(status, 200);
    let shown = state["enis"]
        .as_array()
        .expect("ENIs")
        .iter()
        .find(|shown| shown["id"] == eni.as_str());
    let shown = shown.expect("the ENI shows");
    assert_eq!(
        (&shown["status"], &shown["type"], &shown["tags"]["a"]),
        (&json!("Available"), &json!("Secondary"), &json!("b"))
    );
    let (_, log) = admin(&bench, Method::GET, "/call-log", None).await;
    let call = &log[0];
    assert_eq!(
        (&call["seq"], &call["action"], &call["outcome"]),
        (&json!(1), &json!("CreateNetworkInterface"), &json!("OK"))
    );
    assert_eq!(
        (&call["eniId"], &call["clientToken"]),
        (&json!(eni), &json!("token-1"))
    );
    assert!(!log.to_string().contains("lab-ak"), "no key in the log");
    let (_, log) = admin(&bench, Method::GET, "/call-log?since=1", None).await;
    assert_eq!(log, json!([]));
}

#[tokio::test]
async fn instances_come_and_go_with_their_enis() {
    let bench = Bench::start(quick_world()).await;
    let node = json!({
        "id": "i-node9",
        "type": "ecs.g7.2xlarge",
        "vSwitch": "vsw-node-i",
        "securityGroups": ["sg-node"],
    });
    assert_eq!(
        admin(&bench, Method::POST, "/instances", Some(node.clone()))
            .await
            .0,
        201
    );
    assert_eq!(admin(&bench, Method::POST, "/instances", Some(node)).await.0, 400);
    let (_, answer) = bench
        .call("DescribeNetworkInterfaces", &[("InstanceId", "i-node9")])
        .await;
    assert_eq!(
        answer["NetworkInterfaceSets"]["NetworkInterfaceSet"][0]["Type"],
        "Primary"
    );
    let (_, answer) = bench
        .call(
            "CreateNetworkInterface",
            &[("VSwitchId", "vsw-pod-i"), ("SecurityGroupIds.1", "sg-web")],
        )
        .await;
    let eni = answer["NetworkInterfaceId"].as_str().expect("an id").to_owned();
    let attach = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", "i-node9")];
    assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
    assert_eq!(
        admin(&bench, Method::DELETE, "/instances/i-node9", None).await.0,
        204
    );
    assert_eq!(bench.describe(&eni).await["Status"], "Available");
    assert_eq!(
        admin(&bench, Method::DELETE, "/instances/i-node9", None).await.0,
        404
    );
}

#[tokio::test]
async fn the_owner_of_the_cloud_can_do_what_clients_fear() {
    let bench = Bench::start(quick_world()).await;
    let eni = bench.create(&[]).await;
    let attach = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", "i-node1")];
    assert_eq!(bench.call("AttachNetworkInterface", &attach).await.0, 200);
    assert_eq!(
        admin(&bench, Method::POST, &format!("/enis/{eni}/detach"), None)
            .await
            .0,
        204
    );
    assert_eq!(bench.describe(&eni).await["Status"], "Available");
    assert_eq!(
        admin(&bench, Method::DELETE, &format!("/enis/{eni}"), None)
            .await
            .0,
        204
    );
    assert!(bench.describe(&eni).await.is_null());
    assert_eq!(
        admin(&bench, Method::DELETE, &format!("/enis/{eni}"), None)
            .await
            .0,
        404
    );

    let full = json!({"withheld": 100_000});
    assert_eq!(
        admin(&bench, Method::PUT, "/vswitches/vsw-pod-h", Some(full))
            .await
            .0,
        204
    );
    let parameters = [("VSwitchId", "vsw-pod-h"), ("SecurityGroupIds.1", "sg-web")];
    bench
        .refused(
            "CreateNetworkInterface",
            &parameters,
            403,
            "InvalidVSwitchId.IpNotEnough",
        )
        .await;
    assert_eq!(
        admin(
            &bench,
            Method::PUT,
            "/vswitches/vsw-pod-h",
            Some(json!({"withheld": 0}))
        )
        .await
        .0,
        204
    );
    bench.create(&[]).await;

    let fault = json!({"action": "CreateNetworkInterface", "code": "Forbidden.RAM", "times": 2});
    let (status, added) = admin(&bench, Method::POST, "/faults", Some(fault)).await;
    assert_eq!(status, 201);
    bench
        .refused("CreateNetworkInterface", &parameters, 403, "Forbidden.RAM")
        .await;
    let (_, listed) = admin(&bench, Method::GET, "/faults", None).await;
    assert_eq!((&listed[0]["id"], &listed[0]["hit"]), (&added["id"], &json!(1)));
    assert_eq!(
        admin(&bench, Method::DELETE, &format!("/faults/{}", added["id"]), None)
            .await
            .0,
        204
    );
    bench.create(&[]).await;
    assert_eq!(
        admin(&bench, Method::POST, "/faults", Some(json!({"acton": "x"})))
            .await
            .0,
        422
    );
    assert_eq!(admin(&bench, Method::GET, "/fabric/counters", None).await.0, 404);
    assert_eq!(
        admin(&bench, Method::DELETE, "/credentials/lab-ak", None).await.0,
        204
    );
    bench
        .refused("DescribeVpcs", &[], 404, "InvalidAccessKeyId.NotFound")
        .await;
}

#[tokio::test]
async fn a_unix_socket_serves_replaces_a_dead_one_and_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket that nobody listens on"));
    let options = Options {
        admin: Some(Address::Unix(path.clone())),
        ..Options::default()
    };
    let running = Simulator::start(quick_world(), options).await.expect("it starts");
    let socket = path.clone();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(socket).expect("connected");
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    });
    assert!(answer.await.expect("no panic").ends_with("ok"));
    running.shutdown().await;
    assert!(!path.exists());
}
