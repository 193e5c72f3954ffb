//! Builds the model from a world file.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::create::{CreateEni, NewEniKind};
use super::table::EniTable;
use super::tokens::Tokens;
use super::{ApiError, Attachment, Cloud, Eni, EniKind, EniStatus, IdMaker, InstanceState, InstanceStatus};
use super::{HostPort, VSwitchState, error};
use crate::world::{Instance, PresetEni, World, WorldError};

impl Cloud {
    /// A cloud as `world` describes it. With `record_changes` the model keeps a list of changes for the fabric. Without
    /// a fabric nobody would take the list.
    pub fn new(world: &World, seed: u64, record_changes: bool, now: Timestamp) -> Result<Cloud, WorldError> {
        let mut cloud = Cloud {
            region: world.region.clone(),
            vpcs: world
                .vpcs
                .iter()
                .map(|vpc| (vpc.id.clone(), vpc.clone()))
                .collect(),
            hosts: Vec::new(),
            vswitches: world
                .v_switches
                .iter()
                .map(|spec| (spec.id.clone(), VSwitchState::new(spec.clone())))
                .collect(),
            groups: world
                .security_groups
                .iter()
                .map(|group| (group.id.clone(), group.clone()))
                .collect(),
            types: world
                .instance_types
                .iter()
                .map(|kind| (kind.id.clone(), kind.clone()))
                .collect(),
            instances: BTreeMap::new(),
            enis: EniTable::default(),
            reservations: BTreeMap::new(),
            account_limit: None,
            rules: world.rules.clone(),
            tokens: Tokens::new(&world.rules),
            ids: IdMaker::new(seed),
            due: BTreeMap::new(),
            pending: HashMap::new(),
            last_due: 0,
            changes: Vec::new(),
            record_changes,
            space_past: Default::default(),
            space_seen_at: None,
        };
        cloud.populate(world, now)?;
        // The account's quota limits later calls only. A world may start with more ENIs.
        cloud.account_limit = world.quotas.network_interfaces;
        Ok(cloud)
    }

    fn populate(&mut self, world: &World, now: Timestamp) -> Result<(), WorldError> {
        for vswitch in &world.v_switches {
            for block in &vswitch.reserved_cidrs {
                self.preset_reservation(&vswitch.id, *block, now)
                    .map_err(|_| WorldError::Address {
                        holder: format!("vSwitch {}", vswitch.id),
                        address: block.to_string(),
                        reason: "cannot be reserved for prefixes: it overlaps another block, contains an address \
                                 that the system keeps, is too small, or is outside",
                    })?;
            }
        }
        for host in &world.hosts {
            let holder = || format!("host {}", host.name);
            let vswitch = self
                .vswitches
                .get_mut(&host.v_switch)
                .ok_or_else(|| WorldError::Unknown {
                    holder: holder(),
                    kind: "vSwitch",
                    id: host.v_switch.clone(),
                })?;
            vswitch
                .space
                .take(host.address)
                .map_err(|_| WorldError::Address {
                    holder: holder(),
                    address: host.address.to_string(),
                    reason: "is outside its vSwitch, reserved or taken",
                })?;
            let serial = self.ids.serial();
            self.hosts.push(HostPort {
                spec: host.clone(),
                mac: self.ids.mac(serial),
            });
        }
        // Instances with a named address come first, so that no other instance gets this address as the next free one.
        let (named, unnamed): (Vec<_>, Vec<_>) = world.instances.iter().partition(|i| i.address.is_some());
        for instance in named.into_iter().chain(unnamed) {
            self.add_instance(instance, now)
                .map_err(|_| WorldError::Address {
                    holder: format!("instance {}", instance.id),
                    address: instance
                        .address
                        .map_or("(the next free one)".into(), |address| address.to_string()),
                    reason: "is outside its vSwitch, reserved, taken, or there is none left",
                })?;
        }
        world
            .network_interfaces
            .iter()
            .try_for_each(|preset| self.preset(preset, now))
    }

    fn preset(&mut self, preset: &PresetEni, now: Timestamp) -> Result<(), WorldError> {
        let request = CreateEni {
            vswitch_id: preset.v_switch.clone(),
            security_group_ids: preset.security_groups.clone(),
            kind: NewEniKind::Secondary,
            tags: preset.tags.clone().into_iter().collect(),
            ..CreateEni::default()
        };
        for _ in 0..preset.count {
            self.create_network_interface(&request, now)
                .map_err(|_| WorldError::Address {
                    holder: format!("networkInterfaces in {}", preset.v_switch),
                    address: "(the next free one)".into(),
                    reason: "cannot be had: the vSwitch is too small",
                })?;
        }
        Ok(())
    }

    /// Adds a running instance with its primary ENI.
    pub fn add_instance(&mut self, spec: &Instance, now: Timestamp) -> Result<(), ApiError> {
        if self.instances.contains_key(&spec.id) {
            return Err(error::invalid("id", "an instance of this id exists"));
        }
        if !self.types.contains_key(&spec.instance_type) {
            return Err(error::invalid("type", "the world has no such instance type"));
        }
        if spec
            .primary_eni
            .as_deref()
            .is_some_and(|id| self.enis.get(id).is_some())
        {
            return Err(error::invalid("primaryEni", "an ENI of this id exists"));
        }
        let request = CreateEni {
            vswitch_id: spec.v_switch.clone(),
            security_group_ids: spec.security_groups.clone(),
            primary_ip: spec.address,
            ..CreateEni::default()
        };
        let mut eni = self.build_eni(&request, spec.primary_eni.as_deref(), now)?;
        eni.kind = EniKind::Primary;
        eni.status = EniStatus::InUse;
        eni.delete_on_release = true;
        eni.attachment = Some(Attachment {
            instance_id: spec.id.as_str().into(),
            trunk_eni_id: None,
            device_index: 0,
            network_card_index: 0,
        });
        self.instances
            .insert(spec.id.clone(), instance_state(spec, &eni, now));
        self.enis.insert(eni);
        Ok(())
    }
}

fn instance_state(spec: &Instance, primary: &Eni, now: Timestamp) -> InstanceState {
    let address = Some(primary.primary_ip);
    InstanceState {
        spec: Instance {
            address,
            primary_eni: Some(primary.id.to_string()),
            ..spec.clone()
        },
        status: InstanceStatus::Running,
        zone: primary.zone_id.to_string(),
        vpc: primary.vpc_id.to_string(),
        primary: primary.id.clone(),
        created: now,
    }
}
