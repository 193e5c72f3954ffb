//! The traces of a lab on the machine. They are read from the kernel and not from the lab's own files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use lab::state::StateDir;

/// The names of a lab's parts, to be searched for after the lab is gone.
pub struct Footprint {
    root: String,
    cgroup_prefix: String,
    /// Network namespaces of its machines, as the kernel names them: `net:[4026532200]`.
    namespaces: BTreeSet<String>,
}

impl Footprint {
    /// Takes the footprint of a lab that is up or coming up. Machines that do not exist yet are ignored.
    pub fn of(state: &StateDir, machines: &[String]) -> Self {
        let pid = |name: &String| std::fs::read_to_string(state.machine_pid_file(name)).ok();
        let namespaces = machines
            .iter()
            .filter_map(pid)
            .filter_map(|pid| std::fs::read_link(format!("/proc/{}/ns/net", pid.trim())).ok())
            .map(|link| link.to_string_lossy().into_owned())
            .collect();
        Self {
            root: state.root().to_string_lossy().into_owned(),
            cgroup_prefix: state.cgroup_prefix(),
            namespaces,
        }
    }

    /// Processes in the lab's cgroups or namespaces, or with the lab's folder in their command line.
    pub fn processes(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let proc = entry.path();
            if !entry
                .file_name()
                .to_string_lossy()
                .chars()
                .all(|c| c.is_ascii_digit())
            {
                continue;
            }
            let read = |name: &str| {
                String::from_utf8_lossy(&std::fs::read(proc.join(name)).unwrap_or_default()).into_owned()
            };
            // A zombie only waits for the host's init to reap it.
            if read("stat")
                .rsplit(')')
                .next()
                .is_some_and(|rest| rest.trim_start().starts_with('Z'))
            {
                continue;
            }
            let namespace = std::fs::read_link(proc.join("ns/net")).unwrap_or_default();
            let ours = read("cmdline").contains(&self.root)
                || read("cgroup").contains(&self.cgroup_prefix)
                || self.namespaces.contains(&*namespace.to_string_lossy());
            if ours && proc.file_name() != Some(std::process::id().to_string().as_ref()) {
                found.push(format!(
                    "{} {}",
                    entry.file_name().to_string_lossy(),
                    read("cmdline")
                ));
            }
        }
        found
    }

    fn mounts(&self) -> Vec<String> {
        // A namespace that is kept by a bind mount shows its name there.
        let ours =
            |line: &&str| line.contains(&self.root) || self.namespaces.iter().any(|ns| line.contains(ns));
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        text.lines().filter(ours).map(str::to_owned).collect()
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
        for entry in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            folders.push(entry.path());
        }
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry
                    .file_name()
                    .to_string_lossy()
                    .starts_with(&self.cgroup_prefix)
                {
                    found.push(entry.path());
                }
            }
        }
        found
    }

    /// Links of the host with the lab's name. There must be none, because NICs are in the machines' namespaces.
    fn links() -> Vec<String> {
        let text = std::fs::read_to_string("/proc/self/net/dev").unwrap();
        let names = text.lines().skip(2).filter_map(|line| line.split(':').next());
        names
            .map(str::trim)
            .filter(|name| name.starts_with("eni") || name.starts_with("cali"))
            .map(str::to_owned)
            .collect()
    }

    pub fn assert_gone(&self) {
        assert_eq!(self.processes(), Vec::<String>::new(), "processes are left");
        assert_eq!(self.mounts(), Vec::<String>::new(), "mounts are left");
        assert_eq!(self.cgroups(), Vec::<PathBuf>::new(), "cgroups are left");
        assert_eq!(Self::links(), Vec::<String>::new(), "links are left");
    }
}
