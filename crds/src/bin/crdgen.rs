//! Prints the CustomResourceDefinitions, one file each, into the directory named by the argument.
//! With `--check` it writes nothing and fails when a file there is missing or differs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = arguments.iter().any(|a| a == "--check");
    let directories: Vec<&String> = arguments.iter().filter(|a| *a != "--check").collect();
    let [directory] = directories[..] else {
        eprintln!("usage: crdgen [--check] DIRECTORY");
        return ExitCode::from(2);
    };
    match run(&PathBuf::from(directory), check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("crdgen: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path, check: bool) -> Result<(), String> {
    for (name, content) in terway_crds::crd::files().map_err(|error| chain(&error))? {
        let path = directory.join(name);
        if check {
            let found = std::fs::read_to_string(&path)
                .map_err(|error| format!("read {}: {error}", path.display()))?;
            if found != content {
                return Err(format!("{} is stale: run `make crds`", path.display()));
            }
        } else {
            std::fs::write(&path, content).map_err(|error| format!("write {}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
