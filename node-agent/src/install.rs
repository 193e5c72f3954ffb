//! Installs the CNI binary on the host.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::refusal::{self, Cause};

/// Name of the binary: the `type` of the plugin in the CNI configuration.
const NAME: &str = "terway";

/// Why the binary is not in place.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {}{cause}", path.display())]
pub struct InstallError {
    act: &'static str,
    /// The file or folder that was refused.
    path: PathBuf,
    cause: Cause,
    #[source]
    source: io::Error,
}

/// Copies the binary into the runtime's directory. The last step is a rename: the runtime may start the binary at any
/// moment, and a file that is being executed cannot be written to (ETXTBSY).
pub fn install(source: &Path, bin_dir: &Path) -> Result<PathBuf, InstallError> {
    let failed = |act, path: &Path| {
        let path = path.to_owned();
        move |source| InstallError {
            act,
            path,
            cause: refusal::of_file(&source),
            source,
        }
    };
    let (draft, target) = (bin_dir.join(".terway.draft"), bin_dir.join(NAME));
    fs::create_dir_all(bin_dir).map_err(failed("make the folder", bin_dir))?;
    let mut binary = File::open(source).map_err(failed("read the CNI binary", source))?;
    // A draft that an interrupted installation has left may belong to another user.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove the old draft of the CNI binary", &draft)(error));
        }
        _ => {}
    }
    let mut written = File::create(&draft).map_err(failed("write the CNI binary", &draft))?;
    io::copy(&mut binary, &mut written).map_err(failed("write the CNI binary", &draft))?;
    let executable = Permissions::from_mode(0o755);
    fs::set_permissions(&draft, executable).map_err(failed("make the CNI binary executable", &draft))?;
    // The content must reach the disk before the rename does. A node that loses power in between would otherwise keep
    // an empty binary.
    written
        .sync_all()
        .map_err(failed("write the CNI binary", &draft))?;
    drop(written);
    fs::rename(&draft, &target).map_err(failed("put the CNI binary in place as", &target))?;
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

    #[test]
    fn the_file_that_could_not_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        // Root may write into any folder, so a folder has the draft's name.
        fs::create_dir_all(bin.join(".terway.draft/x")).unwrap();
        let error = install(Path::new("/bin/true"), &bin).unwrap_err().to_string();
        assert!(error.contains("bin/.terway.draft"), "{error}");
        assert!(!error.contains("/bin/true"), "{error}");
    }
}
