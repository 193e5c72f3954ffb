//! The control plane's client against the simulator.

mod addresses;
mod budget;
mod calls;
mod roles;
