//! The control plane's client and the addresses of ENIs: Assign, Describe, Unassign.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{config_with, connect};
use crate::bench::{Bench, quick_world};
use cloudsim::{Fault, Point};
use terway_cloud::{
    Action, Addresses, AssignIps, AssignedIps, Cloud, CloudError, CreateEni, EniFilter, ErrorClass, Priority,
    UnassignIps,
};
use terway_crds::Family;

async fn stage() -> (Bench, Cloud) {
    let bench = Bench::start(quick_world()).await;
    let cloud = connect(&bench.running, config_with("lab-ak")).await;
    (bench, cloud)
}

/// An ENI with so many addresses beside its own.
async fn eni(cloud: &Cloud, addresses: Vec<Addresses>) -> String {
    let permit = cloud
        .permit_for(Action::CreateNetworkInterface, Priority::Fill, "node1")
        .await;
    let request = CreateEni {
        vswitch_id: "vsw-pod-h".into(),
        security_group_ids: vec!["sg-web".into()],
        addresses,
        client_token: "eni".into(),
        ..CreateEni::default()
    };
    cloud.create_network_interface(permit, &request).await.unwrap().id
}

async fn assign(
    cloud: &Cloud,
    eni_id: &str,
    addresses: Addresses,
    token: &str,
) -> Result<AssignedIps, CloudError> {
    let permit = cloud
        .permit_for(Action::AssignPrivateIpAddresses, Priority::Fill, "node1")
        .await;
    let request = AssignIps {
        eni_id: eni_id.into(),
        addresses,
        client_token: token.into(),
    };
    cloud.assign_addresses(permit, &request).await
}

async fn unassign(cloud: &Cloud, eni_id: &str, addresses: Vec<IpAddr>) -> Result<(), CloudError> {
    let permit = cloud
        .permit_for(Action::UnassignPrivateIpAddresses, Priority::Release, "node1")
        .await;
    let request = UnassignIps {
        eni_id: eni_id.into(),
        addresses: Addresses::listed(Family::V4, addresses),
    };
    cloud.unassign_addresses(permit, &request).await
}

/// The addresses beside its own that the cloud shows.
async fn shown(cloud: &Cloud, eni_id: &str) -> BTreeSet<IpAddr> {
    let found = cloud
        .describe_network_interfaces(&EniFilter::ids([eni_id]))
        .await
        .unwrap();
    assert_eq!(found[0].private_ips.iter().filter(|ip| ip.primary).count(), 1);
    assert_eq!(
        found[0]
            .private_ips
            .iter()
            .find(|ip| ip.primary)
            .map(|ip| ip.address),
        found[0].primary_ip
    );
    found[0].secondary_ips().collect()
}

#[tokio::test]
async fn addresses_are_given_by_number_and_by_name_and_taken_back() {
    let (_bench, cloud) = stage().await;
    let eni = eni(&cloud, vec![Addresses::count(Family::V4, 3)]).await;
    let made = shown(&cloud, &eni).await;
    assert_eq!(made.len(), 3);

    let more = assign(&cloud, &eni, Addresses::count(Family::V4, 4), "a")
        .await
        .unwrap();
    assert_eq!((more.eni_id.as_str(), more.addresses.len()), (eni.as_str(), 4));
    let named: IpAddr = [10, 0, 18, 77].into();
    let listed = assign(&cloud, &eni, Addresses::listed(Family::V4, [named]), "b")
        .await
        .unwrap();
    assert_eq!(listed.addresses, [named]);
    let all = shown(&cloud, &eni).await;
    assert_eq!(all.len(), 8);
    assert!(more.addresses.iter().all(|ip| all.contains(ip)) && all.contains(&named));

    unassign(&cloud, &eni, more.addresses.clone()).await.unwrap();
    let left = shown(&cloud, &eni).await;
    assert_eq!(left.len(), 4);
    assert!(more.addresses.iter().all(|ip| !left.contains(ip)));
    // The addresses are unassigned already. The call changes nothing.
    let again = unassign(&cloud, &eni, more.addresses).await.unwrap_err();
    assert_eq!(again.class, ErrorClass::NotFound, "{again}");
    assert_eq!(shown(&cloud, &eni).await, left);
}

#[tokio::test]
async fn a_lost_reply_and_the_same_token_assign_nothing_twice() {
    let (bench, cloud) = stage().await;
    let eni = eni(&cloud, Vec::new()).await;
    bench.running.inject(Fault {
        action: Some("AssignPrivateIpAddresses".into()),
        reset: Some(Point::After),
        times: Some(1),
        ..Fault::default()
    });
    let lost = assign(&cloud, &eni, Addresses::count(Family::V4, 5), "token")
        .await
        .unwrap_err();
    assert_eq!(lost.class, ErrorClass::Unknown, "{lost}");
    let told = assign(&cloud, &eni, Addresses::count(Family::V4, 5), "token")
        .await
        .unwrap();
    let told: BTreeSet<IpAddr> = told.addresses.into_iter().collect();
    assert_eq!(told.len(), 5);
    assert_eq!(shown(&cloud, &eni).await, told);
    let other = assign(&cloud, &eni, Addresses::count(Family::V4, 2), "token")
        .await
        .unwrap_err();
    assert_eq!(other.class, ErrorClass::TokenReused, "{other}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_in_the_class_that_says_why() {
    let (bench, cloud) = stage().await;
    let eni = eni(&cloud, Vec::new()).await;
    let parameters = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", "i-node1")];
    let (status, answer) = bench.call("AttachNetworkInterface", &parameters).await;
    assert_eq!(status, 200, "{answer}");
    let many = assign(&cloud, &eni, Addresses::count(Family::V4, 20), "many")
        .await
        .unwrap_err();
    assert_eq!(many.class, ErrorClass::Limit, "{many}");
    let nowhere = assign(&cloud, "eni-none", Addresses::count(Family::V4, 1), "nowhere")
        .await
        .unwrap_err();
    assert_eq!(nowhere.class, ErrorClass::NotFound, "{nowhere}");
    bench.running.inject(Fault {
        code: Some("InvalidVSwitchId.IpNotEnough".into()),
        times: Some(1),
        ..Fault::default()
    });
    let full = assign(&cloud, &eni, Addresses::count(Family::V4, 1), "full")
        .await
        .unwrap_err();
    assert_eq!(full.class, ErrorClass::Exhausted, "{full}");
}
