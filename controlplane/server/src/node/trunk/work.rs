//! The steps of a trunk's plan.

use std::time::Duration;

use jiff::Timestamp;
use terway_cloud::{AttachEni, CloudError, EniFilter, ErrorClass, Expect};
use terway_core::cloud::EniKind;
use terway_core::conditions::{Statement, state};
use terway_core::intent::{Answer, Evidence, IntentId, Lookup};
use terway_core::node::{NodeFacts, Step, TRUNK_INDEX, is_trunk_of};
use terway_crds::names::{action, condition, event, tag};
use terway_crds::node::Nic;
use terway_crds::{Family, Operation, OperationKind};

use super::look::Look;
use crate::context::{Grant, answer};
use crate::error::ReconcileError;
use crate::events::{News, Severity, node_reference};
use crate::node::NodeController;
use crate::objects::NodeRecord;
use crate::requests;
use crate::runtime::{Key, Next, Slot};

/// One step of one node's trunk.
pub struct Work<'a> {
    pub controller: &'a NodeController,
    pub key: &'a Key,
    pub node: &'a NodeFacts,
    pub record: &'a NodeRecord,
    pub look: &'a Look,
}

impl Work<'_> {
    fn uid(&self) -> &str {
        self.record.metadata.uid.as_deref().unwrap_or_default()
    }

    fn intent(&self) -> IntentId {
        let attempt = self
            .look
            .operation
            .as_ref()
            .map_or(0, |operation| operation.attempt);
        IntentId {
            owner_uid: self.uid().to_owned(),
            index: TRUNK_INDEX.to_owned(),
            attempt,
        }
    }

    /// Does the step. `None` means: plan again at once.
    pub async fn apply(
        &self,
        step: Step,
        grant: Option<Grant>,
        slot: &mut Slot,
    ) -> Result<Option<Next>, ReconcileError> {
        let context = &self.controller.context;
        match (step, grant) {
            (Step::FindTrunks, _) => self.find(slot).await?,
            (Step::WriteOperation(operation), _) => self.write_operation(*operation).await?,
            (Step::Create, Some(grant)) => self.create(grant).await?,
            (Step::LookUpByTag, _) => {
                self.look_up(EniFilter::tags([(tag::INTENT, self.intent().tag_value())]), slot)
                    .await?;
            }
            (Step::LookUpById(id), _) => self.look_up(EniFilter::ids([id]), slot).await?,
            (Step::Watch(id), _) => {
                context.trunks.lock().insert(id.clone(), self.key.clone());
                context.look(&id, Expect::Attached);
                return Ok(Some(Next::After(Duration::from_secs(60))));
            }
            (Step::Attach(id), Some(grant)) => return self.attach(&id, grant).await.map(Some),
            (Step::WriteNic(nic), _) => self.write_nic(*nic, slot).await?,
            (Step::Create | Step::Attach(_), None) => {}
        }
        Ok(None)
    }

    async fn find(&self, slot: &mut Slot) -> Result<(), ReconcileError> {
        let context = &self.controller.context;
        let instance = &self.record.spec.node_metadata.instance_id;
        let filter = EniFilter {
            instance_id: Some(instance.clone()),
            kind: Some(EniKind::Trunk),
            ..EniFilter::default()
        };
        let found = slot
            .released_while(context.cloud.describe_network_interfaces(&filter))
            .await?;
        // One that is being deleted by us is no trunk any more.
        let leaving = |id: &str| {
            let interface = context.caches.interfaces.get(&Key::cluster(id));
            interface.is_some_and(|interface| interface.metadata.deletion_timestamp.is_some())
        };
        let trunks = found
            .into_iter()
            .filter(|eni| is_trunk_of(eni, instance) && !leaving(&eni.id))
            .collect();
        self.controller
            .remember(self.key, |memory| memory.trunks = Some(trunks));
        Ok(())
    }

    async fn write_operation(&self, operation: Operation) -> Result<(), ReconcileError> {
        let context = &self.controller.context;
        let mut status = self.record.status.clone().unwrap_or_default();
        let ours = |o: &Operation| matches!(o.kind, OperationKind::CreateTrunk | OperationKind::AttachTrunk);
        status.operations.retain(|known| !ours(known));
        let (attempt, creates) = (operation.attempt, operation.kind == OperationKind::CreateTrunk);
        let failure = operation.last_error.clone();
        status.operations.push(operation);
        context.write.write_node_status(self.record, &status).await?;
        if creates {
            context
                .intents
                .note(self.uid(), TRUNK_INDEX, Evidence::fresh(attempt));
        }
        if let Some(failure) = failure {
            let note = format!(
                "the cloud refused to create the trunk: {}: {}",
                failure.code, failure.message
            );
            self.tell(
                Severity::Warning,
                event::CREATE_ENI_FAILED,
                action::CREATE_ENI,
                note,
            );
        }
        Ok(())
    }

    async fn create(&self, grant: Grant) -> Result<(), ReconcileError> {
        let context = &self.controller.context;
        let Some(parameters) = self.look.operation.as_ref().and_then(|o| o.parameters.as_ref()) else {
            return Ok(());
        };
        let request = requests::create(parameters, &self.intent(), true);
        let mut evidence = self.look.evidence.clone();
        evidence.sending();
        context.intents.note(self.uid(), TRUNK_INDEX, evidence.clone());
        let result = context
            .cloud
            .create_network_interface(grant.permit, &request)
            .await;
        let (answer, error) = match answer(result) {
            Ok(known) => known,
            Err(not_sent) => {
                context
                    .intents
                    .note(self.uid(), TRUNK_INDEX, self.look.evidence.clone());
                return Err(not_sent.into());
            }
        };
        let again = matches!(answer, Answer::Unknown | Answer::Throttled);
        evidence.answered(answer);
        context.intents.note(self.uid(), TRUNK_INDEX, evidence);
        error.filter(|_| again).map_or(Ok(()), |error| Err(error.into()))
    }

    async fn look_up(&self, filter: EniFilter, slot: &mut Slot) -> Result<(), ReconcileError> {
        let context = &self.controller.context;
        let found = slot
            .released_while(context.cloud.describe_network_interfaces(&filter))
            .await?;
        let mut evidence = self.look.evidence.clone();
        evidence.lookups.push(Lookup {
            at: Timestamp::now(),
            found: found.into_iter().next().map(Box::new),
        });
        context.intents.note(self.uid(), TRUNK_INDEX, evidence);
        Ok(())
    }

    async fn attach(&self, id: &str, grant: Grant) -> Result<Next, ReconcileError> {
        let context = &self.controller.context;
        let request = AttachEni {
            eni_id: id.to_owned(),
            instance_id: self.record.spec.node_metadata.instance_id.clone(),
            ..AttachEni::default()
        };
        let answer = context
            .cloud
            .attach_network_interface(grant.permit, &request)
            .await;
        if let Err(error) = answer.or_else(unless_unknown) {
            let note = format!(
                "the trunk {id} was not attached: {}: {}",
                error.code, error.message
            );
            self.tell(
                Severity::Warning,
                event::ATTACH_ENI_FAILED,
                action::ATTACH_ENI,
                note,
            );
            return Err(error.into());
        }
        self.controller
            .remember(self.key, |memory| memory.attach_sent = Some(Timestamp::now()));
        context.trunks.lock().insert(id.to_owned(), self.key.clone());
        context.expect(id, Expect::Attached);
        // That nothing has changed is no news which the poller would tell.
        Ok(Next::After(context.limits.grace))
    }

    /// The trunk is in use: one write records it, ends its operation and says that the node serves.
    async fn write_nic(&self, mut nic: Nic, slot: &mut Slot) -> Result<(), ReconcileError> {
        let context = &self.controller.context;
        let ids = [nic.vswitch_id.clone()];
        let known = slot.released_while(context.vswitches.resolve(&ids)).await?;
        if let Some(vswitch) = known.first() {
            let nets = Family::SERVED
                .into_iter()
                .filter_map(|family| vswitch.cidrs.of(family));
            nets.for_each(|net| nic.set_cidr(net));
        }
        let mut status = self.record.status.clone().unwrap_or_default();
        status.operations.retain(|o| o.eni_id != nic.id);
        let message = format!("trunk ENI {} is attached", nic.id);
        let id = nic.id.clone();
        status.network_interfaces.insert(nic.id.clone(), nic);
        let ready = Statement {
            kind: condition::READY,
            holds: true,
            reason: "TrunkAttached",
            message: message.clone(),
        };
        state(
            &mut status.conditions,
            ready,
            self.record.metadata.generation,
            Timestamp::now(),
        );
        context.write.write_node_status(self.record, &status).await?;
        context.intents.forget(self.uid(), TRUNK_INDEX);
        context.trunks.lock().remove(&id);
        context.cloud.watch().forget(&id);
        self.controller.memory.lock().remove(self.key);
        self.tell(
            Severity::Normal,
            event::ATTACH_ENI_SUCCEED,
            action::ATTACH_ENI,
            message,
        );
        Ok(())
    }

    fn tell(&self, severity: Severity, reason: &'static str, action: &'static str, note: String) {
        let news = News {
            severity,
            reason,
            action,
            note,
        };
        self.controller
            .context
            .events
            .tell(node_reference(self.node), None, news);
    }
}

/// A call of which nobody knows whether it was done shows in the state.
fn unless_unknown(error: CloudError) -> Result<(), CloudError> {
    if error.class == ErrorClass::Unknown {
        Ok(())
    } else {
        Err(error)
    }
}
