//! The simulated cloud as its callers meet it: the OpenAPI over HTTP with requests signed by hand, and the
//! control plane's own client, which was written from the same papers and has to agree.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot set itself up has failed"
)]

mod api;
mod bench;
mod client;
mod rrsa;
