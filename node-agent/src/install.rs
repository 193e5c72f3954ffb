//! Installs the CNI binary on the host.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Name of the binary: the `type` of the plugin in the CNI configuration.
const NAME: &str = "terway";

/// Why the binary is not in place.
#[derive(Debug, thiserror::Error)]
#[error("the CNI binary could not be {act}: {}", path.display())]
pub struct InstallError {
    act: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Copies the binary into the runtime's directory. The last step is a rename: the runtime may start the binary at any
/// moment, and a file that is being executed cannot be written to (ETXTBSY).
pub fn install(source: &Path, bin_dir: &Path) -> Result<PathBuf, InstallError> {
    let failed = |act, path: &Path| {
        let path = path.to_owned();
        move |source| InstallError { act, path, source }
    };
    let (draft, target) = (bin_dir.join(".terway.draft"), bin_dir.join(NAME));
    fs::create_dir_all(bin_dir).map_err(failed("given a directory", bin_dir))?;
    fs::copy(source, &draft).map_err(failed("copied", source))?;
    fs::set_permissions(&draft, Permissions::from_mode(0o755)).map_err(failed("made executable", &draft))?;
    // The content must reach the disk before the rename does. A node that loses power in between would otherwise keep
    // an empty binary.
    File::open(&draft)
        .and_then(|file| file.sync_all())
        .map_err(failed("written", &draft))?;
    fs::rename(&draft, &target).map_err(failed("put in place", &target))?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_replaced_while_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        let target = install(Path::new("/bin/sleep"), &bin).unwrap();
        let mut child = std::process::Command::new(&target).arg("30").spawn().unwrap();
        assert_eq!(install(Path::new("/bin/true"), &bin).unwrap(), target);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(std::process::Command::new(&target).status().unwrap().success());
        assert_eq!(fs::read_dir(&bin).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_source_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = install(Path::new("/nonexistent/terway"), dir.path()).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/terway"), "{error}");
    }
}
