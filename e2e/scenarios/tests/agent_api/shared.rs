//! Ordinary pods: addresses of shared ENIs, and when they may be given to somebody else.

use std::sync::Arc;
use std::time::Duration;

use terway_cni_protocol::Reply;

use crate::world::{ScriptedKernel, World, address, eventually};

const LONG: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_address_is_served_and_its_end_is_reported() {
    let world = World::start().await;
    let kernel = Arc::<ScriptedKernel>::default();
    let agent = world.agent(&kernel);
    agent.ready().await;
    let uid = world.pod("web-0", false).await;
    let adding = agent.add("c1", "web-0", Some(&uid), LONG);
    world.bind("10.0.16.20", Some(("web-0", "somebody-else"))).await;
    assert!(!adding.is_finished());
    world.bind("10.0.16.20", Some(("web-0", &uid))).await;
    assert_eq!(address(adding.await.unwrap()), Ok("10.0.16.20/32".to_owned()));
    eventually("the report of the sandbox", || async {
        world.reported(&uid).await == Some("initial")
    })
    .await;

    // The runtime makes the pod a new sandbox: the pod lives, so its address stays.
    assert_eq!(agent.del("c1", "web-0").await.unwrap(), Reply::Done);
    let again = agent.add("c2", "web-0", Some(&uid), LONG).await.unwrap();
    assert_eq!(address(again), Ok("10.0.16.20/32".to_owned()));
    eventually("the report of the new sandbox", || async {
        world.reported(&uid).await == Some("initial")
    })
    .await;

    world.delete_pod("web-0").await;
    assert_eq!(agent.del("c2", "web-0").await.unwrap(), Reply::Done);
    eventually("the report of its end", || async {
        world.reported(&uid).await == Some("deleted")
    })
    .await;
    // Only now may the control plane give the address to another pod.
    let next = world.pod("web-1", false).await;
    let adding = agent.add("c3", "web-1", Some(&next), LONG);
    world.bind("10.0.16.20", Some(("web-1", &next))).await;
    assert_eq!(address(adding.await.unwrap()), Ok("10.0.16.20/32".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_no_agent_was_there_is_made_up_for() {
    let world = World::start().await;
    let kernel = Arc::<ScriptedKernel>::default();
    let first = world.agent(&kernel);
    first.ready().await;
    let (kept, ended) = (world.pod("web-0", false).await, world.pod("web-1", false).await);
    world.bind("10.0.16.20", Some(("web-0", &kept))).await;
    world.bind("10.0.16.21", Some(("web-1", &ended))).await;
    for (container, name, uid) in [("c1", "web-0", &kept), ("c2", "web-1", &ended)] {
        let reply = first.add(container, name, Some(uid), LONG).await.unwrap();
        assert!(address(reply).is_ok());
    }
    first.kill().await;
    world.delete_pod("web-1").await;
    // Bound, and gone before a sandbox was made.
    let never = world.pod("web-2", false).await;
    world.bind("10.0.16.22", Some(("web-2", &never))).await;
    world.delete_pod("web-2").await;

    let second = world.agent(&kernel);
    second.ready().await;
    for uid in [&ended, &never] {
        eventually("the end is reported", || async {
            world.reported(uid).await == Some("deleted")
        })
        .await;
    }
    assert_eq!(kernel.containers(), ["c1"]);
    assert_eq!(world.reported(&kept).await, Some("initial"));
    let rounds = kernel.desired.lock().clone();
    let last = rounds.last().unwrap();
    assert_eq!(
        (last[0].ip.to_string().as_str(), last[0].carrier.vlan()),
        ("10.0.16.20", None)
    );

    // A record that nothing refers to is neither kept for ever nor written again.
    world.bind("10.0.16.22", None).await;
    assert_eq!(second.del("c1", "web-0").await.unwrap(), Reply::Done);
    eventually("the end is reported", || async {
        world.reported(&kept).await == Some("deleted")
    })
    .await;
}
