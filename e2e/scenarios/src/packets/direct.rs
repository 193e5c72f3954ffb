//! Pods by their own addresses: nothing on the way translates, so each server sees the asker's own.

use anyhow::Result;

use super::cast::{NODES, OUTSIDE, PORT, Pods};
use super::question::{Expected, From, both, verify};
use crate::stage::Stage;

pub fn play(stage: &Stage, pods: &Pods) -> Result<()> {
    let mut questions = Vec::new();
    for asker in pods.iter() {
        for other in pods.iter().filter(|other| other.name != asker.name) {
            questions.extend(both(
                From::Pod(asker.name.clone()),
                &other.address,
                PORT,
                &Expected::SeenAs(asker.address.clone()),
            ));
        }
    }
    verify(
        stage,
        "pods reach each other under their own addresses: both kinds, on one node, across nodes, across zones",
        questions,
    )?;
    let mut questions = Vec::new();
    for (machine, address) in NODES.iter().chain([&OUTSIDE]) {
        for pod in pods.iter() {
            questions.extend(both(
                From::Machine((*machine).to_owned()),
                &pod.address,
                PORT,
                &Expected::SeenAs((*address).to_owned()),
            ));
        }
    }
    verify(
        stage,
        "nodes, and a machine that is none, reach every pod under their own addresses",
        questions,
    )
}
