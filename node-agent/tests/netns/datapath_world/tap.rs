//! The other end of a NIC: a TAP whose frames the test reads and writes. It answers ARP as
//! the VPC's gateway does.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
    time::{Duration, Instant},
};

use nix::libc;

use super::{
    GATEWAY_MAC, PATIENCE,
    frame::{self, Frame},
    run,
};

nix::ioctl_write_ptr_bad!(tun_set_iff, nix::request_code_write!(b'T', 202, 4), libc::ifreq);

pub struct Tap {
    file: File,
}

impl Tap {
    /// Makes a device in this thread's namespace, down and without an address.
    #[allow(unsafe_code, reason = "TUNSETIFF has no safe wrapper")]
    pub fn new(name: &str, mac: [u8; 6]) -> Self {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
            .unwrap();
        // SAFETY: an ifreq of zeros is valid.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: the request is whole and outlives the call.
        unsafe { tun_set_iff(file.as_raw_fd(), &raw const request) }.unwrap();
        let mac: Vec<String> = mac.iter().map(|b| format!("{b:02x}")).collect();
        run(&format!("ip link set {name} address {}", mac.join(":")));
        Self { file }
    }

    /// Hands a frame to the node.
    pub fn send(&self, bytes: &[u8]) {
        (&self.file).write_all(bytes).unwrap();
    }

    /// The first frame that fits; others are dropped, ARP requests answered.
    pub fn expect(&self, what: &str, fits: impl Fn(&Frame) -> bool) -> Frame {
        self.wait(PATIENCE, fits)
            .unwrap_or_else(|seen| panic!("no frame in {PATIENCE:?}: {what}; seen: {seen:#?}"))
    }

    /// Everything the node has sent until now.
    pub fn drain(&self) -> Vec<Frame> {
        self.wait(Duration::from_millis(50), |_| false).unwrap_err()
    }

    fn wait(&self, patience: Duration, fits: impl Fn(&Frame) -> bool) -> Result<Frame, Vec<Frame>> {
        let deadline = Instant::now() + patience;
        let mut seen = Vec::new();
        loop {
            let mut buffer = [0; 2048];
            match (&self.file).read(&mut buffer) {
                Ok(n) => {
                    let bytes = &buffer[..n];
                    if let Some(answer) = frame::arp_answer(bytes, GATEWAY_MAC) {
                        self.send(&answer);
                    }
                    let frame = Frame::parse(bytes);
                    if fits(&frame) {
                        return Ok(frame);
                    }
                    seen.push(frame);
                }
                Err(_) => {
                    if Instant::now() >= deadline {
                        return Err(seen);
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
}
