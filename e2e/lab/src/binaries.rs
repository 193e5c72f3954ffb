//! Where the programs that the lab starts are found: the Kubernetes parts and CoreDNS in the cache that
//! `scripts/setup.sh` fills, our own binaries beside the running one, the rest in the usual folders.

use std::path::{Path, PathBuf};

/// The Kubernetes version of the cluster; `scripts/build-kubernetes.sh` builds the same.
pub const KUBERNETES_VERSION: &str = "1.34.2";

/// The CoreDNS version of the cluster; `e2e/lab/coredns` requires the same, and `scripts/build-coredns.sh` builds it.
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

/// An XDG base folder: the variable where it is set to an absolute path, else `under_home` in HOME.
pub(crate) fn xdg(variable: &str, under_home: &str) -> Result<PathBuf, NotFound> {
    // The base-directory rules say that a relative value is to be ignored.
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

/// One of our own programs, beside the running one. Test programs run from a subfolder
/// (`target/debug/deps`), the programs lie one above.
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

/// One of our own programs as it goes into an image: the statically linked one of
/// `scripts/build-cni.sh` where there is one, else the one beside this program.
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

/// A program of the distribution. PATH alone would not do: a user's PATH often lacks the sbin folders.
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
