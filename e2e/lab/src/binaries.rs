//! Finds the programs that the lab starts. The Kubernetes parts and CoreDNS are in the cache that `scripts/setup.sh`
//! fills. The project's own programs are beside the running program. All others are in the usual folders.

use std::path::{Path, PathBuf};

/// The Kubernetes version of the cluster. `scripts/build-kubernetes.sh` builds the same version.
pub const KUBERNETES_VERSION: &str = "1.34.2";

/// The CoreDNS version of the cluster. `e2e/lab/coredns` requires the same version.
pub const COREDNS_VERSION: &str = "1.13.1";

/// A program that the lab needs is not on this machine.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    #[error("no {name} in {}; run scripts/setup.sh, which builds it", dir.display())]
    Built { name: String, dir: PathBuf },
    #[error("no {name} beside {}; build it with `cargo build --workspace`", dir.display())]
    Own { name: String, dir: PathBuf },
    #[error("no {name} in the usual folders; run scripts/setup.sh, which installs it")]
    System { name: String },
    #[error("neither XDG_CACHE_HOME nor HOME is set; set one, so that the Kubernetes binaries can be found")]
    NoHome,
    #[error("cannot tell where the running program lies")]
    CurrentExe(#[source] std::io::Error),
}

/// The folder of the project's caches: `$XDG_CACHE_HOME/terway`, else `~/.cache/terway`.
pub fn cache_dir() -> Result<PathBuf, NotFound> {
    xdg("XDG_CACHE_HOME", ".cache").map(|dir| dir.join("terway"))
}

/// An XDG base folder: the value of `variable` if it is an absolute path, else `under_home` in HOME.
pub(crate) fn xdg(variable: &str, under_home: &str) -> Result<PathBuf, NotFound> {
    // The XDG Base Directory Specification says that a relative value is ignored.
    if let Some(dir) = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
    {
        return Ok(dir);
    }
    let home = std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .ok_or(NotFound::NoHome)?;
    Ok(Path::new(&home).join(under_home))
}

/// The folder with kube-apiserver, kubelet, kubectl, etcd, helm and agnhost.
pub fn kubernetes_dir() -> Result<PathBuf, NotFound> {
    Ok(cache_dir()?.join(format!("k8s-{KUBERNETES_VERSION}")).join("bin"))
}

/// One of the programs that `scripts/build-kubernetes.sh` builds.
pub fn kubernetes(name: &str) -> Result<PathBuf, NotFound> {
    built(kubernetes_dir()?, name)
}

/// The name server that `scripts/build-coredns.sh` builds.
pub fn coredns() -> Result<PathBuf, NotFound> {
    built(cache_dir()?.join(format!("coredns-{COREDNS_VERSION}")), "coredns")
}

fn built(dir: PathBuf, name: &str) -> Result<PathBuf, NotFound> {
    let path = dir.join(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(NotFound::Built {
            name: name.to_owned(),
            dir,
        })
    }
}

/// A program of this project, beside the running program. Test programs run in a subfolder (`target/debug/deps`); for
/// them the folder above is searched too.
pub fn own(name: &str) -> Result<PathBuf, NotFound> {
    let exe = std::env::current_exe().map_err(NotFound::CurrentExe)?;
    let dir = exe.parent().unwrap_or(Path::new("/")).to_path_buf();
    let mut candidates = dir.ancestors().take(2).map(|dir| dir.join(name));
    let found = candidates.find(|path| path.is_file());
    drop(candidates);
    found.ok_or(NotFound::Own {
        name: name.to_owned(),
        dir,
    })
}

/// A program of this project for an image: the statically linked one of `scripts/build-cni.sh` if it exists, else the
/// one beside the running program.
pub fn packaged(name: &str) -> Result<PathBuf, NotFound> {
    let exe = std::env::current_exe().map_err(NotFound::CurrentExe)?;
    let linked = exe
        .ancestors()
        .skip(1)
        .take(3)
        .map(|dir| dir.join("static").join(name));
    match linked.into_iter().find(|path| path.is_file()) {
        Some(found) => Ok(found),
        None => own(name),
    }
}

/// A program of the distribution. It is searched in PATH and in the sbin folders, which a user's PATH often lacks.
pub fn system(name: &str) -> Result<PathBuf, NotFound> {
    [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ]
    .iter()
    .map(|dir| Path::new(dir).join(name))
    .find(|path| path.is_file())
    .ok_or_else(|| NotFound::System {
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_coredns_is_the_one_that_is_built() {
        let module = include_str!("../coredns/go.mod");
        let required = format!("require github.com/coredns/coredns v{COREDNS_VERSION}");
        assert!(module.lines().any(|line| line == required), "{module}");
    }
}
