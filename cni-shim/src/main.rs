//! The CNI binary `terway`: environment and configuration in, one JSON document out.

use std::process::ExitCode;

fn main() -> ExitCode {
    terway_cni::run(
        &|name| std::env::var(name).ok(),
        &mut std::io::stdin(),
        &mut std::io::stdout(),
    )
}
