//! The pod controller's part: does what its plan says.

use super::*;

impl World {
    pub(super) fn run_pods(&mut self) {
        let node = self.pod.as_ref().and_then(|pod| self.node(&pod.node));
        let plan = pod::plan(self.pod.as_ref(), self.record.as_ref(), node.as_ref(), self.now);
        match (plan.action, self.record.is_some()) {
            (Action::Create, false) => self.make_record(),
            (Action::Rebind, true) => {
                let pod = self.pod.clone().expect("a plan for a pod");
                let meta = &mut self.record.as_mut().expect("a plan for a record").metadata;
                meta.annotations
                    .get_or_insert_default()
                    .insert(annotation::POD_UID.into(), pod.uid);
                meta.labels
                    .get_or_insert_default()
                    .insert(label::NODE.into(), pod.node);
            }
            (Action::SetPhase(phase), true) => {
                let record = self.record.as_mut().expect("a plan for a record");
                record.status = Some(pe::phase_only(record, phase, Some(self.now)));
            }
            (Action::Delete | Action::Expire, true) => delete(&mut self.record, self.now),
            (Action::Nothing(_), _) => {}
            (other, _) => panic!("planned {other:?} for what is not there"),
        }
    }

    fn make_record(&mut self) {
        let pod = self.pod.clone().expect("a plan for a pod");
        let node = self.node(&pod.node).expect("a node");
        let fixed = self.lifetime == Lifetime::Fixed;
        let network = PodNetwork {
            security_group_ids: vec!["sg".into()],
            allocation_type: fixed.then(|| AllocationType {
                kind: AllocationTypeKind::Fixed,
                release_strategy: Some(ReleaseStrategy::Never),
                release_after: String::new(),
            }),
            ..PodNetwork::default()
        };
        let vswitch = Candidate {
            id: "vsw".into(),
            zone: "h".into(),
            cidrs: terway_core::cloud::Cidrs::default(),
            available: 9,
        };
        let settings = Settings {
            cluster_id: "c".into(),
            vpc_id: "v".into(),
            enable_trunk: true,
        };
        let mut record =
            pod::build(&pod, &node, &[network], &[vswitch], &settings, self.now).expect("a record");
        let uid = self.uid();
        record.metadata.uid = Some(uid.clone());
        self.evidence.insert((uid, "0".into()), Evidence::fresh(1));
        self.record = Some(record);
    }

    pub(super) fn pod_state(&self, record: &PodEni) -> PodState {
        match self.pod.as_ref().filter(|pod| pod.uid == pe::pod_uid(record)) {
            None => PodState::Gone,
            Some(pod) if pod.exited => PodState::Gone,
            Some(pod) if pod.deleting => PodState::Leaving,
            Some(_) => PodState::Living,
        }
    }
}
