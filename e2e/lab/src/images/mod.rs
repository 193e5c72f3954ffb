//! The images of the lab. They are packed from programs on this machine, without a registry and without Docker.

mod archive;
mod libraries;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries::{self, NotFound};
use archive::Image;

/// Image of the sandbox container of every pod.
pub const PAUSE: &str = "lab.local/pause:1";
pub const AGNHOST: &str = "lab.local/agnhost:1";
pub const COREDNS: &str = "lab.local/coredns:1";
pub const BUSYBOX: &str = "lab.local/busybox:1";
/// Image with tools for a person in a pod, and for test suites that bring their own scripts: busybox (sh, nc,
/// nslookup), agnhost, kubectl, and curl where this machine has it.
pub const TOOLS: &str = "lab.local/tools:1";
/// Image of the program `traffic`, which counts losses in the storms.
pub const TRAFFIC: &str = "lab.local/traffic:1";
pub const CONTROLPLANE: &str = "terway.local/terway-controlplane:dev";
pub const AGENT: &str = "terway.local/terway:dev";

/// Path of the certificate authorities that TLS clients trust.
const CERTIFICATE_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Packing an image failed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Binary(#[from] NotFound),
    #[error("cannot {act} {}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot run {program}")]
    Run {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("{program} failed: {message}")]
    Tool { program: String, message: String },
    #[error("{} needs the library {library}, which this machine does not have", binary.display())]
    NoLibrary { binary: PathBuf, library: String },
}

pub(crate) fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImageError {
    let path = path.to_path_buf();
    move |source| ImageError::Io { act, path, source }
}

/// Packs all images whose programs exist into `dir`, and returns the file names of the archives in the order of import.
/// Unchanged archives are kept. An image of this project's programs is skipped, with a message, if they are not built:
/// a lab without the product is useful too.
pub fn pack_all(dir: &Path, say: impl Fn(&str)) -> Result<Vec<String>, ImageError> {
    std::fs::create_dir_all(dir).map_err(failed("make", dir))?;
    let mut archives = Vec::new();
    let images = [
        ("pause", Some(pause(dir)?)),
        ("busybox", Some(busybox()?)),
        ("agnhost", Some(agnhost()?)),
        ("tools", Some(tools()?)),
        ("coredns", Some(coredns()?)),
        ("traffic", ours(TRAFFIC, &["traffic"], &say)?),
        (
            "terway-controlplane",
            ours(CONTROLPLANE, &["terway-controlplane"], &say)?,
        ),
        ("terway", ours(AGENT, &["terway-agent", "terway"], &say)?),
    ];
    for (name, image) in images {
        let Some(image) = image else { continue };
        let file = format!("{name}.tar");
        if pack(dir, &file, &image)? {
            say(&format!("packed {}", image.reference));
        }
        archives.push(file);
    }
    Ok(archives)
}

/// Writes the archive, unless the existing archive was made from the same files. Returns whether it was written.
fn pack(dir: &Path, file: &str, image: &Image) -> Result<bool, ImageError> {
    let path = dir.join(file);
    let stamp_path = path.with_extension("stamp");
    let stamp = stamp(image)?;
    let unchanged = path.exists() && std::fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp);
    if unchanged {
        return Ok(false);
    }
    archive::write(image, &path)?;
    std::fs::write(&stamp_path, stamp).map_err(failed("write", &stamp_path))?;
    Ok(true)
}

/// The identity of an archive's sources: the plan of the image, and inode, size and time of each file.
fn stamp(image: &Image) -> Result<String, ImageError> {
    let mut stamp = format!("{image:?}\n");
    for source in image.files.values() {
        let meta = std::fs::metadata(source).map_err(failed("read", source))?;
        stamp += &format!(
            "{} {} {} {}\n",
            source.display(),
            meta.ino(),
            meta.size(),
            meta.mtime_nsec()
        );
        stamp += &format!("{}\n", meta.mtime());
    }
    Ok(stamp)
}

fn pause(dir: &Path) -> Result<Image, ImageError> {
    let binary = dir.join("pause");
    let source = dir.join("pause.c");
    let text = include_str!("pause.c");
    let current = binary.exists() && std::fs::read_to_string(&source).is_ok_and(|old| old == text);
    if !current {
        std::fs::write(&source, text).map_err(failed("write", &source))?;
        let cc = binaries::system("cc")?;
        run(Command::new(cc)
            .args(["-static", "-Os", "-s", "-o"])
            .arg(&binary)
            .arg(&source))?;
    }
    Ok(Image::new(PAUSE).file(&binary, "/pause").entrypoint(&["/pause"]))
}

fn agnhost() -> Result<Image, ImageError> {
    let binary = binaries::kubernetes("agnhost")?;
    Ok(Image::new(AGNHOST)
        .file(&binary, "/agnhost")
        .entrypoint(&["/agnhost"]))
}

fn coredns() -> Result<Image, ImageError> {
    Ok(Image::new(COREDNS)
        .file(&binaries::coredns()?, "/coredns")
        .entrypoint(&["/coredns"]))
}

fn tools() -> Result<Image, ImageError> {
    let image = applets(Image::new(TOOLS))?
        .file(&binaries::kubernetes("agnhost")?, "/agnhost")
        .file(&binaries::kubernetes("kubectl")?, "/bin/kubectl");
    match binaries::system("curl") {
        Ok(curl) => with_libraries(image, &curl, "/usr/bin/curl"),
        Err(_) => Ok(image),
    }
}

fn busybox() -> Result<Image, ImageError> {
    Ok(applets(Image::new(BUSYBOX))?.directory("/var/www"))
}

/// Adds a link to busybox for each of its applets.
fn applets(image: Image) -> Result<Image, ImageError> {
    let binary = binaries::system("busybox")?;
    let list = run(Command::new(&binary).arg("--list"))?;
    let mut image = with_libraries(image, &binary, "/bin/busybox")?;
    for applet in list.lines().filter(|applet| *applet != "busybox") {
        image = image.link(&format!("/bin/{applet}"), "/bin/busybox");
    }
    Ok(image)
}

/// An image with programs of this project in /usr/bin and their shared libraries. `None` if one is not built.
fn ours(reference: &str, programs: &[&str], say: impl Fn(&str)) -> Result<Option<Image>, ImageError> {
    let mut image = Image::new(reference);
    for name in programs {
        match binaries::packaged(name) {
            Ok(binary) => image = with_libraries(image, &binary, &format!("/usr/bin/{name}"))?,
            Err(err @ NotFound::Own { .. }) => {
                say(&format!("no image {reference}: {err}"));
                return Ok(None);
            }
            Err(err) => return Err(err.into()),
        }
    }
    let authorities = Path::new(CERTIFICATE_AUTHORITIES);
    if authorities.exists() {
        image = image.file(authorities, CERTIFICATE_AUTHORITIES);
    }
    Ok(Some(image.entrypoint(&[&format!("/usr/bin/{}", programs[0])])))
}

fn with_libraries(image: Image, binary: &Path, target: &str) -> Result<Image, ImageError> {
    let mut image = image.file(binary, target);
    for library in libraries::of(binary)? {
        image = image.file(&library, &library.to_string_lossy());
    }
    Ok(image)
}

/// Runs a tool to its end and returns what it printed.
fn run(command: &mut Command) -> Result<String, ImageError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| ImageError::Run {
        program: program.clone(),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(ImageError::Tool {
        program,
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
