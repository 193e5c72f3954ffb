//! Logging to standard error, and the end of a process that panicked.

use std::io::IsTerminal;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// A further receiver of spans and log lines, with a filter of its own.
pub type Receiver = Box<dyn Layer<Registry> + Send + Sync>;

/// The log filter is not one that `tracing` knows.
#[derive(Debug, thiserror::Error)]
#[error("the log filter {directives:?} cannot be used: write a level such as info, or target=level pairs")]
pub struct LogFilterError {
    directives: String,
    #[source]
    source: ParseError,
}

/// The filter of the environment's `RUST_LOG` when that is set, and `flag` otherwise.
#[must_use]
pub fn directives(flag: &str) -> String {
    choose(std::env::var("RUST_LOG").ok(), flag)
}

fn choose(environment: Option<String>, flag: &str) -> String {
    environment
        .filter(|directives| !directives.is_empty())
        .unwrap_or_else(|| flag.to_owned())
}

/// Begins to log what `directives` let through to standard error, with colours when standard error is a terminal.
/// `further` receives spans beside the log, for example to export them. Call it once per process.
///
/// # Errors
/// When `directives` are no filter.
pub fn start(directives: &str, further: Option<Receiver>) -> Result<(), LogFilterError> {
    let filter = EnvFilter::try_new(directives).map_err(|source| LogFilterError {
        directives: directives.to_owned(),
        source,
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(filter);
    // Both layers stand in one list: a layer that is absent then costs nothing and hides nothing.
    let layers: Vec<Receiver> = std::iter::once(lines.boxed()).chain(further).collect();
    tracing_subscriber::registry().with(layers).init();
    Ok(())
}

/// Ends the process with SIGABRT on a panic of any thread or task, after the panic's words. A task that panicked
/// would hold its object for ever; a new process does not.
pub fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_environment_comes_before_the_flag_unless_it_is_empty() {
        assert_eq!(choose(Some("debug".into()), "info"), "debug");
        assert_eq!(choose(Some(String::new()), "info"), "info");
        assert_eq!(choose(None, "info"), "info");
    }

    #[test]
    fn a_filter_that_cannot_be_used_is_named() {
        let error = start("info,=loud", None).unwrap_err();
        assert!(error.to_string().contains("info,=loud"), "{error}");
    }

    /// Runs in a process of its own; elsewhere it does nothing.
    #[test]
    fn child_that_panics_in_a_task() {
        if std::env::var_os("TERWAY_PROCESS_CHILD").is_none() {
            return;
        }
        abort_on_panic();
        let _ = std::thread::spawn(|| panic!("the planned panic")).join();
    }

    #[test]
    fn a_panic_anywhere_ends_the_process() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "logging::tests::child_that_panics_in_a_task",
            ])
            .env("TERWAY_PROCESS_CHILD", "1")
            .output()
            .unwrap();
        assert_eq!(child.status.signal(), Some(6), "SIGABRT; got {:?}", child.status);
        assert!(String::from_utf8_lossy(&child.stderr).contains("the planned panic"));
    }
}
