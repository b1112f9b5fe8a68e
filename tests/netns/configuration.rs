//! Configurations as a whole: planned, limited, applied or undone, kept, compared and brought back.

use std::{fs, path::Path, process::Command};

use lb_common::names::{ABI_VERSION, VIP_PREFIXES_V4};
use lb_tests::{bed::VIP_V4, control::Control, netns, traffic, wait};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::scene::{
    LIMIT, Mode, Scene, backends, destinations, generation, name, names, set, wait_serving,
};

/// The running configuration.
fn running(control: &mut Control) -> Value {
    control.must("config.get", &json!({}))
}

/// The same without one backend of the first service.
fn without_backend(config: &Value, address: &str) -> Value {
    let mut config = config.clone();
    let backends = config["service"][0]["backend"]
        .as_array_mut()
        .expect("backends");
    backends.retain(|backend| backend["address"] != json!(address));
    config
}

fn flows_of(control: &mut Control, backend: &str) -> u64 {
    let counted = control.must("flows.count", &json!({"backend": backend}));
    counted["flows"].as_u64().expect("a number")
}

#[test]
fn a_plan_tells_what_applying_then_does_and_a_budget_refuses_it() {
    let scene = Scene::new(3);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let mut remembers = scene.service(Mode::L2, VIP_V4);
    remembers["tracking"] = json!("always");
    control.must("service.add", &remembers);
    let service = name(VIP_V4);
    wait_serving(&mut control, &service, 3);
    scene.set_up(&service, VIP_V4, &[]);
    let to = destinations(Mode::L2)[0];
    assert_eq!(
        names(traffic::ask(&scene.bed.client, to, 60)),
        set(&["b0", "b1", "b2"])
    );

    let leaving = scene.backend(1, VIP_V4).to_string();
    let flows = flows_of(&mut control, &leaving);
    assert!(flows > 0, "no flow is remembered of 20 or so");
    let listed = control.must("flows.list", &json!({"service": service, "limit": 10_000}));
    assert_eq!(listed["more"], json!(false));
    let listed = listed["flows"].as_array().expect("rows").clone();
    let with = listed
        .iter()
        .filter(|flow| flow["backend"] == json!(leaving));
    assert_eq!(with.count() as u64, flows);
    assert!(
        listed
            .iter()
            .all(|flow| flow["destination"] == json!(to.to_string())),
        "{listed:?}"
    );

    let before = (running(&mut control), generation(&mut control));
    let config = without_backend(&before.0, &leaving);
    let plan = control.must("config.plan", &json!({"config": config}));
    let [impact] = plan["services"].as_array().expect("services").as_slice() else {
        panic!("{plan:#}");
    };
    assert_eq!(impact["removed"], json!([leaving]), "{plan:#}");
    assert_eq!(plan["moved_flows"], json!(flows), "{plan:#}");
    assert_eq!(impact["moved_flows"], json!(flows), "{plan:#}");
    let moved_slots = impact["moved_slots"].as_u64().expect("a number");
    assert!((340..=1_021).contains(&moved_slots), "{plan:#}");
    assert!(plan.get("over_budget").is_none(), "{plan:#}");
    let place = format!("service[{service}].backend[{leaving}]");
    assert_eq!(plan["differences"][0]["place"], json!(place), "{plan:#}");
    let steps = plan["steps"].as_array().expect("steps").len();
    assert!(steps >= 3, "{plan:#}");
    assert_eq!((running(&mut control), generation(&mut control)), before);

    for budget in [
        json!({"moved_flows": flows - 1}),
        json!({"moved_slots_percent": 33}),
    ] {
        let refused = control.refused("config.apply", &json!({"config": config, "budget": budget}));
        assert_eq!(refused.code, -32_008, "{refused:?}");
        assert!(
            refused.message.contains("nothing has changed"),
            "{refused:?}"
        );
        assert_eq!(
            refused.data["services"][0]["removed"],
            json!([leaving]),
            "{refused:?}"
        );
        assert_eq!((running(&mut control), generation(&mut control)), before);
    }
    let budget = json!({"moved_flows": flows, "moved_slots_percent": 100});
    control.must(
        "config.apply",
        &json!({"config": config, "budget": budget, "drain_timeout": "0s"}),
    );
    assert_eq!(backends(&mut control, &service).len(), 2);
    assert_eq!(flows_of(&mut control, &leaving), 0);
    assert_eq!(
        names(traffic::ask(&scene.bed.client, to, 40)),
        set(&["b0", "b2"])
    );
    let plan = control.must("config.plan", &json!({"config": config}));
    assert_eq!(plan["changes"], json!(false), "{plan:#}");
}

#[test]
fn applied_configurations_are_kept_compared_and_brought_back() {
    let scene = Scene::new(2);
    let services = |weight: u32| {
        let backend = scene.backend(0, VIP_V4);
        format!(
            "[[service]]\nname = \"web\"\nvips = [\"{VIP_V4}:8080/tcp\"]\n[[service.backend]]\naddress = \"{backend}\"\nweight = {weight}\n"
        )
    };
    scene.instance.configure(&services(1));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let from_file = running(&mut control);
    let update =
        json!({"service": "web", "address": scene.backend(0, VIP_V4).to_string(), "weight": 2});
    control.must("backend.update", &update);
    let changed = running(&mut control);
    let diff = control.must("config.diff", &json!({}));
    let place = format!("service[web].backend[{}].weight", scene.backend(0, VIP_V4));
    assert_eq!(
        diff,
        json!({"differences": [{"place": place, "before": 2}]})
    );

    control.must("config.apply", &json!({"toml": services(3)}));
    let origins = |control: &mut Control| -> Vec<(u64, String)> {
        let history = control.must("config.history", &json!({}));
        assert_eq!(history["changed_since"], json!(false));
        let rows = history["entries"].as_array().expect("rows").clone();
        let row = |row: &Value| {
            let number = row["number"].as_u64().expect("a number");
            (number, row["origin"].as_str().expect("a word").to_owned())
        };
        rows.iter().map(row).collect()
    };
    let kept = |numbers: &[(u64, &str)]| -> Vec<(u64, String)> {
        numbers
            .iter()
            .map(|(number, origin)| (*number, (*origin).to_owned()))
            .collect()
    };
    assert_eq!(
        origins(&mut control),
        kept(&[(3, "apply"), (2, "changes"), (1, "start")])
    );
    let newest = control.must("config.history", &json!({}))["entries"][0].clone();
    assert_eq!(newest["uid"], json!(0), "{newest:#}");
    assert_eq!(
        newest["differences"],
        json!([{"place": place, "before": 2, "after": 3}])
    );
    assert_eq!(newest["generation"], json!(generation(&mut control)));

    control.must("config.rollback", &json!({"number": 1}));
    assert_eq!(running(&mut control), from_file);
    // The last one that differs from the first: that of the apply, not the first itself.
    control.must("config.rollback", &json!({}));
    assert_eq!(
        control.must("config.get", &json!({"number": 3})),
        running(&mut control)
    );
    let gone = control.refused("config.rollback", &json!({"number": 77}));
    assert_eq!(gone.code, -32_002, "{gone:?}");

    scene.instance.configure(&services(4));
    daemon.signal(Signal::HUP);
    wait::until("the reload is in the history", LIMIT, || {
        control.must("config.history", &json!({}))["entries"][0]["origin"] == json!("reload")
    });
    assert!(daemon.stop().success());
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    assert_eq!(
        origins(&mut control),
        kept(&[
            (6, "reload"),
            (5, "rollback"),
            (4, "rollback"),
            (3, "apply"),
            (2, "changes"),
            (1, "start")
        ])
    );
    control.must("config.rollback", &json!({"number": 2}));
    assert_eq!(running(&mut control), changed);
}

/// Elements that the daemon takes for somebody else's fill the map of IPv4 prefixes that are VIPs, so that the kernel has no room where the daemon sees
/// some.
pub(crate) struct Filling {
    pin: String,
    keys: Vec<String>,
}

impl Filling {
    pub(crate) fn new(pin: &Path) -> Self {
        let pin = pin.display().to_string();
        let shown = netns::command("bpftool", &["-j", "map", "show", "pinned", &pin]);
        let map: Value = serde_json::from_str(&shown).expect("bpftool writes JSON");
        let number = |field: &str| map[field].as_u64().expect("a number");
        // Of a length that no prefix has.
        let value = vec!["255"; usize::try_from(number("bytes_value")).expect("small")];
        let mut filling = Self {
            pin,
            keys: Vec::new(),
        };
        for element in 0..number("max_entries") {
            let key = format!("32 0 0 0 238 238 238 {element}");
            let line = format!(
                "map update pinned {} key {key} value {}",
                filling.pin,
                value.join(" ")
            );
            let arguments: Vec<&str> = line.split(' ').collect();
            let updated = Command::new("bpftool").args(arguments).output();
            if !updated.expect("running bpftool").status.success() {
                break;
            }
            filling.keys.push(key);
        }
        assert!(!filling.keys.is_empty(), "the map was full before");
        filling
    }

    pub(crate) fn remove(self) {
        for key in self.keys {
            let line = format!("map delete pinned {} key {key}", self.pin);
            let _ = netns::command("bpftool", &line.split(' ').collect::<Vec<_>>());
        }
    }
}

#[test]
fn what_the_kernel_refuses_half_way_is_undone() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let [one, two] = [0, 1].map(|backend| scene.backend(backend, VIP_V4));
    let web = format!(
        "[[service]]\nname = \"web\"\ntracking = \"always\"\nvips = [\"{VIP_V4}:8080/tcp\"]\n[[service.backend]]\naddress = \"{one}\"\n"
    );
    let text = format!("[daemon]\nmax_vips = 16\nmax_slots = 65536\nmax_flows = 1024\n{web}");
    fs::write(scene.instance.config(), text).expect("a configuration");
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    wait_serving(&mut control, "web", 1);
    scene.set_up_one(0, "web", VIP_V4, &[]);
    let to = destinations(Mode::L2)[0];
    let before = running(&mut control);
    let pins = scene.instance.bpffs().path();
    let maps = format!("maps-v{ABI_VERSION}");
    let filling = Filling::new(&pins.join(maps).join(VIP_PREFIXES_V4));

    // The second backend and the new table are written before the kernel has no room for the new VIP.
    let vip = "203.0.113.0/28:8081/tcp";
    let next = format!("{web}[[service.backend]]\naddress = \"{two}\"\n")
        .replace("vips = [", &format!("vips = [\"{vip}\", "));
    let planned = control.must("config.plan", &json!({"toml": next}));
    let steps = planned["steps"].as_array().expect("steps").clone();
    let publish = format!("publish {vip}");
    let place = |start: &str| {
        steps
            .iter()
            .position(|step| step.as_str().is_some_and(|it| it.starts_with(start)))
    };
    assert!(
        place("write backend") < place(&publish) && place(&publish).is_some(),
        "{steps:#?}"
    );
    let refused = control.refused("config.apply", &json!({"toml": next}));
    assert_eq!(refused.code, -32_005, "{refused:?}");
    assert!(
        refused.message.starts_with("nothing has changed"),
        "{refused:?}"
    );
    assert!(refused.message.contains(&publish), "{refused:?}");
    assert_eq!(running(&mut control), before);
    let status = control.must("status", &json!({}));
    assert_eq!(status["in_sync"], json!(true), "{status:#}");
    assert_eq!(names(traffic::ask(&scene.bed.client, to, 20)), set(&["b0"]));
    let history = control.must("config.history", &json!({}));
    assert_eq!(
        history["entries"].as_array().map(Vec::len),
        Some(1),
        "{history:#}"
    );

    filling.remove();
    control.must("config.apply", &json!({"toml": next}));
    wait_serving(&mut control, "web", 2);
}
