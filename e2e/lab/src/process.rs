//! Child processes that end with this process: by Drop, and by the kernel's parent-death signal when this process is
//! killed (man page PR_SET_PDEATHSIG(2const)).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;

/// Starting a program failed.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("cannot open the log file {} of {name}", path.display())]
    Log {
        name: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the caller's network namespace for {name}; is /proc mounted?")]
    Namespace {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot start {name}")]
    Start {
        name: String,
        #[source]
        source: io::Error,
    },
}

/// A running program with its log file. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub struct Tied {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Tied {
    /// Starts `command` in the network namespace of the calling thread, its output appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, SpawnError> {
        let open = || OpenOptions::new().create(true).append(true).open(log);
        let log_error = |source| SpawnError::Log {
            name: name.to_owned(),
            path: log.to_path_buf(),
            source,
        };
        let out = open().map_err(log_error)?;
        let err = out.try_clone().map_err(log_error)?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let netns = File::open("/proc/thread-self/ns/net").map_err(|source| SpawnError::Namespace {
            name: name.to_owned(),
            source,
        })?;
        let child = spawn_on_keeper(command, netns).map_err(|source| SpawnError::Start {
            name: name.to_owned(),
            source,
        })?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_path_buf(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, if the program has ended.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of the log, for an error message.
    pub fn log_tail(&self) -> String {
        log_tail(&self.log)
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        // Both fail only when the process has been reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last twelve lines of a log file, or a sentence if the file cannot be read.
pub fn log_tail(path: &Path) -> String {
    match std::fs::read(path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(12)..].join("\n")
        }
        Err(err) => format!("(no log in {}: {err})", path.display()),
    }
}

type Job = (Command, File, mpsc::Sender<io::Result<Child>>);

/// Forks on a thread that never ends. The kernel sends the parent-death signal when the *thread* that forked ends, not
/// the process; a child of a pool thread would die when the pool shrinks.
fn spawn_on_keeper(command: Command, netns: File) -> io::Result<Child> {
    static KEEPER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (jobs, inbox) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (command, netns, reply) in inbox {
                let _ = reply.send(spawn_tied(command, &netns));
            }
        });
        jobs
    });
    let (reply, answer) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts child processes is gone");
    keeper.send((command, netns, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// Forks on the calling thread. The child enters `netns` if it is another network namespace.
fn spawn_tied(mut command: Command, netns: &File) -> io::Result<Child> {
    let here = File::open("/proc/thread-self/ns/net")?;
    // Entering a namespace needs privilege, so the child enters only another namespace.
    let enter = (here.metadata()?.ino() != netns.metadata()?.ino())
        .then(|| netns.try_clone())
        .transpose()?;
    let parent = nix::unistd::getpid();
    die_with_thread(&mut command);
    set_pre_exec(&mut command, move || {
        // If the parent died between fork and prctl, no signal would ever come.
        if nix::unistd::getppid() != parent {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if let Some(netns) = &enter {
            setns(netns.as_fd(), CloneFlags::CLONE_NEWNET)?;
        }
        Ok(())
    });
    command.spawn()
}

/// Lets the kernel kill the child when the thread that starts it ends. For programs with one thread.
pub(crate) fn die_with_thread(command: &mut Command) {
    set_pre_exec(command, || Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?));
}

#[allow(
    unsafe_code,
    reason = "only a hook between fork and exec can tie the child to us"
)]
fn set_pre_exec(command: &mut Command, hook: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: the hooks of this module make system calls only; they allocate nothing on the good path
    // and take no lock, so they are sound in the child of a process with several threads.
    unsafe {
        command.pre_exec(hook);
    }
}
