//! World files: refusals and their words, and generated worlds.

use cloudsim::World;
use cloudsim::world::generate::{Size, generate};

fn refusal(change: impl FnOnce(&mut String)) -> String {
    let mut text = include_str!("../../../worlds/small.yaml").to_owned();
    change(&mut text);
    let failure = World::from_yaml(&text).expect_err("refused");
    let cause = std::error::Error::source(&failure)
        .map(ToString::to_string)
        .unwrap_or_default();
    format!("{failure}: {cause}")
}

#[test]
fn the_example_world_is_valid_and_survives_being_written() {
    let world = World::small();
    let text = serde_saphyr::to_string(&world).expect("YAML");
    assert_eq!(World::from_yaml(&text).expect("valid"), world);
    assert_eq!(world.instances.len(), 3);
}

#[test]
fn the_rough_example_world_is_valid() {
    let world = World::from_yaml(include_str!("../../../worlds/rough.yaml")).expect("valid");
    assert_eq!(world.faults.len(), 6);
    let text = serde_saphyr::to_string(&world).expect("YAML");
    assert_eq!(World::from_yaml(&text).expect("valid"), world);
}

#[test]
fn mistakes_are_named() {
    let words = refusal(|text| *text = text.replace("eniQuantity", "eniQuantitty"));
    assert!(words.contains("eniQuantitty"), "{words}");
    let words = refusal(|text| text.push_str("\nlatencies: {}\n"));
    assert!(words.contains("latencies"), "{words}");
    let words = refusal(|text| *text = text.replace("vSwitch: vsw-node-h", "vSwitch: vsw-nowhere"));
    assert!(words.contains("vsw-nowhere"), "{words}");
    let words = refusal(|text| *text = text.replace("i-node2", "i-node1"));
    assert!(words.contains("i-node1"), "{words}");
    let words = refusal(|text| *text = text.replace("answer: 250ms", "answer: soon"));
    assert!(words.contains("latency"), "{words}");
    let words = refusal(|text| *text = text.replace("ports: 5432", "ports: 5432-80"));
    assert!(words.contains("5432-80"), "{words}");
}

#[test]
fn an_address_that_cannot_be_had_is_refused_at_the_start() {
    let mut world = World::small();
    world.instances[0].address = Some("10.0.0.254".parse().expect("an address"));
    let now = jiff::Timestamp::now();
    let failure = cloudsim::model::Cloud::new(&world, 1, false, now).expect_err("refused");
    assert!(failure.to_string().contains("10.0.0.254"), "{failure}");
}

#[test]
fn a_generated_world_has_what_was_asked_for() {
    let world = generate(Size { nodes: 3, enis: 100 });
    let world = World::from_yaml(&serde_saphyr::to_string(&world).expect("YAML")).expect("valid");
    let cloud = cloudsim::model::Cloud::new(&world, 1, false, jiff::Timestamp::now()).expect("a cloud");
    assert_eq!((cloud.instances().count(), cloud.eni_count()), (3, 103));
}
