//! Alibaba Cloud simulator: OpenAPI, metadata service and VPC fabric.

pub mod admin;
pub mod api;
pub mod call_log;
pub mod cli;
pub mod clock;
pub mod fabric;
pub mod fault;
pub mod gate;
pub mod machines;
pub mod metadata;
pub mod model;
pub mod simulator;
pub mod state;
pub mod world;

pub use clock::ClockMode;
pub use fault::{Fault, Point};
pub use gate::{Gate, Then};
pub use simulator::{Options, Running, Simulator, StartError};
pub use world::World;
