//! The fabric: TAPs in network namespaces and the sockets of applications.

mod addresses;
mod devices;
mod groups;
mod lab;
mod traffic;
mod trunk;
mod wire;
