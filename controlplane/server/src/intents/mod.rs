//! The one place that sends the requests of recorded intents. It notes that the attempt is sent, sends, classifies the
//! cloud's reply, and notes the reply. PodENIs and operations of nodes use it.

mod attempts;
mod request;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use terway_cloud::{Cloud, CloudError, EniFilter};
use terway_core::intent::{Evidence, IntentId, Lookup, Refused, Reply};

pub use attempts::{Attempts, Creating};
pub use request::Request;

use crate::context::Grant;
use crate::runtime::growing;

/// The result of sending a request.
#[derive(Debug)]
pub struct Sent {
    /// The cloud's reply; `None` if nothing was sent.
    pub reply: Option<Reply>,
    /// The error because of which the same request has to be sent again, if it has to.
    pub again: Option<CloudError>,
}

impl Attempts {
    /// Sends the request of an attempt. `on_reply` sees the reply before planners do.
    pub async fn send(
        &self,
        cloud: &Cloud,
        id: &IntentId,
        request: &Request,
        grant: Grant,
        on_reply: impl FnOnce(&Reply) + Send,
    ) -> Sent {
        let before = self.of(id);
        self.change(id, |evidence| evidence.sending());
        let result = request.send(cloud, grant).await;
        let now = Timestamp::now();
        match result {
            Ok(reply) => {
                on_reply(&reply);
                self.change(id, |evidence| evidence.replied(reply.clone(), now, None));
                Sent {
                    reply: Some(reply),
                    again: None,
                }
            }
            Err(error) if error.was_not_sent() => {
                let not_before = now + pause(id, &before, &error);
                self.change(id, |evidence| *evidence = before.put_off(not_before));
                Sent {
                    reply: None,
                    again: Some(error),
                }
            }
            Err(error) => {
                let reply = Reply::to_failure(refused(&error));
                let again = Some(error).filter(|_| reply.asks_again());
                on_reply(&reply);
                let not_before = again.as_ref().map(|error| now + pause(id, &before, error));
                self.change(id, |evidence| evidence.replied(reply.clone(), now, not_before));
                Sent {
                    reply: Some(reply),
                    again,
                }
            }
        }
    }

    /// Searches for the ENI of an attempt.
    ///
    /// # Errors
    /// When the cloud gave no complete answer. The next search waits for the pace of the error.
    pub async fn look_up(&self, cloud: &Cloud, id: &IntentId, filter: &EniFilter) -> Result<(), CloudError> {
        let result = cloud.describe_network_interfaces(filter).await;
        let now = Timestamp::now();
        match result {
            Ok(found) => {
                let found = found.into_iter().next().map(Box::new);
                self.change(id, |evidence| evidence.looked_up(Lookup { at: now, found }));
                Ok(())
            }
            Err(error) => {
                self.change(id, |evidence| {
                    let not_before = now + pause(id, evidence, &error);
                    *evidence = evidence.put_off(not_before);
                });
                Err(error)
            }
        }
    }
}

/// Time after which a failed call may be sent again. It grows with the failures in a row.
fn pause(id: &IntentId, before: &Evidence, error: &CloudError) -> std::time::Duration {
    let pace = error.retry().pace();
    growing(
        &id.tag_value(),
        before.failures.saturating_add(1),
        pace.first,
        pace.most,
    )
}

/// The cloud's words in a failed call.
fn refused(error: &CloudError) -> Refused {
    Refused {
        class: error.class,
        code: error.code.clone(),
        message: error.message.clone(),
        request_id: error.request_id.clone().unwrap_or_default(),
    }
}
