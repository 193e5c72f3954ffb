//! Opens the sandbox's network namespace.

use std::fs::File;
use std::io::ErrorKind;

use crate::error::CniError;

/// Opens the namespace; it must exist.
pub fn open(path: &str) -> Result<File, CniError> {
    File::open(path).map_err(|source| CniError::Netns {
        path: path.to_owned(),
        source,
    })
}

/// Opens the namespace if it still exists. A runtime may have removed it before the DEL; the interfaces inside are then
/// gone too. ENOTDIR counts as an absence: a part of the path is no directory any more.
pub fn open_if_any(path: Option<&str>) -> Result<Option<File>, CniError> {
    let Some(path) = path else { return Ok(None) };
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(source) if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(CniError::Netns {
            path: path.to_owned(),
            source,
        }),
    }
}
