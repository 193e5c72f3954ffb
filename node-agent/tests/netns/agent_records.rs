//! Records of the control plane that are wrong: what runs stays as it is, and the user is told.

use crate::agent_world::Host;
use crate::datapath_world::{PATIENCE, Pod, on_a_node, run, talks};
use terway_cni_protocol::{Cidr, Reply};

fn refusal(reply: Reply) -> String {
    match reply {
        Reply::Refused(failure) => failure.message,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_record_that_changes_under_a_running_pod_changes_nothing_there_after_a_restart_or_in_a_check() {
    on_a_node(async |node| {
        let eni = node.shared_eni();
        let mut host = Host::start(&node).await;
        let (mut pod, next) = (Pod::shared(4, "a"), Pod::shared(5, "a"));
        host.bind(&pod);
        assert!(matches!(host.add(&pod).await, Reply::Network(_)));
        talks(&pod, &eni);
        let ways = node.ways();
        let runs_with = std::mem::replace(&mut pod.member.ip, [10, 0, 17, 9].into());
        host.stop().await;
        host.bind(&pod);
        pod.member.ip = runs_with;
        host.restart().await;
        // An ADD is answered after the first round.
        host.bind(&next);
        assert!(matches!(host.add(&next).await, Reply::Network(_)));
        let address = "10.0.17.4".parse().unwrap();
        let addresses = vec![Cidr { address, prefix: 32 }];
        assert_eq!(host.check(&pod).await, Reply::Checked { addresses });
        talks(&pod, &eni);
        talks(&next, &eni);
        assert!(!run("ip rule show; ip route show table all").contains("10.0.17.9"));
        // The record is corrected: the pod is repaired as any other.
        host.bind(&pod);
        run("ip rule del from 10.0.17.4");
        let repaired = || run("ip rule show").contains("from 10.0.17.4");
        let deadline = std::time::Instant::now() + PATIENCE;
        while !repaired() {
            assert!(std::time::Instant::now() < deadline, "{}", run("ip rule show"));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(host.del(&next).await, Reply::Done);
        assert_eq!(node.ways(), ways);
        host.stop().await;
    });
}

#[test]
fn an_address_that_a_living_sandbox_has_is_not_given_to_a_second_pod() {
    on_a_node(async |node| {
        let eni = node.shared_eni();
        let mut host = Host::start(&node).await;
        let (pod, mut twin) = (Pod::shared(4, "a"), Pod::shared(5, "a"));
        twin.member.ip = pod.member.ip;
        host.bind(&pod);
        assert!(matches!(host.add(&pod).await, Reply::Network(_)));
        let ways = node.ways();
        host.bind(&twin);
        let told = refusal(host.add(&twin).await);
        for word in ["10.0.17.4", &pod.sandbox().container_id, "still runs"] {
            assert!(told.contains(word), "{word} is not in: {told}");
        }
        assert_eq!(node.ways(), ways);
        talks(&pod, &eni);
        host.stop().await;
    });
}
