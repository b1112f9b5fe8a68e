//! What the figures are to be, beside what they are.

use super::figures::All;

/// One goal.
pub(super) struct Goal {
    what: &'static str,
    /// In words.
    wanted: &'static str,
    at_most: f64,
    unit: &'static str,
    figure: fn(&All) -> Option<f64>,
}

/// All goals.
pub(super) const GOALS: [Goal; 15] = [
    Goal {
        what: "v4 TCP data, IPIP, 1 flow, by the floor's time",
        wanted: "<= 1.6 x",
        at_most: 1.6,
        unit: "x",
        figure: |all| ratio(all, "v4/tcp-data/ipip/1/1/on-demand"),
    },
    Goal {
        what: "v4 TCP data, IPIP, 1 M flows",
        wanted: "<= 1.8 x",
        at_most: 1.8,
        unit: "x",
        figure: |all| ratio(all, "v4/tcp-data/ipip/1M/1/on-demand"),
    },
    Goal {
        what: "v4 UDP in GUE, 1 flow",
        wanted: "<= 1.8 x",
        at_most: 1.8,
        unit: "x",
        figure: |all| ratio(all, "v4/udp/gue/1/1/on-demand"),
    },
    Goal {
        what: "v6 by v4: TCP data, IPIP, 1 flow",
        wanted: "<= 1.15 x",
        at_most: 1.15,
        unit: "x",
        figure: |all| v6_by_v4(all, "tcp-data/ipip/1/1/on-demand"),
    },
    Goal {
        what: "v6 by v4: TCP data, IPIP, 1 M flows",
        wanted: "<= 1.15 x",
        at_most: 1.15,
        unit: "x",
        figure: |all| v6_by_v4(all, "tcp-data/ipip/1M/1/on-demand"),
    },
    Goal {
        what: "v6 by v4: UDP in GUE, 1 flow",
        wanted: "<= 1.15 x",
        at_most: 1.15,
        unit: "x",
        figure: |all| v6_by_v4(all, "udp/gue/1/1/on-demand"),
    },
    Goal {
        what: "256 services x 64 k flows, tables as `auto` makes them",
        wanted: "<= 3 x",
        at_most: 3.0,
        unit: "x",
        figure: |all| ratio(all, "v4/tcp-data/ipip/64k/256/on-demand/1021-slots"),
    },
    Goal {
        what: "256 services x 64 k flows, tables of 65,537 slots",
        wanted: "<= 3 x",
        at_most: 3.0,
        unit: "x",
        figure: |all| ratio(all, "v4/tcp-data/ipip/64k/256/on-demand"),
    },
    Goal {
        what: "SYN flood of always-new flows, by the data packet",
        wanted: "<= 1.2 x",
        at_most: 1.2,
        unit: "x",
        figure: |all| {
            let flood = "v4/syn-flood/ipip/16M/1/on-demand";
            by(all, flood, "v4/tcp-data/ipip/1/1/on-demand")
        },
    },
    Goal {
        what: "tracking = always, 1 M flows",
        wanted: "<= 7 x",
        at_most: 7.0,
        unit: "x",
        figure: |all| ratio(all, "v4/tcp-data/ipip/1M/1/always"),
    },
    Goal {
        what: "not for a VIP, by a bare pass",
        wanted: "<= 1.5 x",
        at_most: 1.5,
        unit: "x",
        figure: |all| ratio(all, "v4/not-vip/pass/1/1/on-demand"),
    },
    Goal {
        what: "failure decided to new table in the kernel, 1,000 backends, median",
        wanted: "<= 2 ms",
        at_most: 2.0,
        unit: "ms",
        figure: |all| Some(all.reaction.as_ref()?.figures.reaction_p50_ms),
    },
    Goal {
        what: "10,000 services x 10 backends: apply from a file",
        wanted: "<= 5,000 ms",
        at_most: 5_000.0,
        unit: "ms",
        figure: |all| Some(all.size(10_000, 10)?.apply_ms),
    },
    Goal {
        what: "one backend more at that size, by the socket, median",
        wanted: "<= 5 ms",
        at_most: 5.0,
        unit: "ms",
        figure: |all| Some(all.size(10_000, 10)?.add_p50_ms),
    },
    Goal {
        what: "the same without the disk's time",
        wanted: "<= 5 ms",
        at_most: 5.0,
        unit: "ms",
        figure: |all| Some(all.size(10_000, 10)?.add_in_memory_p50_ms),
    },
];

impl Goal {
    /// What, what is wanted, what is, and whether that will do.
    pub(super) fn row(&self, all: &All) -> Vec<String> {
        let (is, verdict) = match (self.figure)(all) {
            None => ("not measured".to_owned(), ""),
            Some(figure) => {
                let verdict = if figure <= self.at_most {
                    "met"
                } else {
                    "**missed**"
                };
                (format!("{figure:.2} {}", self.unit), verdict)
            }
        };
        let verdict = verdict.to_owned();
        vec![self.what.to_owned(), self.wanted.to_owned(), is, verdict]
    }
}

fn ratio(all: &All, name: &str) -> Option<f64> {
    Some(all.packet(name)?.ratio)
}

fn by(all: &All, one: &str, other: &str) -> Option<f64> {
    Some(all.packet(one)?.ns_median / all.packet(other)?.ns_median)
}

fn v6_by_v4(all: &All, row: &str) -> Option<f64> {
    by(all, &format!("v6/{row}"), &format!("v4/{row}"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            figures::{Packet, Taken},
            machine::Machine,
        },
        *,
    };

    fn measured(rows: &[(&str, f64, f64)]) -> All {
        let row = |&(name, ns_median, floor_ns_median): &(&str, f64, f64)| Packet {
            name: name.to_owned(),
            ns_min: ns_median,
            ns_p10: ns_median,
            ns_median,
            ns_p90: ns_median,
            floor_ns_median,
            ratio: ns_median / floor_ns_median,
        };
        All {
            packet: Some(Taken {
                machine: Machine::default(),
                is_quick: true,
                seconds: 1,
                figures: rows.iter().map(row).collect(),
            }),
            ..All::default()
        }
    }

    fn verdict(all: &All, what: &str) -> Vec<String> {
        let goal = GOALS.iter().find(|goal| goal.what.starts_with(what));
        goal.expect("a goal").row(all).split_off(2)
    }

    #[test]
    fn a_goal_is_met_missed_or_not_measured() {
        let row = "v4/tcp-data/ipip/1/1/on-demand";
        let what = "v4 TCP data, IPIP, 1 flow";
        assert_eq!(
            verdict(&measured(&[(row, 80.0, 50.0)]), what),
            ["1.60 x", "met"]
        );
        let missed = verdict(&measured(&[(row, 81.0, 50.0)]), what);
        assert_eq!(missed, ["1.62 x", "**missed**"]);
        assert_eq!(verdict(&All::default(), what), ["not measured", ""]);
    }

    #[test]
    fn ip_versions_are_compared_by_their_own_times() {
        let rows = [
            ("v4/udp/gue/1/1/on-demand", 100.0, 50.0),
            ("v6/udp/gue/1/1/on-demand", 110.0, 60.0),
        ];
        let all = measured(&rows);
        assert_eq!(verdict(&all, "v6 by v4: UDP"), ["1.10 x", "met"]);
        assert_eq!(verdict(&all, "v6 by v4: TCP"), ["not measured", ""]);
    }
}
