//! Publication over a data plane in memory: whole or not at all, and what comes after a failure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use lb_common::vlan::{Vlan, VlanDevice};

use super::*;

mod scope;
use crate::{
    dataplane::{Capacity, Step, memory::Memory},
    health::Target,
    model::{
        AdminState, Backend, ChosenSources, Health, Mode, Moves, ProbeWay, QuicLb, Service,
        TableSlots, Weight,
    },
    neighbor::{NextHop, NextHops},
    plan::Knowledge,
};

/// Whether flows are remembered is not at stake here.
static COMPLETE: LazyLock<Knowledge> = LazyLock::new(Knowledge::complete);

const VIPS: [&str; 2] = ["192.0.2.1:80/tcp", "192.0.2.1:443/tcp"];
const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";

/// What the daemon knows, and what it keeps as it should be.
struct Lab {
    desired: Desired,
    health: BTreeMap<Target, Health>,
    next_hops: NextHops,
    interfaces: BTreeSet<u32>,
    vlans: BTreeMap<u32, VlanDevice>,
    reconciler: Reconciler<Memory>,
}

impl Lab {
    /// Nothing is wanted and nothing is there; the backends are on the link.
    fn new(capacity: Capacity) -> Self {
        let hop = NextHop {
            vlan: Vlan::NONE,
            interface: 3,
            source_mac: [2, 0, 0, 0, 0, 1],
            destination_mac: [2, 0, 0, 0, 0, 2],
            on_link: true,
            source: None,
            mtu: 1_500,
        };
        let addresses = ["10.0.0.1", "10.0.0.2"].map(|it| it.parse().unwrap());
        Self {
            desired: Desired::default(),
            health: BTreeMap::new(),
            next_hops: addresses.map(|address| (address, Ok(hop))).into(),
            interfaces: BTreeSet::new(),
            vlans: BTreeMap::new(),
            reconciler: Reconciler::new(Memory::new(capacity)),
        }
    }

    fn want(&mut self, service: Service) {
        self.desired
            .services
            .insert(service.name.clone(), service.into());
    }

    fn publish(&mut self) -> Result<Plan, PublishError> {
        let (desired, world, reconciler) = self.parts();
        reconciler.publish(desired, world, &Scope::All)
    }

    fn publish_what_fits(&mut self) -> Result<Plan, PublishError> {
        let (desired, world, reconciler) = self.parts();
        reconciler.publish_what_fits(desired, world, &Scope::All)
    }

    fn plan(&mut self) -> Plan {
        let (desired, world, reconciler) = self.parts();
        reconciler.plan(desired, world, &Scope::All)
    }

    fn parts(&mut self) -> (&Desired, World<'_>, &mut Reconciler<Memory>) {
        let world = World {
            health: &self.health,
            next_hops: &self.next_hops,
            interfaces: &self.interfaces,
            vlans: &self.vlans,
            sources: ChosenSources::default(),
            probes: ProbeWay::default(),
            knowledge: &COMPLETE,
        };
        (&self.desired, world, &mut self.reconciler)
    }

    fn fail_after(&mut self, steps: Option<usize>) {
        self.reconciler.dataplane.fails_after = steps;
    }

    fn done(&self) -> &[Step] {
        &self.reconciler.dataplane().done
    }
}

fn web(backends: &[&str]) -> Service {
    let backends = backends.iter().map(|address| Backend {
        address: address.parse().unwrap(),
        weight: Weight::default(),
        mode: Mode::L2,
        state: AdminState::Up,
        role: crate::model::Role::Ordinary,
        server_ids: BTreeSet::new(),
        remove_at: None,
    });
    Service {
        name: "web".parse().unwrap(),
        vips: VIPS.iter().map(|vip| vip.parse().unwrap()).collect(),
        mode: Mode::L2,
        table_slots: TableSlots::Auto,
        probe: None,
        thresholds: crate::model::Thresholds::default(),
        moves: Moves::default(),
        algorithm: crate::model::Algorithm::Maglev,
        source_limit: None,
        dynamic_weights: None,
        quic_lb: QuicLb::default(),
        backends: backends.map(|it| (it.address, it)).collect(),
    }
}

#[test]
fn a_publication_does_the_steps_of_its_plan_and_leaves_the_clean_up() {
    let mut lab = Lab::new(Capacity::default());
    lab.want(web(&[ONE]));
    let plan = lab.publish().unwrap();
    assert_eq!(lab.done(), plan.publish);
    lab.want(web(&[TWO]));
    let plan = lab.publish().unwrap();
    assert!(lab.done().ends_with(&plan.publish));
    assert!(!plan.clean.is_empty());
    lab.reconciler.clean(&plan).unwrap();
    assert!(lab.done().ends_with(&plan.clean));
    assert!(lab.plan().is_empty());
}

#[test]
fn publishing_again_does_nothing() {
    let mut lab = Lab::new(Capacity::default());
    lab.want(web(&[ONE]));
    lab.publish().unwrap();
    let done = lab.done().len();
    assert!(lab.publish().unwrap().is_empty());
    assert_eq!(lab.done().len(), done);
}

#[test]
fn a_shortage_refuses_before_anything_is_done_and_names_all_that_lacks() {
    let mut lab = Lab::new(Capacity {
        backends: 2,
        vips: 2,
        ..Capacity::default()
    });
    lab.want(web(&[ONE, TWO]));
    let error = lab.publish().unwrap_err();
    assert_eq!(
        error.to_string(),
        "no number left for backend 10.0.0.2:80 of service web: there are 2, raise max_backends; \
         3 VIPs and addresses of one IP version are wanted, 2 fit: raise max_vips"
    );
    assert_eq!(lab.done(), []);
}

#[test]
fn what_fits_is_published_in_spite_of_a_shortage() {
    let mut lab = Lab::new(Capacity {
        backends: 2,
        vips: 2,
        ..Capacity::default()
    });
    lab.want(web(&[ONE, TWO]));
    let plan = lab.publish_what_fits().unwrap();
    assert_eq!(plan.shortages.len(), 2);
    assert_eq!(lab.reconciler.dataplane().actual.vips.len(), 1);
    assert_eq!(lab.reconciler.dataplane().actual.backends.len(), 1);
    assert!(lab.plan().is_empty());
}

#[test]
fn a_step_that_fails_is_named_and_the_next_publication_heals() {
    let mut lab = Lab::new(Capacity::default());
    lab.want(web(&[ONE, TWO]));
    for (works, step) in lab.plan().publish.iter().enumerate() {
        lab.reconciler = Reconciler::new(Memory::new(Capacity::default()));
        lab.fail_after(Some(works));
        let error = lab.publish().unwrap_err();
        assert_eq!(error.to_string(), format!("the kernel refused to {step}"));
        assert_eq!(lab.done().len(), works);
        lab.fail_after(None);
        let plan = lab.publish().unwrap();
        lab.reconciler.clean(&plan).unwrap();
        assert!(lab.plan().is_empty(), "after {works} steps");
        assert_eq!(lab.reconciler.dataplane().actual.vips.len(), VIPS.len());
    }
}

#[test]
fn a_failed_change_is_undone_by_publishing_what_was_wanted_before() {
    for works in 0.. {
        let mut lab = Lab::new(Capacity::default());
        lab.want(web(&[ONE]));
        lab.publish().unwrap();
        let before = lab.reconciler.dataplane().actual.backends.clone();
        lab.want(web(&[TWO]));
        lab.fail_after(Some(works));
        if lab.publish().is_ok() {
            break;
        }
        lab.fail_after(None);
        lab.want(web(&[ONE]));
        let plan = lab.publish().unwrap();
        lab.reconciler.clean(&plan).unwrap();
        assert!(lab.plan().is_empty(), "after {works} steps");
        assert_eq!(lab.reconciler.dataplane().actual.backends, before);
    }
}

#[test]
fn a_change_that_fails_and_cannot_be_undone_at_once_is_undone_later_from_wherever_it_stands() {
    let mut stuck = 0;
    for works in 0.. {
        for undone in 0.. {
            let mut lab = Lab::new(Capacity::default());
            lab.want(web(&[ONE]));
            lab.publish().unwrap();
            let before = lab.reconciler.dataplane().actual.clone();
            lab.want(web(&[TWO]));
            lab.fail_after(Some(works));
            if lab.publish().is_ok() {
                assert!(stuck > 3, "undoing failed {stuck} times");
                return;
            }
            lab.want(web(&[ONE]));
            lab.fail_after(Some(undone));
            let is_undone = lab.publish_what_fits().is_ok();
            lab.fail_after(None);
            let plan = lab.publish_what_fits().unwrap();
            lab.reconciler.clean(&plan).unwrap();
            assert!(
                lab.plan().is_empty(),
                "after {works} steps and {undone} back"
            );
            let after = &lab.reconciler.dataplane().actual;
            assert_eq!(after.backends, before.backends);
            assert_eq!(after.addresses, before.addresses);
            assert!(after.vips.keys().eq(before.vips.keys()));
            if is_undone {
                break;
            }
            stuck += 1;
        }
    }
}

#[test]
fn what_is_foreseen_is_what_then_is() {
    let mut lab = Lab::new(Capacity::default());
    lab.want(web(&[ONE]));
    lab.publish().unwrap();
    lab.want(web(&[ONE, TWO]));
    let (desired, world, reconciler) = lab.parts();
    let (plan, foreseen) = reconciler.foresee(desired, world);
    let before = lab.done().len();
    assert_eq!(lab.publish().unwrap(), plan);
    assert_eq!(lab.done()[before..], plan.publish);
    lab.reconciler.clean(&plan).unwrap();
    assert_eq!(lab.reconciler.dataplane().actual, foreseen);
}

#[test]
fn a_clean_up_that_fails_is_in_the_next_plan() {
    let mut lab = Lab::new(Capacity::default());
    lab.want(web(&[ONE, TWO]));
    lab.publish().unwrap();
    lab.want(web(&[TWO]));
    let plan = lab.publish().unwrap();
    lab.fail_after(Some(1));
    let error = lab.reconciler.clean(&plan).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the kernel refused to take backend number 1 away"
    );
    lab.fail_after(None);
    let plan = lab.publish().unwrap();
    assert_eq!(plan.publish, []);
    lab.reconciler.clean(&plan).unwrap();
    assert!(lab.plan().is_empty());
}

#[test]
fn what_somebody_else_changed_is_healed_after_a_refresh() {
    let mut lab = Lab::new(Capacity::default());
    lab.want(web(&[ONE]));
    lab.publish().unwrap();
    let actual = &mut lab.reconciler.dataplane.actual;
    actual.vips.clear();
    actual.addresses.clear();
    lab.reconciler.refresh().unwrap();
    lab.publish().unwrap();
    assert_eq!(lab.reconciler.dataplane().actual.vips.len(), VIPS.len());
    assert!(lab.plan().is_empty());
}
