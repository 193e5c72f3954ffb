//! The OpenAPI: from an HTTP request to an act on the model and back.

mod actions;
mod answer;
pub mod call;
pub mod credentials;
mod eni_view;
pub mod parameters;
pub mod quota;
pub mod server;
pub mod signature;
pub mod sts;
mod views;
