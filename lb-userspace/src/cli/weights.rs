//! Weights that follow how backends do, as flags of `lbctl service`.

use clap::{ArgAction, Args};

use super::argument;
use crate::config::spec::DynamicWeightsSpec;

/// What weights follow.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dynamic weights")]
pub(super) struct Weights {
    /// Weights follow how long probes take
    #[arg(long = "weights-by-response-time", action = ArgAction::SetTrue)]
    response_time: bool,
    #[arg(
        help = "Weights follow what an agent at this port of each backend says, as HAProxy's agents do"
    )]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    agent_port: Option<u16>,
    /// From one step of a weight to the next, and how often agents are asked [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = argument::duration)]
    weight_interval: Option<String>,
    /// A step is at most so many per cent of the weight [default: 10]
    #[arg(long, value_name = "PERCENT")]
    weight_step: Option<u32>,
    /// At most so many per cent of the weight [default: 200]
    #[arg(long, value_name = "PERCENT")]
    weight_ceiling: Option<u32>,
    /// What changes by no more than so many per cent of the weight moves nothing [default: 10]
    #[arg(long, value_name = "PERCENT")]
    weight_dead_band: Option<u32>,
}

impl Weights {
    /// What was asked for, if anything was.
    pub(super) fn spec(self) -> Option<DynamicWeightsSpec> {
        let spec = DynamicWeightsSpec {
            response_time: self.response_time,
            agent_port: self.agent_port,
            interval: self.weight_interval,
            step: self.weight_step,
            ceiling: self.weight_ceiling,
            dead_band: self.weight_dead_band,
        };
        (spec != DynamicWeightsSpec::default()).then_some(spec)
    }
}
