//! The shared libraries of a program, as the dynamic loader finds them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ImageError, run};
use crate::binaries;

/// All libraries that `binary` loads at its start, including the loader. A static binary has none.
pub(super) fn of(binary: &Path) -> Result<Vec<PathBuf>, ImageError> {
    match run(Command::new(binaries::system("ldd")?).arg(binary)) {
        Ok(text) => parse(&text).map_err(|library| ImageError::NoLibrary {
            binary: binary.to_path_buf(),
            library,
        }),
        Err(ImageError::Tool { message, .. }) if message.contains("not a dynamic executable") => {
            Ok(Vec::new())
        }
        Err(err) => Err(err),
    }
}

/// The paths that ldd prints, or the name of a library that it did not find.
fn parse(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        let (name, path) = match line.split_once(" => ") {
            Some((name, path)) => (name, path),
            None => (line, line),
        };
        if path.starts_with("not found") {
            return Err(name.to_owned());
        }
        // The vDSO has no file (man page vdso(7)).
        if let Some(path) = path.split(' ').next().filter(|path| path.starts_with('/')) {
            found.push(PathBuf::from(path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_kernels_is_not() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        let paths = parse(text).unwrap();
        assert_eq!(
            paths,
            ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from)
        );
    }

    #[test]
    fn a_static_program_has_none() {
        assert_eq!(parse("\tstatically linked\n").unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_missing_library_is_named() {
        assert_eq!(parse("\tlibfoo.so.1 => not found\n").unwrap_err(), "libfoo.so.1");
    }
}
