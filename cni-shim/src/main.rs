//! The CNI binary `terway`: environment and configuration in, one JSON document out.

use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    if asks_for_version() {
        let line = concat!("terway ", env!("CARGO_PKG_VERSION"));
        return match writeln!(std::io::stdout(), "{line}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    terway_cni::run(
        &|name| std::env::var(name).ok(),
        &mut std::io::stdin(),
        &mut std::io::stdout(),
    )
}

/// Whether a person asks for this program's version. A runtime sets `CNI_COMMAND` and passes no argument (CNI
/// specification, section 2), so its calls never get here.
fn asks_for_version() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    let asked = arguments.next();
    let flags = ["--version", "-V", "-v"].map(OsStr::new);
    std::env::var_os("CNI_COMMAND").is_none()
        && arguments.next().is_none()
        && asked.is_some_and(|flag| flags.contains(&flag.as_os_str()))
}
