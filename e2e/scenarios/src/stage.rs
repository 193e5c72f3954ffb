//! A stage on which commands are shown and checked. Every command that a user would type is printed with its output.
//! The first false statement ends the show.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Runs commands for an audience.
pub struct Stage {
    path: String,
    kubeconfig: PathBuf,
    started: Instant,
}

impl Stage {
    /// `bin` holds the product's and the lab's programs, `kubernetes` kubectl and helm.
    pub fn new(bin: &std::path::Path, kubernetes: &std::path::Path, kubeconfig: PathBuf) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{path}", kubernetes.display(), bin.display());
        Self {
            path,
            kubeconfig,
            started: Instant::now(),
        }
    }

    /// Opens the next act.
    pub fn title(&self, text: impl Display) {
        lab::say!(
            "\n\x1b[1m== {text}\x1b[0m  ({:.0} s)",
            self.started.elapsed().as_secs_f64()
        );
    }

    /// Announces what comes next.
    pub fn say(&self, text: impl Display) {
        lab::say!("   {text}");
    }

    /// Shows a command and its output; its failure ends the show.
    pub fn run(&self, command: &str) -> Result<String> {
        lab::say!("\x1b[2m$ {command}\x1b[0m");
        let output = self.start(command)?;
        let text = text_of(&output);
        for line in text.lines() {
            lab::say!("  {line}");
        }
        if !output.status.success() {
            bail!("`{command}` ended with {}", output.status);
        }
        Ok(text)
    }

    /// Shows a command that has to fail, and returns its output.
    pub fn run_refused(&self, command: &str) -> Result<String> {
        lab::say!("\x1b[2m$ {command}\x1b[0m");
        let output = self.start(command)?;
        let text = text_of(&output);
        for line in text.lines() {
            lab::say!("  {line}");
        }
        if output.status.success() {
            bail!("`{command}` should have been refused, but was not");
        }
        Ok(text)
    }

    /// Runs a command without showing it: `None` when it failed.
    pub fn ask(&self, command: &str) -> Result<Option<String>> {
        let output = self.start(command)?;
        Ok(output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    }

    /// Runs a command without showing it; a failure is an error.
    pub fn get(&self, command: &str) -> Result<String> {
        self.ask(command)?.with_context(|| format!("`{command}` failed"))
    }

    /// A statement about what was seen.
    pub fn check(&self, is_true: bool, statement: impl Display) -> Result<()> {
        if !is_true {
            bail!("not true: {statement}");
        }
        lab::say!("  \x1b[32m✓\x1b[0m {statement}");
        Ok(())
    }

    /// Waits until `probe` finds something. The error names what was waited for.
    pub fn wait<T>(
        &self,
        what: impl Display,
        deadline: Duration,
        mut probe: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = probe()? {
                lab::say!(
                    "  \x1b[32m✓\x1b[0m {what} (after {:.1} s)",
                    start.elapsed().as_secs_f64()
                );
                return Ok(found);
            }
            if start.elapsed() > deadline {
                bail!("not true within {} s: {what}", deadline.as_secs());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn start(&self, command: &str) -> Result<Output> {
        Command::new("bash")
            .args(["-c", command])
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .with_context(|| format!("starting `{command}`"))
    }
}

fn text_of(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}
