//! Changes of the cloud without a call to the OpenAPI: removing instances, detaching and deleting ENIs, withholding
//! addresses of a vSwitch.

use std::sync::Arc;

use super::error::ApiError;
use super::tokens::Tokens;
use super::{Cloud, EniKind, InstanceStatus};

impl Cloud {
    /// Releases an instance: its primary ENI and those with DeleteOnRelease are deleted, the
    /// others become free.
    pub fn remove_instance(&mut self, id: &str) -> Result<(), ApiError> {
        self.known_instance(id)?;
        let held: Vec<(Arc<str>, bool)> = self
            .enis
            .of_instance(id)
            .map(|eni| {
                (
                    eni.id.clone(),
                    eni.kind == EniKind::Primary || eni.delete_on_release,
                )
            })
            .collect();
        for (eni, goes) in held {
            self.finish_detach(&eni);
            if goes {
                self.finish_delete(&eni);
            }
        }
        self.instances.remove(id);
        Ok(())
    }

    /// Marks an instance as running or stopped.
    pub fn power_instance(&mut self, id: &str, status: InstanceStatus) -> Result<(), ApiError> {
        self.known_instance(id)?;
        if let Some(instance) = self.instances.get_mut(id) {
            instance.status = status;
        }
        Ok(())
    }

    /// Detaches an ENI at once, as somebody else in the account might.
    pub fn tear_off(&mut self, eni: &str) -> Result<(), ApiError> {
        self.known_eni(eni)?;
        self.finish_detach(eni);
        Ok(())
    }

    /// Deletes an ENI at once, attached or not.
    pub fn destroy(&mut self, eni: &str) -> Result<(), ApiError> {
        self.tear_off(eni)?;
        self.finish_delete(eni);
        Ok(())
    }

    /// Forgets every ClientToken, as the cloud does when tokens are old.
    pub fn forget_tokens(&mut self) {
        self.tokens = Tokens::new(&self.rules);
    }

    /// Sets how many free addresses of a vSwitch are withheld. Returns whether the vSwitch exists.
    pub fn withhold(&mut self, vswitch: &str, addresses: u32) -> bool {
        self.vswitches
            .get_mut(vswitch)
            .map(|state| state.space.withhold(addresses))
            .is_some()
    }
}
