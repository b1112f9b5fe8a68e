//! Weights follow what is heard, by bounded steps, and come back.

use proptest::prelude::*;

use super::*;

const PROBE: Duration = Duration::from_secs(2);

fn address(number: u8) -> SocketAddr {
    ([10, 0, 0, number], 80).into()
}

fn scales(backends: u8) -> Scales {
    let mut scales = Scales::default();
    scales.keep((1..=backends).map(address));
    scales
}

fn rules() -> DynamicWeights {
    DynamicWeights {
        response_time: true,
        agent_port: Some(9_990),
        ..DynamicWeights::default()
    }
}

fn says(percent: u32) -> Report {
    Report {
        percent: Some(percent),
        ..Report::default()
    }
}

fn percent(scales: &Scales, number: u8) -> u32 {
    scales.standing(address(number)).unwrap().percent
}

impl Scales {
    /// Takes a report that is no order.
    fn must_not_drain(&mut self, address: SocketAddr, report: Report) {
        assert_eq!(self.report(address, report), None);
    }
}

fn reason(scales: &Scales, number: u8) -> &str {
    &scales.standing(address(number)).unwrap().reason
}

/// The weight of the first backend after each of so many steps, before each of which `before` is done.
fn course(scales: &mut Scales, steps: u32, before: impl Fn(&mut Scales)) -> Vec<u32> {
    let step = |_| {
        before(scales);
        scales.step(&rules(), PROBE);
        percent(scales, 1)
    };
    (0..steps).map(step).collect()
}

#[test]
fn a_weight_goes_to_what_its_agent_says_and_back_when_the_agent_falls_silent() {
    let mut scales = scales(2);
    let down = course(&mut scales, 7, |it| it.must_not_drain(address(1), says(50)));
    assert_eq!(down, [90, 80, 70, 60, 50, 50, 50]);
    assert_eq!(reason(&scales, 1), "its agent reports 50 %");
    assert_eq!(percent(&scales, 2), 100);
    let back = course(&mut scales, 8, |_| {});
    assert_eq!(back, [50, 50, 60, 70, 80, 90, 100, 100]);
    assert_eq!(reason(&scales, 1), Standing::default().reason);
}

#[test]
fn a_drained_backend_is_at_the_floor_at_once_and_comes_back_by_steps_when_it_is_ready() {
    let mut scales = scales(2);
    let drain = Report {
        drains: Some(true),
        ..Report::default()
    };
    let ready = Report {
        drains: Some(false),
        ..Report::default()
    };
    let shift = scales.report(address(1), drain).unwrap();
    assert_eq!((shift.from, shift.to.percent), (100, 1));
    assert!(shift.to.drains);
    assert_eq!(scales.standing(address(1)), Some(&shift.to));
    assert_eq!(scales.step(&rules(), PROBE), []);
    // What it says besides does not make it ready.
    assert_eq!(scales.report(address(1), says(80)), None);
    assert_eq!(scales.step(&rules(), PROBE), []);
    let shift = scales.report(address(1), ready).unwrap();
    assert_eq!(
        (shift.from, shift.to.percent, shift.to.drains),
        (1, 1, false)
    );
    let back = course(&mut scales, 9, |it| it.must_not_drain(address(1), ready));
    assert_eq!(back, [11, 21, 31, 41, 51, 61, 71, 80, 80]);
    assert!(!scales.standing(address(1)).unwrap().drains);
}

#[test]
fn what_an_agent_has_said_does_not_age_while_this_host_cannot_ask() {
    let mut scales = scales(2);
    scales.not_asked(address(1));
    scales.must_not_drain(address(1), says(50));
    let held = course(&mut scales, 20, |it| it.not_asked(address(1)));
    assert_eq!(held[4..], [50; 16]);
    let back = course(&mut scales, 5, |_| {});
    assert_eq!(back, [50, 50, 60, 70, 80]);
}

#[test]
fn who_is_awaited_takes_no_flows_until_its_agent_is_heard_and_then_at_its_weight() {
    let mut scales = scales(3);
    for number in 1..=3 {
        scales.await_agent(address(number));
        assert!(scales.standing(address(number)).unwrap().drains);
    }
    let heard = scales.report(address(1), says(95)).unwrap();
    assert_eq!((heard.to.percent, heard.to.drains), (100, false));
    // It was drained before, and is: nothing changes for it.
    let drain = Report {
        drains: Some(true),
        ..Report::default()
    };
    assert_eq!(scales.report(address(2), drain), None);
    assert_eq!(reason(&scales, 2), "its agent wants it drained");
    // The third is silent for three intervals.
    for _ in 0..3 {
        assert_eq!(scales.step(&rules(), PROBE), []);
        assert!(scales.standing(address(3)).unwrap().drains);
    }
    let shifts = scales.step(&rules(), PROBE);
    let third = shifts.iter().find(|it| it.address == address(3)).unwrap();
    assert_eq!((third.to.percent, third.to.drains), (100, false));
}

#[test]
fn down_lasts_until_up_and_nothing_of_a_weight_is_a_drain() {
    let mut scales = scales(1);
    let is_down = |is_down| Report {
        is_down: Some(is_down),
        ..Report::default()
    };
    for (report, drains) in [
        (is_down(true), true),
        (says(100), true),
        (is_down(false), false),
        (says(0), true),
        (says(1), false),
    ] {
        scales.report(address(1), report);
        scales.step(&rules(), PROBE);
        assert_eq!(
            scales.standing(address(1)).unwrap().drains,
            drains,
            "{report:?}"
        );
    }
}

#[test]
fn a_slow_backend_loses_weight_and_a_fast_one_gains_up_to_the_ceiling() {
    let mut scales = scales(3);
    let measure = |scales: &mut Scales| {
        for (number, ms) in [(1, 40), (2, 10), (3, 0)] {
            scales.measure(address(number), Duration::from_millis(ms));
        }
    };
    course(&mut scales, 20, measure);
    // 11 of 41 ms with the millisecond that does not count, and 11 of 1, which is more than the ceiling.
    let weights = [1, 2, 3].map(|number| percent(&scales, number));
    assert_eq!(weights, [26, 100, 200]);
    assert_eq!(
        reason(&scales, 1),
        "it answers in 40.0 ms, the median is 10.0 ms"
    );
}

#[test]
fn one_backend_alone_is_as_slow_as_its_median() {
    let mut scales = scales(1);
    let course = course(&mut scales, 5, |it| {
        it.measure(address(1), Duration::from_secs(1));
    });
    assert_eq!(course, [100; 5]);
}

#[test]
fn a_probe_that_is_rarer_than_steps_is_believed_for_three_of_its_own_intervals() {
    let mut scales = scales(2);
    scales.measure(address(1), Duration::from_secs(1));
    scales.measure(address(2), Duration::ZERO);
    let weights: Vec<u32> = (0..20)
        .map(|_| {
            scales.step(&rules(), PROBE * 4);
            percent(&scales, 2)
        })
        .collect();
    let turn = weights.iter().position(|it| *it == 200).unwrap();
    assert_eq!(turn, 9);
    assert_eq!(weights[11..15], [200, 190, 180, 170]);
}

#[test]
fn backends_that_stay_keep_their_weights_and_those_that_go_do_not() {
    let mut scales = scales(2);
    course(&mut scales, 3, |it| it.must_not_drain(address(1), says(50)));
    scales.keep([1, 3].map(address).into_iter());
    assert_eq!(percent(&scales, 1), 70);
    assert_eq!(percent(&scales, 3), 100);
    scales.keep([2].map(address).into_iter());
    scales.keep([1, 2].map(address).into_iter());
    assert_eq!(percent(&scales, 1), 100);
}

/// What is heard before a step: of each backend perhaps a response time in microseconds and a report.
type Heard = Vec<(Option<u64>, Option<Report>)>;

fn any_rules() -> impl Strategy<Value = DynamicWeights> {
    (1..=100_u32, 100..=1_000_u32, 0..=50_u32).prop_map(|(step, ceiling, dead_band)| {
        DynamicWeights {
            step,
            ceiling,
            dead_band,
            ..rules()
        }
    })
}

fn any_report() -> impl Strategy<Value = Report> {
    let option = || prop::option::weighted(0.1, any::<bool>());
    (prop::option::of(0..300_u32), option(), option()).prop_map(|(percent, drains, is_down)| {
        Report {
            percent,
            drains,
            is_down,
        }
    })
}

fn any_course() -> impl Strategy<Value = Vec<Heard>> {
    let heard = (
        prop::option::of(0..1_000_000_u64),
        prop::option::of(any_report()),
    );
    prop::collection::vec(prop::collection::vec(heard, 3), 1..60)
}

/// Whose standing has changed at once.
fn hear(scales: &mut Scales, heard: &Heard) -> Vec<SocketAddr> {
    let mut shifted = Vec::new();
    for (number, (time, report)) in (1..).zip(heard) {
        if let Some(time) = time {
            scales.measure(address(number), Duration::from_micros(*time));
        }
        if let Some(report) = report {
            let shift = scales.report(address(number), *report);
            shifted.extend(shift.map(|it| it.address));
        }
    }
    shifted
}

proptest! {
    #[test]
    fn steps_and_weights_are_bounded_whatever_is_heard(rules in any_rules(), course in any_course()) {
        let mut scales = scales(3);
        for heard in &course {
            let before: Vec<Standing> = scales.standings().map(|(_, it)| it.clone()).collect();
            let mut shifted = hear(&mut scales, heard);
            shifted.extend(scales.step(&rules, PROBE).iter().map(|it| it.address));
            for ((address, after), before) in scales.standings().zip(&before) {
                prop_assert!((DynamicWeights::FLOOR..=rules.ceiling).contains(&after.percent));
                let step = after.percent.abs_diff(before.percent);
                prop_assert!(after.drains || step <= rules.step, "{step}");
                let changed = (after.percent, after.drains) != (before.percent, before.drains);
                prop_assert_eq!(shifted.contains(&address), changed);
            }
        }
    }

    #[test]
    fn weights_arrive_at_what_is_said_for_long_and_stay(
        rules in any_rules(), course in any_course(), said in 1..300_u32, times in any::<[u16; 3]>(),
    ) {
        let mut scales = scales(3);
        for heard in &course {
            hear(&mut scales, heard);
            scales.step(&rules, PROBE);
        }
        let steady: Heard = times
            .iter()
            .map(|time| {
                let report = Report { percent: Some(said), drains: Some(false), is_down: Some(false) };
                (Some(u64::from(*time) * 10), Some(report))
            })
            .collect();
        // Smoothing needs some steps, and the longest way is ten whole weights.
        for _ in 0..100 + 1_000 / rules.step {
            hear(&mut scales, &steady);
            scales.step(&rules, PROBE);
        }
        let arrived: Vec<u32> = scales.standings().map(|(_, it)| it.percent).collect();
        let median = { let mut sorted = times; sorted.sort_unstable(); u64::from(sorted[1]) * 10 };
        for (percent, time) in arrived.iter().zip(times) {
            let (wanted, _) = wanted(Some(said), Some((u64::from(time) * 10, median)), rules.ceiling);
            let distance = percent.abs_diff(wanted.unwrap());
            // Smoothing in whole microseconds stops a little short.
            prop_assert!(distance <= rules.dead_band + 2, "{percent} for {wanted:?}");
        }
        for _ in 0..5 {
            hear(&mut scales, &steady);
            prop_assert_eq!(scales.step(&rules, PROBE), []);
        }
        // Silence ends at the base.
        for _ in 0..10 + 1_000 / rules.step {
            scales.step(&rules, PROBE);
        }
        prop_assert!(scales.standings().all(|(_, it)| it.percent == 100 && !it.drains));
    }

    #[test]
    fn what_stays_within_the_dead_band_moves_nothing(
        rules in any_rules(), said in prop::collection::vec(any::<u32>(), 1..50),
    ) {
        let mut scales = scales(1);
        let low = (100 - rules.dead_band).max(1);
        let high = (100 + rules.dead_band).min(rules.ceiling);
        for said in said {
            scales.must_not_drain(address(1), says(low + said % (high - low + 1)));
            prop_assert_eq!(scales.step(&rules, PROBE), []);
        }
    }
}
