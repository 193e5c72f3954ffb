//! ADD and DEL in any order and number: the last call decides what is left.

use std::sync::Arc;
use std::time::Duration;

use terway_cni_protocol::Reply;

use crate::world::{Agent, NODE, ScriptedKernel, TRUNK, World, address, eventually};

const PODS: usize = 6;
const WAIT: Duration = Duration::from_secs(20);

/// Address of a pod.
fn address_of(number: usize) -> String {
    format!("10.0.16.{}", number + 1)
}

/// One pod's life with a runtime that gives up, repeats and overtakes itself.
async fn churn(agent: &Agent, name: &str, uid: &str, number: usize) {
    for turn in 0..4 {
        let container = format!("{name}-{turn}");
        let adding = agent.add(&container, name, Some(uid), WAIT);
        // The DEL meets another moment of the ADD each time; none of them may matter.
        tokio::time::sleep(Duration::from_millis((number * 7 + turn * 13) as u64 % 40)).await;
        let overtaking = agent.del(&container, name);
        let repeated = agent.del(&container, name);
        assert_eq!(overtaking.await.unwrap(), Reply::Done);
        assert_eq!(repeated.await.unwrap(), Reply::Done);
        // It was served before the DEL, it began after the DEL, or the DEL ended it.
        match address(adding.await.unwrap()) {
            Ok(served) => assert_eq!(served, format!("{}/32", address_of(number))),
            Err(refusal) => assert!(refusal.contains("DEL or a newer ADD ended this ADD"), "{refusal}"),
        }
        assert_eq!(agent.del(&container, name).await.unwrap(), Reply::Done);
    }
}

/// S-007: calls of many short-lived pods must not wait for one lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_order_only_living_sandboxes_remain() {
    let world = World::start().await;
    let kernel = Arc::<ScriptedKernel>::default();
    *kernel.slow.lock() = Duration::from_millis(10);
    let agent = world.agent(&kernel);
    agent.ready().await;
    let mut pods = Vec::new();
    for n in 0..PODS {
        let name = format!("db-{n}");
        let uid = world.pod(&name, true).await;
        pods.push((name, uid));
    }
    let binding = async {
        for (n, (name, uid)) in pods.iter().enumerate() {
            world.pod_eni(name, uid, NODE, &address_of(n)).await;
            world.phase(name, "Bind", TRUNK, "").await;
        }
    };
    let churning = async {
        let lives: Vec<_> = pods
            .iter()
            .enumerate()
            .map(|(n, (name, uid))| churn(&agent, name, uid, n))
            .collect();
        for life in lives {
            life.await;
        }
    };
    tokio::join!(binding, churning);
    assert!(kernel.containers().is_empty(), "{:?}", kernel.containers());

    for (n, (name, uid)) in pods.iter().enumerate() {
        let reply = agent
            .add(&format!("last-{n}"), name, Some(uid), WAIT)
            .await
            .unwrap();
        assert_eq!(address(reply), Ok(format!("{}/32", address_of(n))));
    }
    assert_eq!(kernel.containers().len(), PODS);
    for (_, uid) in &pods {
        eventually("the living are reported", || async {
            world.reported(uid).await == Some("initial")
        })
        .await;
    }
    // One pod is replaced by another of its name: the old sandbox's late DEL does not touch the new one.
    let (name, _) = &pods[0];
    world.delete_pod(name).await;
    let uid = world.pod(name, true).await;
    world.pod_eni(name, &uid, NODE, "10.0.16.100").await;
    let reply = agent.add("reborn", name, Some(&uid), WAIT).await.unwrap();
    assert_eq!(address(reply), Ok("10.0.16.100/32".to_owned()));
    assert_eq!(agent.del("last-0", name).await.unwrap(), Reply::Done);
    assert!(kernel.containers().contains(&"reborn".to_owned()));
}
