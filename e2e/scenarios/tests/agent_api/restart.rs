//! Restarts and upgrades of the agent: running pods do not notice.

use std::sync::Arc;
use std::time::Duration;

use terway_agent::datapath::VlanId;
use terway_cni_protocol::Reply;

use crate::world::{Agent, NODE, ScriptedKernel, TRUNK, World, address, eventually};

const LONG: Duration = Duration::from_secs(25);

async fn running(world: &World, agent: &Agent, name: &str, container: &str, ip: &str) -> String {
    let uid = world.pod(name, true).await;
    world.pod_eni(name, &uid, NODE, ip).await;
    world.phase(name, "Bind", TRUNK, "").await;
    let reply = agent.add(container, name, Some(&uid), LONG).await.unwrap();
    assert_eq!(address(reply), Ok(format!("{ip}/32")));
    uid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_running_pods_and_clears_away_what_ended_meanwhile() {
    let world = World::start().await;
    let kernel = Arc::<ScriptedKernel>::default();
    let first = world.agent(&kernel);
    first.ready().await;
    let kept = running(&world, &first, "web-0", "c1", "10.0.16.7").await;
    let ended = running(&world, &first, "web-1", "c2", "10.0.16.8").await;
    eventually("both are reported", || async {
        world.reported(&kept).await == Some("initial") && world.reported(&ended).await == Some("initial")
    })
    .await;
    first.kill().await;
    world.delete_pod("web-1").await;
    kernel.desired.lock().clear();

    let second = world.agent(&kernel);
    second.ready().await;
    eventually("what ended is removed", || async {
        kernel.containers() == ["c1"]
    })
    .await;
    eventually("its end is reported", || async {
        world.reported(&ended).await == Some("deleted")
    })
    .await;
    assert_eq!(world.reported(&kept).await, Some("initial"));
    eventually("the kernel is compared", || async {
        !kernel.desired.lock().is_empty()
    })
    .await;
    let rounds = kernel.desired.lock().clone();
    for round in &rounds {
        let kept = round
            .iter()
            .find(|member| member.sandbox.container_id == "c1")
            .expect("the running pod");
        assert_eq!(
            (kept.ip.to_string().as_str(), kept.carrier.vlan()),
            ("10.0.16.7", VlanId::new(7))
        );
    }
    // The same sandbox again, as a runtime that restarted itself may ask.
    let reply = second.add("c1", "web-0", Some(&kept), LONG).await.unwrap();
    assert_eq!(address(reply), Ok("10.0.16.7/32".to_owned()));
    assert_eq!(second.del("c1", "web-0").await.unwrap(), Reply::Done);
    assert!(kernel.containers().is_empty());
}

/// S-005: upstream sometimes lost a node in an upgrade, because two agents served at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_agent_waits_for_the_first() {
    let world = World::start().await;
    let kernel = Arc::<ScriptedKernel>::default();
    let first = world.agent(&kernel);
    first.ready().await;
    let second = world.agent(&kernel);
    eventually("the second waits", || async {
        second.get("/readyz").await.contains("the agent before this one")
    })
    .await;
    running(&world, &first, "web-0", "c1", "10.0.16.7").await;
    first.stop.cancel();
    first.task.await.unwrap().unwrap();
    second.ready().await;
    running(&world, &second, "web-1", "c2", "10.0.16.8").await;
    assert_eq!(kernel.containers(), ["c1", "c2"]);
}
