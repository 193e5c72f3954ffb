//! A container image with one layer, as the archive that `docker save` writes and containerd imports.
//! The same files make the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::{ImageError, failed};

/// The plan of an image. Paths in the image are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) reference: String,
    /// Files on this machine, by their path in the image.
    pub(super) files: BTreeMap<PathBuf, PathBuf>,
    links: BTreeMap<PathBuf, PathBuf>,
    directories: BTreeSet<PathBuf>,
    texts: BTreeMap<PathBuf, &'static str>,
    entrypoint: Vec<String>,
}

impl Image {
    /// An image with a root user, /tmp and /etc, which every program expects.
    pub(super) fn new(reference: &str) -> Self {
        Self {
            reference: reference.to_owned(),
            files: BTreeMap::new(),
            links: BTreeMap::new(),
            directories: [PathBuf::from("/tmp"), PathBuf::from("/etc")].into(),
            texts: [
                (PathBuf::from("/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n"),
                (PathBuf::from("/etc/group"), "root:x:0:\n"),
            ]
            .into(),
            entrypoint: Vec::new(),
        }
    }

    pub(super) fn file(mut self, source: &Path, target: &str) -> Self {
        self.files.insert(PathBuf::from(target), source.to_path_buf());
        self
    }

    pub(super) fn link(mut self, link: &str, target: &str) -> Self {
        self.links.insert(PathBuf::from(link), PathBuf::from(target));
        self
    }

    pub(super) fn directory(mut self, path: &str) -> Self {
        self.directories.insert(PathBuf::from(path));
        self
    }

    pub(super) fn entrypoint(mut self, argv: &[&str]) -> Self {
        self.entrypoint = argv.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    /// Every directory, parents before children.
    fn all_directories(&self) -> BTreeSet<PathBuf> {
        let paths = self
            .files
            .keys()
            .chain(self.links.keys())
            .chain(self.texts.keys());
        let parents = paths.filter_map(|path| path.parent());
        let named = self.directories.iter().map(PathBuf::as_path);
        parents
            .chain(named)
            .flat_map(Path::ancestors)
            .filter(|path| path.parent().is_some())
            .map(Path::to_path_buf)
            .collect()
    }
}

/// Writes the archive and renames it into place, so that an interrupted run leaves the old archive.
pub(super) fn write(image: &Image, path: &Path) -> Result<(), ImageError> {
    let layer_path = path.with_extension("layer");
    let digest = write_layer(image, &layer_path).map_err(failed("write", &layer_path))?;
    let part = path.with_extension("part");
    let result = write_archive(image, &layer_path, &digest, &part).map_err(failed("write", &part));
    std::fs::remove_file(&layer_path).map_err(failed("remove", &layer_path))?;
    result?;
    std::fs::rename(&part, path).map_err(failed("put in place", path))
}

fn write_layer(image: &Image, path: &Path) -> io::Result<String> {
    let mut builder = Builder::new(BufWriter::new(File::create(path)?));
    for dir in image.all_directories() {
        let mode = if dir == Path::new("/tmp") { 0o1777 } else { 0o755 };
        append(&mut builder, EntryType::Directory, &dir, mode, 0, io::empty())?;
    }
    for (target, text) in &image.texts {
        append(
            &mut builder,
            EntryType::Regular,
            target,
            0o644,
            text.len() as u64,
            text.as_bytes(),
        )?;
    }
    for (target, source) in &image.files {
        let file = File::open(source)?;
        let size = file.metadata()?.len();
        append(&mut builder, EntryType::Regular, target, 0o755, size, file)?;
    }
    for (link, target) in &image.links {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        builder.append_link(&mut header, relative(link), target)?;
    }
    builder.into_inner()?.flush()?;
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            length => hash.update(&piece[..length]),
        }
    }
}

fn write_archive(image: &Image, layer: &Path, digest: &str, path: &Path) -> io::Result<()> {
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "created": "2025-01-01T00:00:00Z",
        "config": {
            "Entrypoint": image.entrypoint,
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        "history": [{"created": "2025-01-01T00:00:00Z", "created_by": "lab"}],
    })
    .to_string();
    let config_name = format!("{}.json", hex(&Sha256::digest(&config)));
    let layer_name = format!("{digest}/layer.tar");
    let manifest =
        json!([{"Config": config_name, "RepoTags": [image.reference], "Layers": [layer_name]}]).to_string();

    let mut builder = Builder::new(BufWriter::new(File::create(path)?));
    for (name, text) in [(&config_name, &config), (&"manifest.json".to_owned(), &manifest)] {
        append(
            &mut builder,
            EntryType::Regular,
            Path::new(name),
            0o644,
            text.len() as u64,
            text.as_bytes(),
        )?;
    }
    let mut layer = File::open(layer)?;
    let size = layer.seek(SeekFrom::End(0))?;
    layer.rewind()?;
    append(
        &mut builder,
        EntryType::Regular,
        Path::new(&layer_name),
        0o644,
        size,
        layer,
    )?;
    builder.into_inner()?.flush()
}

fn append(
    builder: &mut Builder<impl Write>,
    kind: EntryType,
    path: &Path,
    mode: u32,
    size: u64,
    data: impl Read,
) -> io::Result<()> {
    builder.append_data(&mut header(kind, mode, size), relative(path), data)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    // The owner is root and the time is zero, so that archives of the same files are equal.
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_what_is_in_them() {
        let image = Image::new("a:1")
            .file(Path::new("/x"), "/usr/bin/x")
            .directory("/var/www");
        let dirs: Vec<_> = image.all_directories().into_iter().collect();
        let all = ["/etc", "/tmp", "/usr", "/usr/bin", "/var", "/var/www"].map(PathBuf::from);
        assert_eq!(dirs, all);
    }

    #[test]
    fn the_same_files_give_the_same_bytes_and_the_digest_is_the_layers() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("program");
        std::fs::write(&source, b"#!/bin/sh\n").unwrap();
        let image = Image::new("a:1")
            .file(&source, "/bin/program")
            .link("/bin/p", "/bin/program");
        let bytes = |name: &str| {
            let path = dir.path().join(name);
            write(&image, &path).unwrap();
            std::fs::read(path).unwrap()
        };
        let first = bytes("one.tar");
        assert_eq!(first, bytes("two.tar"));

        let mut archive = tar::Archive::new(first.as_slice());
        let mut layer = None;
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            if let Some(digest) = name.strip_suffix("/layer.tar") {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                layer = Some((digest.to_owned(), content));
            }
        }
        let (digest, content) = layer.expect("a layer");
        assert_eq!(digest, hex(&Sha256::digest(content)));
    }
}
