//! Slots move under traffic that never pauses, and no flow moves with them; while nothing moves, nothing is remembered.

use std::{net::SocketAddr, time::Duration};

use lb_tests::{
    bed::{VIP_V4, VIP_V6},
    control::Control,
    kernel::say,
    meter::{Counts, Meter, ShortConnections},
    published::Published,
    site::{SERVICES, Site},
    wait,
};
use serde_json::{Value, json};

use crate::scene::{LIMIT, wait_moved};

/// Flows of datagrams to each service, and as many connections that last.
const FLOWS: usize = 100;
/// Between two packets of a flow.
const PACE: Duration = Duration::from_millis(100);
/// Longer than any flow pauses, also on a busy machine.
const LEARN: Duration = Duration::from_millis(1_500);

fn destinations() -> [SocketAddr; 2] {
    [(VIP_V4, 80), (VIP_V6, 8_080)].map(SocketAddr::from)
}

/// A balancer whose slots learn for long enough, under hundreds of flows and connections.
struct Traffic<'a> {
    site: &'a Site,
    meter: Meter,
}

impl<'a> Traffic<'a> {
    fn begin(site: &'a Site, control: &mut Control) -> Self {
        site.set_up(control);
        for service in SERVICES {
            let learn = wait::patient(LEARN).as_millis();
            let update =
                json!({"name": service, "learn_for": format!("{learn}ms"), "max_step": 20});
            control.must("service.update", &update);
            wait_moved(control, service, true);
        }
        assert_eq!(Published::flows(site.instance.bpffs()), 0);
        Self {
            site,
            meter: Meter::paced(&site.bed.client, &destinations(), FLOWS, PACE),
        }
    }

    /// What becomes of the traffic while `change` is made and all slots have moved.
    fn through(&self, control: &mut Control, change: impl FnOnce(&mut Control)) -> Counts {
        let before = self.meter.settle();
        change(control);
        for service in SERVICES {
            wait_moved(control, service, false);
        }
        self.meter.settle() - before
    }

    /// The same for a change that no flow may notice.
    fn unnoticed(&self, what: &str, control: &mut Control, change: impl FnOnce(&mut Control)) {
        let counts = self.through(control, change);
        let Counts {
            sent,
            lost,
            moved,
            broken,
        } = counts;
        say(&format!(
            "{what}: {sent} sent, {lost} lost, {moved} moved, {broken} broken"
        ));
        assert_eq!((lost, moved, broken), (0, 0, 0), "{what}: {counts:?}");
    }

    /// A configuration without a backend is applied, and the one from before again.
    fn leave_out(&self, backend: usize, control: &mut Control) {
        let whole = control.must("config.get", &json!({}));
        self.unnoticed("a configuration that leaves one out", control, |control| {
            let config = without(&whole, self.site, backend);
            control.must(
                "config.apply",
                &json!({"config": config, "drain_timeout": "1h"}),
            );
            assert_eq!(control.must("config.get", &json!({})), config);
            let plan = control.must("config.plan", &json!({"config": config}));
            assert_eq!(plan["differences"], json!([]), "{plan:#}");
        });
        assert_eq!(slots(control, self.site.backend(backend, VIP_V4)).0, 0);
        self.unnoticed("the one before it", control, |control| {
            control.must("config.rollback", &json!({}));
            assert_eq!(control.must("config.get", &json!({})), whole);
        });
    }

    /// A change of a backend in both services.
    fn each(&self, backend: usize, mut change: impl FnMut(Value)) {
        for service in SERVICES {
            let address = self.site.backend(backend, Site::vip(service));
            change(json!({"service": service, "address": address.to_string()}));
        }
    }
}

fn with(mut reference: Value, field: &str, value: Value) -> Value {
    reference[field] = value;
    reference
}

/// A configuration without one backend of each service.
fn without(config: &Value, site: &Site, backend: usize) -> Value {
    let mut config = config.clone();
    let addresses = SERVICES.map(|service| site.backend(backend, Site::vip(service)).to_string());
    for service in config["service"].as_array_mut().expect("services") {
        let backends = service["backend"].as_array_mut().expect("backends");
        backends.retain(|it| {
            addresses
                .iter()
                .all(|address| it["address"] != json!(address))
        });
    }
    config
}

/// The slots of one backend of the first service, and whether any of that service are tracked.
fn slots(control: &mut Control, backend: SocketAddr) -> (u64, bool) {
    let status = control.must("status", &json!({}));
    let service = &status["services"][0];
    let backends = service["backends"].as_array().expect("backends");
    let mut own = backends
        .iter()
        .filter(|it| it["address"] == json!(backend.to_string()));
    let slots = own
        .next()
        .map_or(0, |it| it["slots"].as_u64().expect("a number"));
    (slots, !service["moves"].is_null())
}

#[test]
fn no_planned_change_moves_a_flow() {
    let site = Site::new(4);
    let daemon = site.instance.start();
    let mut control = daemon.control();
    let traffic = Traffic::begin(&site, &mut control);
    let control = &mut control;
    let short = ShortConnections::begin(&site.bed.client, destinations());
    let first = site.backend(0, VIP_V4);

    traffic.unnoticed("a heavier weight", control, |control| {
        traffic.each(0, |it| {
            control.must("backend.update", &with(it, "weight", json!(3)));
        });
    });
    let (heavy, _) = slots(control, first);
    assert!((480..=540).contains(&heavy), "{heavy} of 1,021 slots");
    traffic.unnoticed("a drain", control, |control| {
        traffic.each(1, |it| {
            control.must("backend.drain", &it);
        });
    });
    assert_eq!(slots(control, site.backend(1, VIP_V4)).0, 0);
    wait::until("the flows left are counted", LIMIT, || {
        let status = control.must("status", &json!({}));
        let drained = &status["services"][0]["backends"][1];
        drained["flows_left"].as_u64().is_some_and(|left| left > 0)
    });
    traffic.unnoticed("its end", control, |control| {
        traffic.each(1, |it| {
            control.must("backend.undrain", &it);
        });
    });
    traffic.leave_out(1, control);
    wait::until("the daemon's beginning is over", LIMIT, || {
        let status = control.must("status", &json!({}));
        status["uptime_ms"].as_u64().is_some_and(|it| it > 11_000)
    });
    traffic.unnoticed("a slow start", control, |control| {
        for service in SERVICES {
            control.must(
                "service.update",
                &json!({"name": service, "slow_start": "3s"}),
            );
        }
        traffic.each(2, |it| {
            control.must("backend.drain", &it);
        });
        for service in SERVICES {
            wait_moved(control, service, false);
        }
        traffic.each(2, |it| {
            control.must("backend.undrain", &it);
        });
        let grown = site.backend(2, VIP_V4);
        let (small, _) = slots(control, grown);
        assert!(small < 60, "{small} slots at once");
        wait::until("the share has grown", LIMIT, || {
            slots(control, grown).0 > 160
        });
    });
    traffic.unnoticed("a larger table", control, |control| {
        for service in SERVICES {
            control.must(
                "service.update",
                &json!({"name": service, "table_slots": 4_093}),
            );
        }
    });
    // A backend that is added gets new flows and no others.
    let [gone, added] = [3, 3].map(|backend| site.backend(backend, VIP_V4));
    let (made, failures) = short.end();
    say(&format!(
        "{made} short connections beside it, {} failed",
        failures.len()
    ));
    assert!(made > 200 && failures.is_empty(), "{failures:?}");
    let served = traffic.meter.served_by("b3");
    let removed = traffic.through(control, |control| {
        traffic.each(3, |it| {
            control.must("backend.remove", &with(it, "force", json!(true)));
        });
    });
    let Counts { moved, broken, .. } = removed;
    assert_eq!(
        [moved, broken],
        served,
        "exactly those of {gone}: {removed:?}"
    );
    traffic.unnoticed("an added backend", control, |control| {
        traffic.each(3, |it| {
            control.must("backend.add", &it);
        });
        wait::until("it has its share", LIMIT, || slots(control, added).0 > 600);
    });
    assert_eq!(
        traffic.meter.served_by("b3"),
        [0, 0],
        "of those that went on"
    );
}

#[test]
fn a_restart_while_slots_learn_moves_no_flow() {
    let site = Site::new(3);
    let daemon = site.instance.start();
    let mut control = daemon.control();
    let traffic = Traffic::begin(&site, &mut control);
    let before = traffic.meter.settle();
    traffic.each(0, |it| {
        control.must("backend.drain", &it);
    });
    let draining = site.backend(0, VIP_V4);
    assert!(slots(&mut control, draining).0 > 0, "it learns");
    assert!(daemon.stop().success());
    let daemon = site.instance.start();
    let mut control = daemon.control();
    assert!(slots(&mut control, draining).0 > 0, "it learns again");
    for service in SERVICES {
        wait_moved(&mut control, service, false);
    }
    assert_eq!(slots(&mut control, draining).0, 0);
    let counts = traffic.meter.settle() - before;
    assert_eq!(
        (counts.lost, counts.moved, counts.broken),
        (0, 0, 0),
        "{counts:?}"
    );
}

#[test]
fn a_failure_moves_the_flows_of_the_dead_and_no_others_and_its_recovery_none() {
    let site = Site::new(3);
    let daemon = site.instance.start();
    let mut control = daemon.control();
    let traffic = Traffic::begin(&site, &mut control);
    let served = traffic.meter.served_by("b1");
    assert!(served[0] > 20 && served[1] > 20, "{served:?}");
    let failed = traffic.through(&mut control, |control| {
        // As if it had failed: its flows go at once.
        traffic.each(1, |it| {
            control.must("backend.disable", &it);
        });
    });
    assert_eq!([failed.moved, failed.broken], served, "{failed:?}");
    traffic.unnoticed("its recovery", &mut control, |control| {
        traffic.each(1, |it| {
            control.must("backend.enable", &it);
        });
        let recovered = site.backend(1, VIP_V4);
        wait::until("it has its slots back", LIMIT, || {
            slots(control, recovered).0 > 300
        });
    });
}

#[test]
fn while_nothing_moves_no_flow_is_remembered() {
    let site = Site::new(3);
    let daemon = site.instance.start();
    let mut control = daemon.control();
    let traffic = Traffic::begin(&site, &mut control);
    let _ = traffic.meter.settle();
    assert_eq!(Published::flows(site.instance.bpffs()), 0);
    // And again, after something has moved and its flows are gone.
    let service = SERVICES[0];
    let address = site.backend(0, VIP_V4).to_string();
    let drain = json!({"service": service, "address": address});
    control.must("backend.drain", &drain);
    wait_moved(&mut control, service, false);
    assert!(Published::flows(site.instance.bpffs()) > 0);
    control.must("backend.undrain", &drain);
    wait_moved(&mut control, service, true);
    assert!(
        !slots(&mut control, site.backend(0, VIP_V4)).1,
        "nothing is tracked any more"
    );
}
