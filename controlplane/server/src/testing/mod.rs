//! What the unit tests of the control plane's I/O layers need: an API server and a cloud that live in the test, answer
//! as the test says, and keep a log of what they were asked.

mod api;
mod cloud;
mod objects;
pub(crate) mod shop;
mod stage;

pub(crate) use self::api::ApiServer;
pub(crate) use self::cloud::CloudServer;
pub(crate) use self::stage::Stage;
