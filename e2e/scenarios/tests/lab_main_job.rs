//! The main job on a real cluster: the demo's acts, with bad input between them, and nothing
//! left on the machine at the end.

use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::bad_input;
use scenarios::demo::{self, Setting};
use scenarios::stage::Stage;

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
    demo::play(&stage, &Setting { root }, bad_input::play).unwrap();
}
