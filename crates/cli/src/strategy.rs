//! How a release becomes live, as people type it: `--strategy` and the options that go with it.
//!
//! Invariant: an option that does not apply to the chosen strategy is refused, never ignored. What is
//! not given is left to the server.

mod counters;
mod refresh;

use std::{fs, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use domain::{
    gate::{ApprovalGate, Gate, TcpGate, TrafficGate},
    plan::two_slices::{Stage, Stages},
};
use serde_json::{Map, Value, json};

use self::{counters::Counters, refresh::RefreshArgs};
use super::{
    amounts::{Percent, Seconds},
    failure::Failure,
};

/// The stages of a canary when nobody says which.
const CANARY: &str = "1%:2m,10%:5m,50%:10m";
/// Its shares, when only their time is said.
const CANARY_SHARES: &str = "1,10,50";

/// The strategies of `--strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Double the group, then keep the new half
    ScaleUp,
    /// Let AWS replace the instances with an instance refresh of the Auto Scaling group
    InstanceRefresh,
    /// Fill the other slice, then move the users over, at once or by weights
    BlueGreen,
    /// Fill the other slice, then move the users over in stages, watching what they get
    Canary,
}

const ALL: &[Way] = &[
    Way::ScaleUp,
    Way::InstanceRefresh,
    Way::BlueGreen,
    Way::Canary,
];
const ONE_SLICE: &[Way] = &[Way::ScaleUp, Way::InstanceRefresh];
const REFRESH: &[Way] = &[Way::InstanceRefresh];
const TWO_SLICES: &[Way] = &[Way::BlueGreen, Way::Canary];

/// How the release becomes live.
#[derive(Debug, Default, Args)]
pub struct StrategyArgs {
    /// Deployment strategy [default: scale-up]
    #[arg(long, value_enum, value_name = "STRATEGY")]
    strategy: Option<Way>,
    /// scale-up, instance-refresh: extra instances at once, as a percentage of the group's size,
    /// such as 50%
    /// [default: 100%]
    #[arg(long, value_name = "PERCENT")]
    surge: Option<Percent>,
    #[command(flatten)]
    refresh: RefreshArgs,
    /// blue-green: shares of users to move, in order, such as 5,25,50,100
    #[arg(long, value_name = "SHARES")]
    weights: Option<Stages>,
    /// blue-green: move all users at once (the default)
    #[arg(long)]
    all_at_once: bool,
    /// canary: shares of users and how long each lasts, or a name such as Canary10Percent5Minutes
    /// [default: 1%:2m,10%:5m,50%:10m]
    #[arg(long, value_name = "STAGES")]
    steps: Option<Stages>,
    /// scale-up, instance-refresh: how long new instances must stay healthy before old ones are
    /// retired [default: 10s]; blue-green, canary: how long stages without a time last
    #[arg(long, value_name = "TIME")]
    bake: Option<Seconds>,
    /// Time limit for new instances to become healthy, such as 2m [default: 5m]
    #[arg(long, value_name = "TIME")]
    health_deadline: Option<Seconds>,
    /// blue-green, canary: how long the old slice stays ready after all users are moved
    /// [default: 10m]
    #[arg(long, value_name = "TIME")]
    warm: Option<Seconds>,
    /// blue-green, canary: keep the old slice, for `pointsman switch`
    #[arg(long)]
    keep_old: bool,
    /// blue-green, canary: copy this share of the requests to the new release before any user is
    /// moved, such as 5% or 5%:2m [default time: 1m]
    #[arg(long, value_name = "PERCENT[:TIME]")]
    shadow: Option<Dark>,
    /// With --shadow: compare the answers, and continue only if they agree
    #[arg(long)]
    shadow_compare: bool,
    /// blue-green, canary: require a person's approval at these shares, such as 10,50
    /// (0: before any user is moved)
    #[arg(long, value_name = "SHARES")]
    approve_at: Option<Shares>,
    /// blue-green, canary: continue only while errors and latency are no worse than those of the
    /// stable release
    #[arg(long)]
    gate_traffic: bool,
    /// blue-green, canary: continue only while this port accepts connections from the server; can be
    /// repeated
    #[arg(long, value_name = "HOST:PORT")]
    gate_tcp: Vec<String>,
    /// blue-green, canary: continue only while counters of a Prometheus in the catalogue are no worse than
    /// those of the stable release: two queries in PromQL with $version or $slice, for how many went wrong
    /// and how many there were; can be repeated
    #[arg(long, value_name = "NAME: BAD of ALL")]
    gate_compare: Vec<Counters>,
    /// blue-green, canary: a file with a YAML list of gates, instead of those of the server group
    #[arg(long, value_name = "FILE")]
    gates: Option<PathBuf>,
    /// blue-green, canary: use no gates, not even those of the server group
    #[arg(long)]
    no_gates: bool,
}

/// Copies of so many requests, for so long; written `5%` or `5%:2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dark {
    percent: Percent,
    time: Option<Seconds>,
}

impl FromStr for Dark {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (percent, time) = match text.split_once(':') {
            Some((percent, time)) => (percent, Some(time.parse()?)),
            None => (text, None),
        };
        let percent = percent.parse()?;
        Ok(Self { percent, time })
    }
}

/// Shares of users from 0 to 100, written `10,50` or `10%,50%`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares(Vec<u8>);

impl FromStr for Shares {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let share = |part: &str| {
            let digits = part.trim().trim_end_matches('%');
            digits.parse().ok().filter(|share| *share <= 100)
        };
        let shares: Option<Vec<u8>> = text.split(',').map(share).collect();
        shares
            .map(Self)
            .ok_or_else(|| "write shares of users from 0 to 100, such as 10,50".to_owned())
    }
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Self::ScaleUp => "scale-up",
            Self::InstanceRefresh => "instance-refresh",
            Self::BlueGreen => "blue-green",
            Self::Canary => "canary",
        }
    }
}

impl StrategyArgs {
    fn way(&self) -> Way {
        self.strategy.unwrap_or(Way::ScaleUp)
    }

    /// Gates are added to those of the server group, which must be known then.
    #[must_use]
    pub fn adds_to_the_group(&self) -> bool {
        self.gates.is_none() && !self.added().is_empty()
    }

    /// The gates that are added to others, with the option that does.
    fn added(&self) -> Vec<(&'static str, Gate)> {
        let traffic = self
            .gate_traffic
            .then(|| ("--gate-traffic", Gate::Traffic(TrafficGate::default())));
        let ports = self
            .gate_tcp
            .iter()
            .map(|address| ("--gate-tcp", Gate::Tcp(TcpGate::new(address.clone()))));
        let counters = self
            .gate_compare
            .iter()
            .map(|Counters(gate)| ("--gate-compare", Gate::Compare(gate.clone())));
        let approval = self.approve_at.as_ref().map(|Shares(at)| {
            let approval = ApprovalGate {
                at: at.clone(),
                ..ApprovalGate::default()
            };
            ("--approve-at", Gate::Approval(approval))
        });
        let compared = traffic.into_iter().chain(counters);
        compared.chain(ports).chain(approval).collect()
    }

    /// The options make sense together.
    ///
    /// # Errors
    /// A sentence about the first one that does not.
    pub fn check(&self) -> Result<(), Failure> {
        let way = self.way();
        let of_refresh = self.refresh.options();
        let of_refresh = of_refresh.map(|(option, given)| (option, given, REFRESH));
        let given = self.options().into_iter().chain(of_refresh);
        let given = given.filter(|(_, given, _)| *given);
        for (option, _, ways) in given {
            if !ways.contains(&way) {
                return Err(self.stray(option, ways));
            }
        }
        self.refresh.check()?;
        let clash = |one: &str, other: &str, why: &str| {
            Failure::usage(format!("{one} and {other} cannot be used together")).because(why)
        };
        if self.all_at_once && self.weights.is_some() {
            return Err(clash(
                "--all-at-once",
                "--weights",
                "weights move users in stages",
            ));
        }
        if self.keep_old && self.warm.is_some() {
            let why = "a slice that is kept has no time limit";
            return Err(clash("--keep-old", "--warm", why));
        }
        let added = self.added();
        let brings = self.gates.as_ref().map(|_| "--gates");
        let brings = brings.or(added.first().map(|(option, _)| *option));
        if let Some(other) = brings.filter(|_| self.no_gates) {
            let why = "one removes all gates, the other adds some";
            return Err(clash("--no-gates", other, why));
        }
        if self.shadow_compare && self.shadow.is_none() {
            return Err(Failure::usage(
                "--shadow-compare needs --shadow: there are no answers to compare",
            )
            .next("add --shadow 5% to send copies of requests to the new release"));
        }
        self.check_approvals()
    }

    /// An approval at a share that users never are at would be asked for by nobody.
    fn check_approvals(&self) -> Result<(), Failure> {
        let stages = self.stages();
        let Some(Shares(shares)) = &self.approve_at else {
            return Ok(());
        };
        let known = |share: &u8| {
            [0, 100].contains(share) || stages.iter().any(|stage| stage.percent == *share)
        };
        match shares.iter().find(|share| !known(share)) {
            None => Ok(()),
            Some(share) => {
                let shares: Vec<String> = stages.iter().map(|s| s.percent.to_string()).collect();
                let at = ["0".to_owned()].into_iter().chain(shares);
                let at: Vec<String> = at.collect();
                Err(Failure::usage(format!(
                    "--approve-at {share}: no stage of this deployment has {share} % of the users"
                ))
                .next(format!("use one of {}, or 100", at.join(", "))))
            }
        }
    }

    /// Every option: whether it is given, and what it belongs to.
    fn options(&self) -> [(&'static str, bool, &'static [Way]); 16] {
        [
            ("--surge", self.surge.is_some(), ONE_SLICE),
            ("--weights", self.weights.is_some(), &[Way::BlueGreen]),
            ("--all-at-once", self.all_at_once, &[Way::BlueGreen]),
            ("--steps", self.steps.is_some(), &[Way::Canary]),
            ("--bake", self.bake.is_some(), ALL),
            ("--health-deadline", self.health_deadline.is_some(), ALL),
            ("--warm", self.warm.is_some(), TWO_SLICES),
            ("--keep-old", self.keep_old, TWO_SLICES),
            ("--shadow", self.shadow.is_some(), TWO_SLICES),
            ("--shadow-compare", self.shadow_compare, TWO_SLICES),
            ("--approve-at", self.approve_at.is_some(), TWO_SLICES),
            ("--gate-traffic", self.gate_traffic, TWO_SLICES),
            ("--gate-tcp", !self.gate_tcp.is_empty(), TWO_SLICES),
            ("--gate-compare", !self.gate_compare.is_empty(), TWO_SLICES),
            ("--gates", self.gates.is_some(), TWO_SLICES),
            ("--no-gates", self.no_gates, TWO_SLICES),
        ]
    }

    fn stray(&self, option: &str, ways: &[Way]) -> Failure {
        let words: Vec<&str> = ways.iter().map(|way| way.word()).collect();
        let words = words.join(" or ");
        let failure = Failure::usage(format!(
            "{option} does not apply to {}; it is an option of {words}",
            self.way().word()
        ));
        let failure = match self.strategy {
            Some(_) => failure,
            None => failure.because("without --strategy, the strategy is scale-up"),
        };
        failure.next(format!("remove it, or add --strategy {}", ways[0].word()))
    }

    /// The stages that were typed, or are usual; the last one may be missing.
    fn stages(&self) -> Vec<Stage> {
        let read = |text: &str| text.parse().map_or(Vec::new(), |Stages(stages)| stages);
        let typed = self.weights.as_ref().or(self.steps.as_ref());
        let mut stages = match (typed, self.way(), self.bake) {
            (Some(Stages(stages)), _, _) => stages.clone(),
            (None, Way::Canary, None) => read(CANARY),
            (None, Way::Canary, Some(_)) => read(CANARY_SHARES),
            (None, Way::BlueGreen, Some(_)) => read("100"),
            (None, _, _) => Vec::new(),
        };
        if let Some(Seconds(bake)) = self.bake {
            // What comes after all users are moved is the warm wait, unless they are moved at once.
            let alone = stages.len() == 1;
            let timeless = stages.iter_mut().filter(|stage| stage.seconds == 0);
            timeless
                .filter(|stage| stage.percent < 100 || alone)
                .for_each(|stage| stage.seconds = bake);
        }
        stages
    }

    /// The strategy for the API; `None` when nothing was asked for. `usual` are the gates of the
    /// server group, where [`Self::adds_to_the_group`].
    ///
    /// # Errors
    /// When the file with gates cannot be read.
    pub fn body(&self, usual: Vec<Value>) -> Result<Option<Value>, Failure> {
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        let seconds = |time: Option<Seconds>| time.map(|Seconds(seconds)| seconds.into());
        set("health_deadline_seconds", seconds(self.health_deadline));
        if ONE_SLICE.contains(&self.way()) {
            set("surge_percent", self.surge.map(|percent| percent.0.into()));
            set("bake_seconds", seconds(self.bake));
            for (name, value) in self.refresh.body() {
                set(name, value);
            }
        } else {
            let stages = self.stages();
            set("stages", (!stages.is_empty()).then(|| json!(stages)));
            set("warm_seconds", seconds(self.warm));
            set("keep_old", self.keep_old.then_some(true.into()));
            set("shadow", self.shadow.map(|dark| self.shadow_body(dark)));
            set("gates", self.gates_body(usual)?.map(Value::Array));
        }
        if body.is_empty() && self.strategy.is_none() {
            return Ok(None);
        }
        body.insert("kind".to_owned(), self.way().word().into());
        Ok(Some(Value::Object(body)))
    }

    fn shadow_body(&self, dark: Dark) -> Value {
        let mut shadow = json!({ "percent": dark.percent.0 });
        if let Some(Seconds(seconds)) = dark.time {
            shadow["seconds"] = seconds.into();
        }
        if self.shadow_compare {
            shadow["compare"] = json!({});
        }
        shadow
    }

    /// The gates, unless those of the server group stay as they are.
    fn gates_body(&self, usual: Vec<Value>) -> Result<Option<Vec<Value>>, Failure> {
        if self.no_gates {
            return Ok(Some(Vec::new()));
        }
        let added = self.added();
        let mut gates = match &self.gates {
            Some(file) => read_gates(file)?,
            None if !added.is_empty() => usual,
            None => return Ok(None),
        };
        gates.extend(added.into_iter().map(|(_, gate)| json!(gate)));
        Ok(Some(gates))
    }
}

/// A YAML list of gates, read here already so that an error names the file.
fn read_gates(file: &PathBuf) -> Result<Vec<Value>, Failure> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!("{shown} cannot be read"))
            .because(error)
            .next("choose a file with a YAML list of gates")
    })?;
    let gates: Vec<Gate> = serde_saphyr::from_str(&text).map_err(|error| {
        Failure::usage(format!("{shown} does not contain a list of gates"))
            .because(error)
            .next("write gates as in the manifest of a server group, such as `- {gate: approval, at: [10]}`")
    })?;
    Ok(gates.iter().map(|gate| json!(gate)).collect())
}

#[cfg(test)]
mod tests;
