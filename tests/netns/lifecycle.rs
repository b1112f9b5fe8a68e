//! What happens to a balancer in its life, each under traffic that is counted to the packet.

use std::{process::Command, time::Duration};

use lb_common::names::ABI_VERSION;
use lb_tests::{
    daemon::{binary, next_daemon},
    event::{Course, Event},
    kernel::say,
    meter::Counts,
    published::Published,
    site::{SERVICES, Site},
    wait,
};
use serde_json::{Value, json};

use crate::scene::LIMIT;

/// Does it to a balancer under traffic, and says what became of that.
fn meet(event: Event) -> Counts {
    let site = Site::new(3);
    let mut course = Course::begin(&site);
    meet_in(&mut course, event)
}

fn meet_in(course: &mut Course<'_>, event: Event) -> Counts {
    let counts = course.meet(event, Duration::from_millis(300));
    let Counts {
        sent,
        lost,
        moved,
        broken,
    } = counts;
    let label = event.label();
    say(&format!(
        "{label}: {sent} sent, {lost} lost, {moved} moved, {broken} broken"
    ));
    if event.is_seamless() {
        assert_eq!((lost, moved, broken), (0, 0, 0), "{counts:?}");
    } else {
        assert!(moved + broken <= Site::flows(), "{counts:?}");
        assert!(lost < sent, "{counts:?}");
    }
    counts
}

#[test]
fn starting_over_loses_no_packet_and_moves_no_flow() {
    let _ = meet(Event::StartOver);
}

#[test]
fn reloads_lose_no_packet_and_move_no_flow() {
    let site = Site::new(3);
    let mut course = Course::begin(&site);
    for event in [Event::Reload, Event::ReloadChanged] {
        let _ = meet_in(&mut course, event);
    }
}

#[test]
fn restarts_and_kills_lose_no_packet_and_move_no_flow() {
    let site = Site::new(3);
    let mut course = Course::begin(&site);
    for event in [Event::Restart, Event::Kill, Event::KillAtStart] {
        let _ = meet_in(&mut course, event);
    }
}

#[test]
fn a_full_disk_refuses_changes_and_traffic_goes_on() {
    let _ = meet(Event::StateDiskFull);
}

#[test]
fn pins_that_are_wiped_are_put_back_and_the_next_process_finds_them() {
    let site = Site::new(3);
    let mut course = Course::begin(&site);
    for event in [
        Event::PinsWiped,
        Event::Restart,
        Event::PinsWiped,
        Event::Kill,
    ] {
        let _ = meet_in(&mut course, event);
    }
}

#[test]
fn an_interface_that_comes_back_is_served_again_and_leaves_no_pin() {
    let site = Site::new(3);
    let mut course = Course::begin(&site);
    let pins = site.instance.bpffs().pins().len();
    let _ = meet_in(&mut course, Event::InterfaceRecreated);
    assert_eq!(site.instance.bpffs().pins().len(), pins);
}

#[test]
fn a_link_that_goes_down_and_up_is_served_again() {
    let _ = meet(Event::LinkDownUp);
}

#[test]
fn routes_and_neighbours_that_change_are_followed() {
    let site = Site::new(3);
    let mut course = Course::begin(&site);
    for event in [Event::RouteChanged, Event::NeighbourChanged] {
        let _ = meet_in(&mut course, event);
    }
}

#[test]
fn an_upgrade_to_another_abi_loses_no_packet_and_moves_no_flow() {
    let site = Site::new(3);
    let mut course = Course::begin(&site);
    // What stays where it is by the flow table alone.
    for service in SERVICES {
        let address = site.backend(2, Site::vip(service)).to_string();
        let which = json!({"service": service, "address": address});
        course.control().must("backend.drain", &which);
    }
    let before = Published::of(site.instance.bpffs());
    let forwarded = forwarded_packets(&course);
    let _ = meet_in(&mut course, Event::Upgrade);
    let version = course.control().must("version", &json!({}));
    assert_eq!(version["abi"], json!(ABI_VERSION + 1), "{version}");
    // Of the older version nothing is left, and what it learned and counted is there.
    let after = Published::of(site.instance.bpffs());
    assert_ne!(after.directory, before.directory);
    assert_eq!(
        (&after.vips, &after.backends),
        (&before.vips, &before.backends)
    );
    assert!(forwarded_packets(&course) > forwarded, "counters go on");
    // It is restarted like any other.
    for event in [Event::Restart, Event::Kill] {
        let _ = meet_in(&mut course, event);
    }
}

#[test]
fn an_older_daemon_refuses_the_maps_of_a_newer_one_and_forwarding_goes_on() {
    let site = Site::new(2);
    let mut course = Course::begin(&site);
    let _ = meet_in(&mut course, Event::Upgrade);
    let counts = course.pause(|| {
        let pins = site.instance.bpffs().pins();
        let (code, said) = site.instance.refused_with(&[]);
        assert_eq!(code, Some(1), "{said}");
        for words in ["newer lbd", "start that one again", "lbd detach"] {
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(site.instance.bpffs().pins(), pins);
    });
    assert_eq!((counts.lost, counts.moved, counts.broken), (0, 0, 0));
}

#[test]
fn an_upgrade_that_is_killed_can_be_taken_back_or_done_again() {
    let site = Site::new(2);
    let mut course = Course::begin(&site);
    let counts = course.pause(|| {
        // Until its maps are there; whatever it is doing then.
        let next = site.instance.spawn_of(&next_daemon(), &[]);
        let maps = format!("maps-v{}/BACKENDS", ABI_VERSION + 1);
        let maps = site.instance.bpffs().path().join(maps);
        wait::until("maps of the next version", LIMIT, || maps.exists());
        next.kill();
    });
    assert_eq!((counts.lost, counts.moved, counts.broken), (0, 0, 0));
    // The daemon of the present version has been started again meanwhile.
    let found = Published::of(site.instance.bpffs()).directory;
    assert!(found.ends_with(format!("maps-v{ABI_VERSION}")), "{found:?}");
    let _ = meet_in(&mut course, Event::Upgrade);
}

#[test]
fn detach_over_the_socket_takes_everything_off_and_the_next_start_puts_it_back() {
    let site = Site::new(2);
    let daemon = site.instance.start();
    site.set_up(&mut daemon.control());
    let lbctl = |arguments: &[&str]| {
        Command::new(binary("lbctl"))
            .args(["--socket".as_ref(), site.instance.socket().as_os_str()])
            .args(arguments)
            .output()
            .expect("running lbctl")
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let unsure = lbctl(&["detach"]);
    assert_eq!(unsure.status.code(), Some(2));
    assert!(text(&unsure.stderr).contains("--yes"), "{unsure:?}");
    daemon.control().must("version", &json!({}));

    let done = lbctl(&["detach", "--yes"]);
    assert!(done.status.success(), "{done:?}");
    assert!(
        text(&done.stdout).contains("client, b0, b1")
            || text(&done.stdout).contains("b0, b1, client"),
        "{done:?}"
    );
    let status = daemon.ended();
    assert!(status.success(), "lbd ended with {status}");
    assert_eq!(site.instance.bpffs().pins().len(), 0);
    for interface in site.bed.interfaces() {
        wait::until("the program is off", LIMIT, || {
            let shown = ["-json", "link", "show", "dev", &interface];
            let shown: Value =
                serde_json::from_str(&site.bed.balancer.run("ip", &shown)).expect("ip writes JSON");
            shown.pointer("/0/xdp").is_none()
        });
    }
    let nobody = lbctl(&["detach", "--yes"]);
    assert_eq!(nobody.status.code(), Some(4));
    assert!(text(&nobody.stderr).contains("`lbd detach`"), "{nobody:?}");

    let daemon = site.instance.start();
    site.is_well(&mut daemon.control());
    let meter = site.traffic();
    let before = meter.settle();
    let counts = meter.settle() - before;
    assert_eq!((counts.lost, counts.moved), (0, 0), "{counts:?}");
}

fn forwarded_packets(course: &Course<'_>) -> u64 {
    let stats = course.control().must("stats", &json!({}));
    let ledger = &stats["ledger"];
    ledger["forward.forwarded"].as_u64().expect("a count")
}
