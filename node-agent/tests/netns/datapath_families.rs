//! IPv6 is not served yet, and both families are looked at: what others have of IPv6 stays, what would be ours goes.

use crate::datapath_world::{Pod, add, eventually, on_a_node, run, settle};

/// A node's own IPv6: rules where ours have their priorities, routes where our tables are.
const FOREIGN: &str = "ip -6 addr add fd00:9::1/64 dev eth0 nodad
    ip -6 route add fd00:10::/64 via fd00:9::99 dev eth0
    ip -6 route add default via fd00:9::99 dev eth0 table 1003
    ip -6 rule add pref 512 to fd00:9::7 lookup main
    ip -6 rule add pref 2048 from fd00:9::7 lookup 1003
    ip -6 neigh add fd00:9::42 lladdr 02:00:00:00:00:42 nud permanent dev eth0";

fn foreign() -> String {
    run(
        "ip -6 rule show; ip -6 route show table all | grep fd00; ip -6 neigh show nud permanent
         ip -6 addr show dev eth0 scope global",
    )
}

#[test]
fn ipv6_objects_of_others_are_never_touched() {
    on_a_node(async |node| {
        let (datapath, _trunk) = (node.datapath().await, node.trunk());
        run(FOREIGN);
        // The kernel makes the local route of an address a little later than the address.
        eventually("the address is a local one", || {
            foreign().contains("local fd00:9::1 dev eth0")
        });
        let before = foreign();
        let (one, two) = (Pod::new(1, "a"), Pod::shared(4, "a"));
        let _eni = node.shared_eni();
        for pod in [&one, &two] {
            add(&datapath, pod).await;
        }
        settle(&datapath, &[&one, &two]).await;
        assert_eq!(foreign(), before, "two pods run");
        for pod in [&one, &two] {
            datapath
                .delete(pod.sandbox(), Some(pod.netns.descriptor()))
                .await
                .unwrap();
        }
        settle(&datapath, &[]).await;
        assert_eq!(foreign(), before, "and are gone");
    });
}

#[test]
fn ipv6_objects_with_our_marks_and_without_a_pod_are_removed() {
    on_a_node(async |node| {
        let (datapath, _trunk) = (node.datapath().await, node.trunk());
        run("ip -6 addr add fd00:9::1/64 dev eth0 nodad
            ip -6 rule add pref 512 to fd00:9::7 lookup main proto 84
            ip -6 route add fd00:9::7/128 dev eth0 proto 84
            ip -6 route add default via fd00:9::99 dev eth0 onlink table 1003 proto 84");
        settle(&datapath, &[]).await;
        let left = run("ip -6 rule show | grep 'proto 84' || true; ip -6 route show table all proto 84");
        assert_eq!(left, "");
    });
}

#[test]
fn ipv6_changes_of_others_are_heard() {
    on_a_node(async |node| {
        let datapath = node.datapath().await;
        run("ip -6 route add blackhole fd00:10::/64");
        let heard = tokio::time::timeout(crate::datapath_world::PATIENCE, datapath.disturbed());
        heard.await.expect("a sign").unwrap();
    });
}
