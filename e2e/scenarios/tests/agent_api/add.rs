//! ADD and DEL as a pod's owner sees them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use terway_cni_protocol::Reply;

use crate::world::{Agent, NODE, ScriptedKernel, TRUNK, World, address, eventually};

const LONG: Duration = Duration::from_secs(25);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_gets_its_network_when_the_control_plane_has_bound_it() {
    let world = World::start().await;
    let kernel = Arc::<ScriptedKernel>::default();
    let agent = world.agent(&kernel);
    agent.ready().await;
    let conflist = std::fs::read_to_string(&agent.conflist).unwrap();
    assert!(
        conflist.contains("terway-chainer") && conflist.contains("terway.sock"),
        "{conflist}"
    );

    let uid = world.pod("web-0", true).await;
    let adding = agent.add("c1", "web-0", Some(&uid), LONG);
    world.pod_eni("web-0", &uid, NODE, "10.0.16.7").await;
    world.phase("web-0", "Binding", "", "attaching").await;
    assert!(!adding.is_finished());
    world.phase("web-0", "Bind", TRUNK, "").await;
    assert_eq!(address(adding.await.unwrap()), Ok("10.0.16.7/32".to_owned()));

    eventually("the pod's event", || async {
        !world.events(&uid, "AllocIPSucceed").await.is_empty()
    })
    .await;
    let note = world.events(&uid, "AllocIPSucceed").await.remove(0);
    assert!(
        note.starts_with("Alloc IP 10.0.16.7 took ") && note.ends_with('s'),
        "{note}"
    );
    eventually("the report of the sandbox", || async {
        world.reported(&uid).await == Some("initial")
    })
    .await;

    assert_eq!(agent.del("c1", "web-0").await.unwrap(), Reply::Done);
    assert!(kernel.containers().is_empty());
    eventually("the report of its end", || async {
        world.reported(&uid).await == Some("deleted")
    })
    .await;
    let metrics = agent.get("/metrics").await;
    assert!(
        metrics.contains(r#"terway_rpc_latency_count{rpc_api="add",error="false"} 1"#),
        "{metrics}"
    );
    assert!(
        metrics.contains(r#"terway_packets_total{outcome="popped"} 3"#),
        "{metrics}"
    );

    agent.stop.cancel();
    agent.task.await.unwrap().unwrap();
    assert!(
        agent.conflist.exists(),
        "the node stays Ready while its agent is replaced"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_for_a_pod_is_not_served_to_it() {
    let world = World::start().await;
    let kernel = Arc::<ScriptedKernel>::default();
    let agent = world.agent(&kernel);
    agent.ready().await;

    // An ordinary pod waits for a shared address, and its event says so.
    let uid = world.pod("plain", false).await;
    let refusal = address(agent.add("c1", "plain", Some(&uid), SHORT).await.unwrap()).unwrap_err();
    assert!(
        refusal.starts_with("11: ") && refusal.contains("has not given pod shop/plain an address"),
        "{refusal}"
    );
    eventually("the pod's event", || async {
        !world.events(&uid, "AllocIPFailed").await.is_empty()
    })
    .await;

    // A node without room refuses at once, with the reason.
    world.capacity(1).await;
    let started = Instant::now();
    let refusal = loop {
        let refusal = address(agent.add("c1", "plain", Some(&uid), SHORT).await.unwrap()).unwrap_err();
        if refusal.starts_with("101: ") {
            break refusal;
        }
        assert!(started.elapsed() < LONG, "{refusal}");
    };
    assert!(
        refusal.contains("ecs.g7.2xlarge has no room for an ENI"),
        "{refusal}"
    );

    // The PodENI is for an earlier pod of the name, whether or not the runtime knows UIDs.
    let uid = world.pod("db-0", true).await;
    world.pod_eni("db-0", "earlier", NODE, "10.0.16.8").await;
    world.phase("db-0", "Bind", TRUNK, "").await;
    for known in [Some(uid.as_str()), None] {
        let refusal = address(agent.add("c2", "db-0", known, SHORT).await.unwrap()).unwrap_err();
        assert!(
            refusal.starts_with("11: ") && refusal.contains("earlier pod"),
            "{refusal}"
        );
    }
    // The sandbox is for an earlier pod.
    let refusal = address(agent.add("c2", "db-0", Some("earlier"), LONG).await.unwrap()).unwrap_err();
    assert!(refusal.contains("does not exist any more"), "{refusal}");

    // The ENI is attached to another trunk. Then the words of the control plane reach the pod. The order matters: the
    // agent's watch sees one change after the other, and a PodENI that is for this pod, bound, and on this trunk is
    // served.
    world.phase("db-0", "Bind", "eni-elsewhere", "").await;
    world.pod_eni("db-0", &uid, NODE, "10.0.16.8").await;
    let other = refused(&agent, &uid, |refusal| refusal.contains("eni-elsewhere")).await;
    assert!(other.contains(TRUNK), "{other}");
    world
        .phase("db-0", "Binding", "", "no vSwitch has an address left")
        .await;
    let waiting = refused(&agent, &uid, |refusal| refusal.contains("phase Binding")).await;
    assert!(waiting.contains("no vSwitch has an address left"), "{waiting}");
    assert!(kernel.containers().is_empty());
}

/// Add db-0 until its refusal is the expected one; it is never served.
async fn refused(agent: &Agent, uid: &str, expected: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + LONG;
    loop {
        let refusal = address(agent.add("c2", "db-0", Some(uid), SHORT).await.unwrap()).unwrap_err();
        if expected(&refusal) {
            return refusal;
        }
        assert!(Instant::now() < deadline, "still {refusal}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixed_address_moves_here_with_its_pod_and_away_again() {
    let world = World::start().await;
    let kernel = Arc::<ScriptedKernel>::default();
    let agent = world.agent(&kernel);
    agent.ready().await;

    world.pod_eni("db-0", "on-node2", "node2", "10.0.16.9").await;
    world.phase("db-0", "Unbind", "", "").await;
    let uid = world.pod("db-0", true).await;
    let adding = agent.add("c1", "db-0", Some(&uid), LONG);
    world.pod_eni("db-0", &uid, NODE, "10.0.16.9").await;
    world.phase("db-0", "Binding", "", "").await;
    world.phase("db-0", "Bind", TRUNK, "").await;
    assert_eq!(address(adding.await.unwrap()), Ok("10.0.16.9/32".to_owned()));
    eventually("the report of the sandbox", || async {
        world.reported(&uid).await == Some("initial")
    })
    .await;

    // The pod is gone without a DEL, and the address is another node's: the sandbox here is removed.
    world.delete_pod("db-0").await;
    world
        .pod_eni("db-0", "on-node2-again", "node2", "10.0.16.9")
        .await;
    eventually("the sandbox is removed", || async {
        kernel.containers().is_empty()
    })
    .await;
    eventually("the report of its end", || async {
        world.reported(&uid).await == Some("deleted")
    })
    .await;
}
