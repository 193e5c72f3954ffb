//! Builds ebpf/programs for the kernel and puts the object into OUT_DIR.
//!
//! Takes the first compiler that has its own standard library's sources beside it:
//!   1. $TERWAY_EBPF_RUSTC              (a rustc; said outright)
//!   2. `rustup run nightly rustc`      (a developer: rustup, nightly, rust-src)
//!   3. $RUSTC, the one cargo runs now  (any channel; RUSTC_BOOTSTRAP=1 for that build only)
//!   4. /usr/bin/rustc                  (Debian: rustc-web and rust-web-src)
//!
//! $TERWAY_EBPF_OBJECT=FILE takes a ready object instead; $TERWAY_EBPF_SKIP=1 puts an empty
//! one, for lints and documentation: an agent built so says so and stops.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, exit},
};

const PROGRAMS: &str = "../ebpf/programs";
/// Crates that the programs share with the host.
const SHARED: [&str; 2] = ["../ebpf/abi", "../ebpf/verdict"];
const BINARY: &str = "terway";
const OBJECT: &str = "terway.bpf.o";
const LINKER_VERSION: &str = "0.13.0";

/// A compiler that can build the core library for the kernel's target.
struct Toolchain {
    what: &'static str,
    /// `None`: through `rustup run nightly`.
    rustc: Option<PathBuf>,
    release: String,
    llvm: String,
}

fn main() {
    announce_inputs();
    let out = PathBuf::from(
        env::var_os("OUT_DIR").unwrap_or_else(|| fail("OUT_DIR is not set; run through cargo", &[])),
    );
    let object = out.join(OBJECT);
    if env::var_os("TERWAY_EBPF_SKIP").is_some_and(|v| v == "1") {
        println!("cargo::warning=TERWAY_EBPF_SKIP=1: no eBPF programs in this build");
        return write(&object, b"");
    }
    if let Some(ready) = env::var_os("TERWAY_EBPF_OBJECT") {
        let ready = PathBuf::from(ready);
        println!("cargo::rerun-if-changed={}", ready.display());
        return copy(&ready, &object);
    }
    let toolchain = find_toolchain();
    let Some(linker) = find_linker() else {
        let found = format!(
            "(found {}: rustc {}, LLVM {})",
            toolchain.what, toolchain.release, toolchain.llvm
        );
        fail("bpf-linker is not installed", &[found]);
    };
    let built = build(&toolchain, &linker, &out.join("ebpf-target"));
    copy(&built, &object);
}

fn announce_inputs() {
    for name in ["RUSTC", "OBJECT", "SKIP"] {
        println!("cargo::rerun-if-env-changed=TERWAY_EBPF_{name}");
    }
    for name in ["BPF_LINKER", "XDG_CACHE_HOME", "PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    for file in ["src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={PROGRAMS}/{file}");
    }
    for folder in SHARED {
        for file in ["src", "Cargo.toml"] {
            println!("cargo::rerun-if-changed={folder}/{file}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}

fn find_toolchain() -> Toolchain {
    let mut refused = Vec::new();
    let found = if let Some(rustc) = env::var_os("TERWAY_EBPF_RUSTC") {
        probe("$TERWAY_EBPF_RUSTC", Some(rustc.into()), &mut refused)
    } else {
        let own = PathBuf::from(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        probe("rustup's nightly", None, &mut refused)
            .or_else(|| probe("this build's rustc", Some(own), &mut refused))
            .or_else(|| probe("/usr/bin/rustc", Some("/usr/bin/rustc".into()), &mut refused))
    };
    found.unwrap_or_else(|| fail("no Rust compiler here can build for bpfel-unknown-none", &refused))
}

fn probe(what: &'static str, rustc: Option<PathBuf>, refused: &mut Vec<String>) -> Option<Toolchain> {
    let compiler = || match &rustc {
        Some(path) => {
            let mut command = Command::new(path);
            command.env_remove("RUSTUP_TOOLCHAIN");
            command
        }
        None => {
            let mut command = Command::new("rustup");
            command.args(["run", "nightly", "rustc"]);
            command
        }
    };
    let Some(version) = output_of(compiler().arg("-vV")) else {
        refused.push(format!("{what}: cannot be run"));
        return None;
    };
    let field = |key: &str| {
        let value = version.lines().find_map(|line| line.strip_prefix(key));
        value.unwrap_or("unknown").trim().to_owned()
    };
    let sysroot = output_of(compiler().args(["--print", "sysroot"])).unwrap_or_default();
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    if !library.join("core/src/lib.rs").exists() || !library.join("Cargo.lock").exists() {
        let release = field("release:");
        refused.push(format!(
            "{what}: rustc {release} has no library sources in {}",
            library.display()
        ));
        return None;
    }
    Some(Toolchain {
        what,
        rustc,
        release: field("release:"),
        llvm: field("LLVM version:"),
    })
}

/// $BPF_LINKER, then the cache that the repository's scripts fill, cargo's own folder, PATH.
fn find_linker() -> Option<PathBuf> {
    if let Some(said) = env::var_os("BPF_LINKER") {
        return Some(said.into());
    }
    let home = env::home_dir();
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| home.as_ref().map(|h| h.join(".cache")));
    let cached = cache.map(|c| c.join(format!("terway/bpf-linker-{LINKER_VERSION}/bin")));
    let cargo = cargo_home().map(|c| c.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    cached
        .into_iter()
        .chain(cargo)
        .chain(env::split_paths(&path))
        .map(|folder| folder.join("bpf-linker"))
        .find(|file| file.is_file())
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|h| h.join(".cargo")))
}

fn build(toolchain: &Toolchain, linker: &Path, target: &Path) -> PathBuf {
    let root = fs::canonicalize(PROGRAMS).unwrap_or_else(|e| fail(&format!("{PROGRAMS}: {e}"), &[]));
    let mut cargo = cargo_with(toolchain);
    forget_host_build(&mut cargo);
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_else(|_| "x86_64".into());
    let mut flags = vec![
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        "-Cdebuginfo=2".into(),
        "-Clink-arg=--btf".into(),
        format!("-Clinker={}", linker.display()),
        // The same object whatever folder it is built in.
        format!(
            "--remap-path-prefix={}=/ebpf",
            root.parent().unwrap_or(&root).display()
        ),
    ];
    if let Some(home) = cargo_home() {
        flags.push(format!(
            "--remap-path-prefix={}/registry/src=/registry",
            home.display()
        ));
    }
    cargo
        .current_dir(&root)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .args(["build", "--release", "--locked", "-Zbuild-std=core"])
        .args(["--target", "bpfel-unknown-none", "--bin", BINARY, "--target-dir"])
        .arg(target);
    let output = cargo
        .output()
        .unwrap_or_else(|e| fail(&format!("{cargo:?}: {e}"), &[]));
    if !output.status.success() {
        let mut lines = vec![
            format!(
                "with {}: rustc {}, LLVM {}; linker {}",
                toolchain.what,
                toolchain.release,
                toolchain.llvm,
                linker.display()
            ),
            "(an LLVM error from the linker mostly means that its LLVM is older than rustc's)".into(),
            String::new(),
        ];
        lines.extend(String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned));
        fail("the eBPF programs did not build", &lines);
    }
    target.join("bpfel-unknown-none/release").join(BINARY)
}

fn cargo_with(toolchain: &Toolchain) -> Command {
    let Some(rustc) = &toolchain.rustc else {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo"]).env_remove("RUSTC");
        return command;
    };
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.env("RUSTC", rustc);
    if !toolchain.release.contains("nightly") {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    command
}

/// Nothing of the host's build may leak into the kernel's.
fn forget_host_build(cargo: &mut Command) {
    const PREFIXES: [&str; 4] = ["CARGO_FEATURE_", "CARGO_CFG_", "CARGO_PROFILE_", "CARGO_PKG_"];
    const NAMES: [&str; 9] = [
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "CARGO_MAKEFLAGS",
        "RUSTUP_TOOLCHAIN",
        "TARGET",
        "HOST",
    ];
    for (key, _) in env::vars_os() {
        let key = key.to_string_lossy();
        if PREFIXES.iter().any(|p| key.starts_with(p)) || NAMES.contains(&key.as_ref()) {
            cargo.env_remove(key.as_ref());
        }
    }
}

fn output_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn write(file: &Path, bytes: &[u8]) {
    fs::write(file, bytes).unwrap_or_else(|e| fail(&format!("cannot write {}: {e}", file.display()), &[]));
}

fn copy(from: &Path, to: &Path) {
    if let Err(e) = fs::copy(from, to) {
        fail(
            &format!("cannot copy {} to {}: {e}", from.display(), to.display()),
            &[],
        );
    }
}

/// Ends the build. Cargo shows the standard error of a build script that fails.
fn fail(head: &str, lines: &[String]) -> ! {
    eprintln!("\nerror: {head}\n");
    for line in lines {
        eprintln!("  {line}");
    }
    eprintln!(
        "
To build the eBPF programs you need a Rust compiler with its library's sources, and bpf-linker:

  Debian:  apt-get install rustc-web rust-web-src, and bpf-linker {LINKER_VERSION} built against
           the LLVM of that rustc; `make setup` does both
  rustup:  rustup toolchain install nightly --component rust-src
           cargo install bpf-linker --version {LINKER_VERSION} --locked

Or: TERWAY_EBPF_OBJECT=FILE takes an object that was built elsewhere;
    TERWAY_EBPF_SKIP=1 builds without any (the agent then says so and stops when it is run).
"
    );
    exit(1)
}
