//! What happens to a balancer in its life, done to one under traffic.
#![expect(
    clippy::indexing_slicing,
    reason = "what is out of bounds in a test fails it"
)]

use std::{
    fs::{self, File},
    io::Write as _,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    bed::VIPS,
    control::Control,
    daemon::{Daemon, binary, next_daemon},
    meter::{Counts, Meter},
    published::Published,
    site::{BYPASS, LIMIT, SERVICES, Site},
    wait,
};

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The daemon is stopped; traffic goes on for a while; it is started.
    StartOver,
    /// The file is applied as it is.
    Reload,
    /// The file is applied with other weights.
    ReloadChanged,
    /// The daemon is stopped and started at once.
    Restart,
    /// The daemon is stopped, and one of the next ABI started.
    Upgrade,
    /// The daemon is killed while it makes changes, and started.
    Kill,
    /// The daemon is killed while it starts, and started.
    KillAtStart,
    /// Nothing can be saved; a change is refused.
    StateDiskFull,
    /// Everything that is pinned goes.
    PinsWiped,
    /// The interface to a backend goes and comes back.
    InterfaceRecreated,
    /// The interface to a backend goes down and up.
    LinkDownUp,
    /// The route to a backend leads over another link, and back.
    RouteChanged,
    /// A backend has another MAC address.
    NeighbourChanged,
    /// Everything is taken off, and the daemon of the present ABI started.
    DetachAndStart,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::StartOver,
        Self::Reload,
        Self::ReloadChanged,
        Self::Restart,
        Self::Upgrade,
        Self::Kill,
        Self::KillAtStart,
        Self::StateDiskFull,
        Self::PinsWiped,
        Self::InterfaceRecreated,
        Self::LinkDownUp,
        Self::RouteChanged,
        Self::NeighbourChanged,
        Self::DetachAndStart,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::StartOver => "start_over",
            Self::Reload => "reload",
            Self::ReloadChanged => "reload_changed",
            Self::Restart => "restart",
            Self::Upgrade => "upgrade",
            Self::Kill => "kill",
            Self::KillAtStart => "kill_at_start",
            Self::StateDiskFull => "state_disk_full",
            Self::PinsWiped => "pins_wiped",
            Self::InterfaceRecreated => "interface_recreated",
            Self::LinkDownUp => "link_down_up",
            Self::RouteChanged => "route_changed",
            Self::NeighbourChanged => "neighbour_changed",
            Self::DetachAndStart => "detach_and_start",
        }
    }

    /// Whether no packet may be lost in it, and no flow may move.
    #[must_use]
    pub const fn is_seamless(self) -> bool {
        match self {
            Self::StartOver
            | Self::Reload
            | Self::ReloadChanged
            | Self::Restart
            | Self::Upgrade
            | Self::Kill
            | Self::KillAtStart
            | Self::StateDiskFull
            | Self::PinsWiped
            | Self::RouteChanged => true,
            Self::InterfaceRecreated
            | Self::LinkDownUp
            | Self::NeighbourChanged
            | Self::DetachAndStart => false,
        }
    }
}

/// A balancer under traffic, in the course of its life.
#[derive(Debug)]
pub struct Course<'a> {
    site: &'a Site,
    daemon: Option<Daemon<'a>>,
    meter: Meter,
    /// Whether the daemon is the one of the next ABI.
    is_next: bool,
    /// How often something was changed that must differ from before.
    changes: u16,
}

impl<'a> Course<'a> {
    /// Starts the daemon, sets the backends up, and begins to send.
    #[must_use]
    pub fn begin(site: &'a Site) -> Self {
        let daemon = site.instance.start();
        site.set_up(&mut daemon.control());
        Self {
            site,
            meter: site.traffic(),
            daemon: Some(daemon),
            is_next: false,
            changes: 0,
        }
    }

    /// The daemon.
    ///
    /// # Panics
    /// If an event has failed half-way.
    #[must_use]
    pub fn daemon(&self) -> &Daemon<'a> {
        self.daemon.as_ref().expect("a daemon")
    }

    /// A connection to the daemon.
    #[must_use]
    pub fn control(&self) -> Control {
        self.daemon().control()
    }

    /// Whether the daemon is the one of the next ABI.
    #[must_use]
    pub const fn is_next(&self) -> bool {
        self.is_next
    }

    /// Does it, and waits until all is well again: what has become of the traffic from before it until then.
    pub fn meet(&mut self, event: Event, moment: Duration) -> Counts {
        self.watch(|course| course.perform(event, moment))
    }

    /// The same with whatever `act` does.
    pub fn watch(&mut self, act: impl FnOnce(&mut Self)) -> Counts {
        let before = self.meter.settle();
        act(self);
        self.site.is_well(&mut self.control());
        self.meter.settle() - before
    }

    /// Stops the daemon, does something, and starts it again.
    pub fn pause(&mut self, act: impl FnOnce()) -> Counts {
        self.watch(|course| {
            course.stop();
            act();
            course.start();
        })
    }

    fn perform(&mut self, event: Event, moment: Duration) {
        match event {
            Event::StartOver => {
                self.stop();
                let _ = self.meter.settle();
                self.start();
            }
            Event::Reload => self.reload(),
            Event::ReloadChanged => self.reload_changed(),
            Event::Restart => {
                self.stop();
                self.start();
            }
            Event::Upgrade => {
                self.stop();
                self.is_next = true;
                self.start();
            }
            Event::Kill => self.kill(),
            Event::KillAtStart => {
                self.stop();
                self.kill_at_start(moment);
                self.start();
            }
            Event::StateDiskFull => self.fill_disk(),
            Event::PinsWiped => self.wipe_pins(),
            Event::InterfaceRecreated => {
                self.site.bed.replug(0);
                self.wait_for_hops();
            }
            Event::LinkDownUp => self.link_down_up(),
            Event::RouteChanged => self.change_route(),
            Event::NeighbourChanged => {
                self.change_neighbour();
                self.wait_for_hops();
            }
            Event::DetachAndStart => {
                self.stop();
                self.site.instance.detach();
                self.is_next = false;
                self.start();
            }
        }
    }

    fn stop(&mut self) {
        let status = self.daemon.take().expect("a daemon").stop();
        assert!(status.success(), "lbd ended with {status}");
    }

    fn start(&mut self) {
        let lbd = if self.is_next {
            next_daemon()
        } else {
            binary("lbd")
        };
        self.daemon = Some(self.site.instance.start_of(&lbd, &[]));
    }

    fn reload(&self) {
        let reloads = || self.site.instance.log().matches(" reloaded ").count();
        let before = reloads();
        self.daemon().signal(Signal::HUP);
        wait::until("the reload", LIMIT, || reloads() > before);
    }

    fn reload_changed(&mut self) {
        self.changes += 1;
        let weight = 2 + self.changes % 7;
        self.site.configure(weight);
        self.daemon().signal(Signal::HUP);
        let mut control = self.control();
        wait::until("the reload", LIMIT, || {
            SERVICES.iter().all(|service| {
                let service = control.must("service.get", &json!({"name": service}));
                service["backend"][0]["weight"] == json!(weight)
            })
        });
    }

    /// Asks for changes and does not wait for their answers: how many of them are made is left to chance.
    fn kill(&mut self) {
        let mut control = self.control();
        for (number, service) in (1..=5).zip(SERVICES.iter().cycle()) {
            let address = self.site.backend(1, Site::vip(service)).to_string();
            let params = json!({"service": service, "address": address, "weight": number});
            control.send("backend.update", &params);
        }
        self.daemon.take().expect("a daemon").kill();
        self.start();
    }

    /// Starts it and kills it `moment` later, if it has not got through until then.
    fn kill_at_start(&self, moment: Duration) {
        let lbd = if self.is_next {
            next_daemon()
        } else {
            binary("lbd")
        };
        let daemon = self.site.instance.spawn_of(&lbd, &[]);
        let begun = Instant::now();
        wait::until("the moment to kill", LIMIT, || begun.elapsed() >= moment);
        daemon.kill();
    }

    fn fill_disk(&mut self) {
        let filler = self.site.instance.state_directory().join("filler");
        let mut file = File::create(&filler).expect("a file");
        // Until nothing more goes in.
        while file.write_all(&[0; 512]).is_ok() {}
        drop(file);
        let mut control = self.control();
        let [service, _] = SERVICES;
        let address = self.site.backend(1, Site::vip(service)).to_string();
        let wanted = |control: &mut Control| control.must("config.get", &json!({}));
        // What lies on the disk for the journal may have room for some lines yet.
        let mut tries = 0..100;
        let (change, before, refused) = loop {
            assert!(tries.next().is_some(), "a full disk takes every change");
            self.changes += 1;
            let weight = 100 + self.changes % 900;
            let change = json!({"service": service, "address": address, "weight": weight});
            let before = (wanted(&mut control), generation(&mut control));
            if let Err(refused) = control.call("backend.update", &change) {
                break (change, before, refused);
            }
        };
        for words in ["nothing has changed", "No space left"] {
            assert!(refused.message.contains(words), "{refused:?}");
        }
        assert_eq!((wanted(&mut control), generation(&mut control)), before);
        fs::remove_file(&filler).expect("removing a file");
        control.must("backend.update", &change);
    }

    fn wipe_pins(&self) {
        let bpffs = self.site.instance.bpffs();
        let before = bpffs.pins();
        for pin in &before {
            fs::remove_file(bpffs.path().join(pin)).expect("removing a pin");
        }
        let mut control = self.control();
        wait::until("the pins are back", LIMIT, || {
            let status = control.must("status", &json!({}));
            status["in_sync"] == json!(true) && bpffs.pins() == before
        });
    }

    fn link_down_up(&self) {
        let (balancer, name) = (&self.site.bed.balancer, &self.site.bed.backends[0].name);
        balancer.ip(&format!("link set {name} down"));
        let mut control = self.control();
        let serves = |control: &mut Control| {
            SERVICES.iter().any(|service| {
                let rows = control.must("backend.list", &json!({"service": service}));
                rows["backends"][0]["serving"] == json!(true)
            })
        };
        wait::until("the backend is given up", LIMIT, || !serves(&mut control));
        balancer.ip(&format!("link set {name} up"));
    }

    /// The way there leads over the other link, then again over the first.
    fn change_route(&self) {
        let balancer = &self.site.bed.balancer;
        let backend = self.site.bed.backends[0].address_like(VIPS[0]);
        let by = balancer.interface(BYPASS).0;
        let published = || Published::of(self.site.instance.bpffs());
        let egress = || {
            let hop = published().hop((backend, 8_080).into());
            hop.map(|(interface, _)| interface)
        };
        balancer.ip(&format!("route add {backend}/32 via 10.3.0.2 dev {BYPASS}"));
        wait::until("frames leave by the other link", LIMIT, || {
            egress() == Some(by)
        });
        let _ = self.meter.settle();
        balancer.ip(&format!("route del {backend}/32 dev {BYPASS}"));
        wait::until("frames leave by the first link", LIMIT, || {
            egress() != Some(by)
        });
    }

    /// Waits until packets to the first backend go where it is now.
    fn wait_for_hops(&self) {
        let bed = &self.site.bed;
        let host = &bed.backends[0];
        let (interface, _) = bed.balancer.interface(&host.name);
        let (_, mac) = host.namespace.interface("eth0");
        wait::until("packets go where the backend is", LIMIT, || {
            let published = Published::of(self.site.instance.bpffs());
            VIPS.into_iter().all(|vip| {
                let hop = published.hop(self.site.backend(0, vip));
                hop == Some((interface, mac))
            })
        });
    }

    fn change_neighbour(&mut self) {
        self.changes += 1;
        let bed = &self.site.bed;
        let host = &bed.backends[0];
        let [low, high] = self.changes.to_le_bytes();
        let mac = format!("02:00:5e:00:{high:02x}:{low:02x}");
        host.namespace.ip(&format!("link set eth0 address {mac}"));
        // What the kernel learns when it asks again.
        for vip in VIPS {
            let (address, name) = (host.address_like(vip), &host.name);
            bed.balancer.ip(&format!(
                "neighbour replace {address} lladdr {mac} dev {name} nud reachable"
            ));
        }
    }
}

fn generation(control: &mut Control) -> Value {
    control.must("status", &json!({}))["generation"].clone()
}
