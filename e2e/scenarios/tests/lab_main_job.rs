//! The main job on a real cluster: the demo's acts, with ordinary pods, packets in every way, storms and bad
//! input between them, and nothing left on the machine at the end.

use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::demo::{self, Setting};
use scenarios::stage::Stage;
use scenarios::{bad_input, packets, shared, storm};

/// Takes the lab down, also when the test fails; then its logs stay in the state folder.
struct Down {
    lab: PathBuf,
}

impl Drop for Down {
    fn drop(&mut self) {
        let ended = Command::new(&self.lab).arg("down").status();
        assert!(ended.is_ok_and(|status| status.success()), "`lab down` failed");
    }
}

/// The demo's world with an instance in its second zone.
fn world_with_a_third_node() -> String {
    let third = "instances:
  - id: i-node3
    type: ecs.g7.2xlarge
    vSwitch: vsw-node-i
    address: 10.0.1.11
    primaryEni: eni-node3
    securityGroups: [sg-node]
    ramRole: lab-role
";
    lab::world::SMALL.replace("instances:\n", third)
}

#[test]
fn the_main_job_runs_and_bad_input_is_told() {
    let lab = lab::binaries::own("lab").unwrap();
    let bin = lab.parent().unwrap().to_owned();
    let state = lab::open(&lab::Options::default()).unwrap();
    assert!(
        state.running().unwrap().is_none(),
        "a lab is up in {}: take it down first (lab down), this test brings up its own",
        state.root().display()
    );
    let _down = Down { lab };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap();
    let stage = Stage::new(
        &bin,
        &lab::binaries::kubernetes_dir().unwrap(),
        state.kubeconfig(),
    );
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world.yaml");
    std::fs::write(&world, world_with_a_third_node()).unwrap();
    let setting = Setting {
        up: format!("lab up --nodes 3 --world {}", world.display()),
        further_nodes: vec!["node3".to_owned()],
        ..Setting::new(root)
    };
    demo::play(&stage, &setting, |stage| {
        shared::play(stage)?;
        packets::play(stage, &setting.manifests())?;
        storm::sample::play(stage, &state)?;
        bad_input::play(stage)
    })
    .unwrap();
}
