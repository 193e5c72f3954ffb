//! The commands of `lab`.

mod cloud;
mod logs;
mod status;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use lab::down::{Found, down};
use lab::state::StateDir;
use lab::{Cluster, Options, ProxyMode};

/// A real Kubernetes cluster on this machine: each node is a set of namespaces with its own containerd
/// and kubelet, joined by a simulated Alibaba Cloud VPC. Needs root, but neither Docker nor a cloud.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
pub struct Cli {
    /// Where the lab keeps everything [default: $XDG_STATE_HOME/terway-lab or ~/.local/state/terway-lab]
    #[arg(long, global = true, env = "TERWAY_LAB_STATE")]
    state_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring a lab up: simulated cloud, control plane, and nodes that wait for a network plugin
    Up(UpArgs),
    /// Take the lab down and remove all of it from this machine; images and logs stay in the state folder
    Down {
        /// Remove the state folder too
        #[arg(long)]
        purge: bool,
    },
    /// Show the machines, what runs on them, and the nodes
    Status,
    /// Print the path of the kubeconfig
    Kubeconfig,
    /// Run kubectl against the lab
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run Helm against the lab
    Helm {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run a command in a machine (control, node1, …), in all its namespaces
    Exec {
        machine: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Reboot a node: everything but its disk (/var, /etc, /opt) is new
    Reboot { node: String },
    /// Show the state of the simulated cloud: `enis`, `drops`, or a path of its admin API such as `/state`
    Cloud { what: String },
    /// Pack the images anew where their programs changed, and import them into the running nodes
    Images,
    /// List the logs, or print one: `lab logs node1 kubelet`
    Logs {
        machine: Option<String>,
        program: Option<String>,
        /// Go on printing as the log grows
        #[arg(short, long)]
        follow: bool,
    },
    #[command(hide = true)]
    Supervise { state_dir: PathBuf },
    #[command(hide = true)]
    Machine { spec: PathBuf },
    #[command(hide = true)]
    MachineInit { spec: PathBuf },
    #[command(hide = true)]
    InOwnNetwork {
        program: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
struct UpArgs {
    /// How many nodes: node1, node2, …
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: u8,
    /// The port on 127.0.0.1 that leads to the API server; 0 takes a free one
    #[arg(long, default_value_t = lab::DEFAULT_PORT)]
    port: u16,
    /// The simulator's world file [default: its documented example]
    #[arg(long)]
    world: Option<PathBuf>,
    /// How kube-proxy makes Services
    #[arg(long, value_enum, default_value_t)]
    kube_proxy: ProxyMode,
    /// Stay in the foreground; the lab ends when this command ends, for any reason
    #[arg(long)]
    dies_with_caller: bool,
}

pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut options = Options {
        state_dir: cli.state_dir,
        ..Options::default()
    };
    match cli.command {
        Command::Up(args) => {
            options.port = args.port;
            options.world = args.world;
            options.kube_proxy = args.kube_proxy;
            options.nodes = (1..=args.nodes).map(|n| format!("node{n}")).collect();
            up(&options, args.dies_with_caller)?;
        }
        Command::Down { purge } => take_down(&lab::open(&options)?, purge)?,
        Command::Status => return status::show(&lab::open(&options)?),
        Command::Kubeconfig => lab::say!("{}", Cluster::attach(&options)?.kubeconfig().display()),
        Command::Kubectl { arguments } => become_tool(Cluster::attach(&options)?.kubectl()?, &arguments)?,
        Command::Helm { arguments } => become_tool(Cluster::attach(&options)?.helm()?, &arguments)?,
        Command::Exec { machine, command } => {
            let (program, arguments) = command.split_first().context("no command")?;
            let code = lab::exec::exec(&lab::open(&options)?, &machine, program, arguments)?;
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)));
        }
        Command::Reboot { node } => {
            let cluster = Cluster::attach(&options)?;
            lab::reboot::reboot(cluster.state(), &cluster.admin(), &node)?;
            lab::say!("{node} boots");
        }
        Command::Cloud { what } => cloud::show(&Cluster::attach(&options)?, &what)?,
        Command::Images => load_images(&lab::open(&options)?)?,
        Command::Logs {
            machine,
            program,
            follow,
        } => {
            logs::show(
                &lab::open(&options)?,
                machine.as_deref(),
                program.as_deref(),
                follow,
            )?;
        }
        Command::Supervise { state_dir } => {
            tracing_subscriber::fmt()
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .init();
            lab::supervisor::supervise(&state_dir)?;
        }
        Command::Machine { spec } => match lab::machine::launch::launch(&spec)? {},
        Command::MachineInit { spec } => match lab::machine::launch::init(&spec)? {},
        Command::InOwnNetwork { program, arguments } => {
            let err = lab::supervisor::become_in_own_network(&program, &arguments);
            return Err(err).context(format!(
                "cannot run {} in a network of its own",
                program.display()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn up(options: &Options, dies_with_caller: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    let say = |text: &str| lab::say!("{:6.1} s  {text}", started.elapsed().as_secs_f32());
    if let Some(running) = lab::open(options)?.running()? {
        if running.machines.get(1..) == Some(&options.nodes) {
            lab::say!("the lab is up already: API server on 127.0.0.1:{}", running.port);
            return Ok(());
        }
        bail!(
            "a lab with {} is up already; take it down first: lab down",
            running.machines.join(", ")
        );
    }
    let cluster = Cluster::up(options, say)?;
    say(&format!(
        "up; the nodes wait for a network plugin. KUBECONFIG={}",
        cluster.kubeconfig().display()
    ));
    if dies_with_caller {
        // The pipe closes when this process ends, for any reason.
        loop {
            std::thread::park();
        }
    }
    Ok(cluster.detach()?)
}

fn take_down(state: &StateDir, purge: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    let found = down(state)?;
    if purge {
        state.purge()?;
    }
    let what = match found {
        Found::Running => "the lab is down; nothing of it runs on this machine",
        Found::Remains => "removed what a killed lab had left",
        Found::Nothing => "there was no lab",
    };
    lab::say!("{:6.1} s  {what}", started.elapsed().as_secs_f32());
    Ok(())
}

fn load_images(state: &StateDir) -> anyhow::Result<()> {
    let started = Instant::now();
    let say = |text: &str| lab::say!("{:6.1} s  {text}", started.elapsed().as_secs_f32());
    let archives = lab::images::pack_all(&state.images(), say)?;
    let Some(running) = state.running()? else {
        say(&format!(
            "{} images in {}; no lab is up",
            archives.len(),
            state.images().display()
        ));
        return Ok(());
    };
    let lab = std::env::current_exe().context("cannot find this program")?;
    for node in running.machines.iter().filter(|machine| *machine != "control") {
        for archive in &archives {
            let path = format!("{}/images/{archive}", lab::machine::HOME);
            let output = std::process::Command::new(&lab)
                .arg("--state-dir")
                .arg(state.root())
                .args([
                    "exec", node, "--", "ctr", "-n", "k8s.io", "images", "import", &path,
                ])
                .output()
                .context("cannot run this program again")?;
            if !output.status.success() {
                bail!(
                    "{node} cannot import {archive}: {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                );
            }
        }
        say(&format!("{} images are in {node}", archives.len()));
    }
    Ok(())
}

/// Replaces this process by kubectl or Helm, so that the tool gets signals and terminal and sets the exit code.
fn become_tool(mut command: std::process::Command, arguments: &[OsString]) -> anyhow::Result<()> {
    let err = command.args(arguments).exec();
    Err(err).with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))
}
