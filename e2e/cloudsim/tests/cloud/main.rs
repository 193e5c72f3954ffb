//! Tests of the simulated cloud by its callers: requests over HTTP that the tests sign themselves, and the control
//! plane's own client, which was written from the same documents.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot set itself up has failed"
)]

mod api;
mod bench;
mod client;
mod rrsa;
