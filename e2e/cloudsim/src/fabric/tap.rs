//! TAP devices. A TAP is created here and moved into an instance's network namespace. Dropping it removes the device.
//!
//! The descriptor is opened in the fabric's own namespace, and the device is moved afterwards. A descriptor that is
//! opened inside the instance's namespace would keep the namespace alive, and a killed machine would still answer
//! pings.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
};

use nix::{libc, net::if_::if_nametoindex, sys::uio::writev};

use super::{
    link,
    wire::ethernet::{LinkHeader, Mac},
};

mod ioctl {
    //! Three ioctl requests of the kernel's include/uapi/linux/if_tun.h.
    use std::ffi::{c_int, c_uint};

    use nix::libc;

    nix::ioctl_write_ptr_bad!(
        set_iff,
        nix::request_code_write!(b'T', 202, size_of::<c_int>()),
        libc::ifreq
    );
    nix::ioctl_write_int_bad!(
        set_offload,
        nix::request_code_write!(b'T', 208, size_of::<c_uint>())
    );
    nix::ioctl_read_bad!(
        get_iff,
        nix::request_code_read!(b'T', 210, size_of::<c_uint>()),
        libc::ifreq
    );
}

/// A TAP device in an instance's namespace. Dropping it removes the device.
#[derive(Debug)]
pub struct Tap {
    file: File,
    ifname: String,
}

/// The step that failed while a TAP was created.
#[derive(Debug)]
pub struct TapError {
    pub step: &'static str,
    pub source: io::Error,
}

impl Tap {
    /// Creates a TAP with this MAC in `netns`, down and without addresses, like a hot-plugged NIC. Without `ifname` its
    /// name is the next free `ethN`.
    pub fn create(mac: Mac, netns: BorrowedFd<'_>, ifname: Option<&str>) -> Result<Self, TapError> {
        let at = |step| move |source| TapError { step, source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")
            .map_err(at("open /dev/net/tun"))?;
        let passing = attach(&file).map_err(at("create the device"))?;
        let index = if_nametoindex(passing.as_str()).map_err(|errno| at("find the device")(errno.into()))?;
        link::place(index, netns, ifname.unwrap_or("eth%d"), mac)
            .map_err(at("move it into the instance's namespace"))?;
        let ifname = current_name(&file).map_err(at("read its name"))?;
        Ok(Self { file, ifname })
    }

    /// The name in the instance at the time of creation.
    pub fn ifname(&self) -> &str {
        &self.ifname
    }

    /// Reads the next frame that the instance sent into `buffer` and returns its length.
    ///
    /// # Errors
    /// `WouldBlock` when there is no frame.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(&self.file, buffer)?)
    }

    /// Gives a frame to the instance.
    ///
    /// # Errors
    /// EIO when the device is down.
    pub fn write(&self, header: &LinkHeader, payload: &[u8]) -> io::Result<()> {
        writev(
            &self.file,
            &[IoSlice::new(header.as_bytes()), IoSlice::new(payload)],
        )?;
        Ok(())
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Creates the device of the descriptor and returns its temporary name.
#[allow(unsafe_code, reason = "TUNSETIFF and TUNSETOFFLOAD have no safe wrapper")]
fn attach(file: &File) -> io::Result<String> {
    let mut request = empty_request();
    // The kernel replaces %d by a number. There is no virtio header, so every frame is complete.
    for (to, from) in request.ifr_name.iter_mut().zip(b"csim%d") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the request is a whole ifreq that outlives the call; the kernel reads and writes
    // no further than that.
    unsafe { ioctl::set_iff(file.as_raw_fd(), &raw const request) }?;
    // SAFETY: the argument is a plain flag word. Zero means that the kernel must finish checksums
    // and cut segments before it hands us a frame, also for pod traffic that came over a veth.
    unsafe { ioctl::set_offload(file.as_raw_fd(), 0) }?;
    current_name(file)
}

#[allow(unsafe_code, reason = "TUNGETIFF has no safe wrapper")]
fn current_name(file: &File) -> io::Result<String> {
    let mut request = empty_request();
    // SAFETY: the request is a whole, writable ifreq that outlives the call.
    unsafe { ioctl::get_iff(file.as_raw_fd(), &raw mut request) }?;
    let bytes = request
        .ifr_name
        .iter()
        .take_while(|byte| **byte != 0)
        .map(|byte| *byte as u8);
    Ok(String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned())
}

fn empty_request() -> libc::ifreq {
    libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: 0 },
    }
}
