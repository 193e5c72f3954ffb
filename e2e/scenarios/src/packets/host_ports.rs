//! hostPort, by the portmap plugin after ours in the chain.

use anyhow::Result;

use super::cast::{KINDS, NODES, OUTSIDE, Pods};
use super::question::{Expected, From, both, verify};
use crate::stage::Stage;

pub fn play(stage: &Stage, pods: &Pods) -> Result<()> {
    let (home, address) = NODES[0];
    for (kind, port) in KINDS.into_iter().zip([18080, 28080]) {
        let backend = pods.get(&format!("{kind}-near"))?;
        let mut questions = Vec::new();
        for (machine, seen) in [OUTSIDE, NODES[1], NODES[2]] {
            let expected = Expected::SeenAs(seen.to_owned());
            questions.extend(both(From::Machine(machine.to_owned()), address, port, &expected));
        }
        for pod in pods.iter() {
            // The plugin masquerades only packets that a pod sends to itself.
            let expected = if pod.name == backend.name {
                Expected::Answer
            } else {
                Expected::SeenAs(pod.address.clone())
            };
            questions.extend(both(From::Pod(pod.name.clone()), address, port, &expected));
        }
        questions.extend(both(
            From::Machine(home.to_owned()),
            address,
            port,
            &Expected::Answer,
        ));
        verify(
            stage,
            &format!(
                "{} by its hostPort: it sees the addresses of machines and pods; from itself and its node",
                backend.name
            ),
            questions,
        )?;
    }
    Ok(())
}
