//! What somebody asks for on the deploy form: the fields as they were typed, and what they mean.
//!
//! Invariant: the address of the page and the form on it hold the same fields, so a link is a plan.

use domain::{
    catalogue::{Service, StrategyKind},
    gate::{ApprovalGate, Gate},
    governance::Wish,
    names::{EnvironmentName, Place, ServiceName},
    plan::{
        Strategy,
        instance_refresh::InstanceRefresh,
        scale_up::ScaleUp,
        two_slices::{Stage, Stages, TwoSlices},
    },
};
use operations::{deployments::usual_strategy, error::Fault};
use serde_json::json;

use crate::portal::parts::Query;

/// The stages of a canary when nobody says which.
pub(super) const CANARY: &str = "1%:2m,10%:5m,50%:10m";
/// Everything that says what is deployed, where and how.
const FIELDS: [&str; 13] = [
    "service",
    "environment",
    "version",
    "strategy",
    "surge",
    "bake",
    "stages",
    "warm",
    "keep",
    "approve",
    "gates",
    "image",
    "force",
];

/// The fields as they were typed.
#[derive(Debug, Default)]
pub(super) struct Asked(pub(super) Query);

impl Asked {
    pub(super) fn text(&self, field: &str) -> &str {
        self.0.text(field)
    }

    pub(super) fn is_on(&self, field: &str) -> bool {
        !self.text(field).is_empty()
    }

    /// The fields that are filled in.
    pub(super) fn pairs(&self) -> Vec<(&'static str, &str)> {
        let pairs = FIELDS.map(|field| (field, self.text(field)));
        let filled = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        filled.collect()
    }

    /// Where, once it is said.
    pub(super) fn place(&self) -> Option<Place> {
        Some(Place {
            service: self.0.read::<ServiceName>("service")?,
            environment: self.0.read::<EnvironmentName>("environment")?,
        })
    }

    /// Which strategy; the usual one of the service where nobody said.
    pub(super) fn kind(&self, service: &Service) -> StrategyKind {
        let kinds = [
            StrategyKind::ScaleUp,
            StrategyKind::BlueGreen,
            StrategyKind::Canary,
            StrategyKind::InstanceRefresh,
        ];
        let asked = self.text("strategy");
        let named = kinds.into_iter().find(|kind| kind.to_string() == asked);
        named.unwrap_or_else(|| usual_strategy(service).kind())
    }

    /// What all fields together mean. `gates` are those of the server group, to which an approval is added.
    ///
    /// # Errors
    /// Every field that cannot be understood.
    pub(super) fn wish(&self, service: &Service, gates: &[Gate]) -> Result<Wish, Vec<Fault>> {
        let mut read = Read {
            asked: self,
            faults: Vec::new(),
        };
        let place = self.place();
        if place.is_none() {
            read.fault("environment", "choose where the release goes");
        }
        let version = self.text("version").parse();
        if let Err(why) = &version {
            let why: &dyn std::fmt::Display = why;
            read.fault("version", &why.to_string());
        }
        let strategy = read.strategy(self.kind(service), gates);
        let image = match self.text("image") {
            "" => None,
            text => read.or_fault("image", text.parse()),
        };
        match (place, version, read.faults.is_empty()) {
            (Some(place), Ok(version), true) => Ok(Wish {
                place,
                version,
                strategy,
                force: self.is_on("force"),
                image,
            }),
            _ => Err(read.faults),
        }
    }

    /// The line that does the same in a terminal.
    pub(super) fn line(&self, service: &Service) -> String {
        let kind = self.kind(service);
        let (two, stages) = match kind {
            StrategyKind::BlueGreen => (true, "--weights"),
            StrategyKind::Canary => (true, "--steps"),
            _ => (false, ""),
        };
        let mut line = format!(
            "pointsman deploy {} {} -e {}",
            self.text("service"),
            self.text("version"),
            self.text("environment")
        );
        let mut add = |option: &str, value: &str| {
            line.push(' ');
            line.push_str(option);
            if !value.is_empty() {
                line.push(' ');
                line.push_str(value);
            }
        };
        if kind != StrategyKind::ScaleUp {
            add("--strategy", &kind.to_string());
        }
        let given = [
            ("surge", "--surge", "%", !two),
            ("bake", "--bake", "s", !two),
            ("stages", stages, "", two),
            ("warm", "--warm", "s", two && !self.is_on("keep")),
            ("approve", "--approve-at", "", two),
            ("image", "--image", "", true),
        ];
        for (field, option, unit, applies) in given {
            if applies && self.is_on(field) {
                let value: String = self.text(field).split_whitespace().collect();
                add(option, &format!("{value}{unit}"));
            }
        }
        for (field, option, applies) in [
            ("keep", "--keep-old", two),
            ("gates", "--no-gates", two),
            ("force", "--force", true),
        ] {
            if applies && self.is_on(field) {
                add(option, "");
            }
        }
        line
    }
}

/// The request that does the same, for any program that speaks HTTP.
pub(super) fn request(wish: &Wish, server: &str) -> String {
    let mut body = json!({
        "service": wish.place.service,
        "environment": wish.place.environment,
        "version": wish.version,
        "strategy": wish.strategy,
    });
    if wish.force {
        body["force"] = true.into();
    }
    if let Some(image) = &wish.image {
        body["image"] = image.as_str().into();
    }
    let body = body.to_string().replace('\'', r"'\''");
    format!(
        "curl -sS {server}/api/v1/deployments -H \"Authorization: Bearer $POINTSMAN_TOKEN\" -H 'Content-Type: application/json' -d '{body}'"
    )
}

/// Reads field by field, and notes what cannot be understood.
struct Read<'a> {
    asked: &'a Asked,
    faults: Vec<Fault>,
}

impl Read<'_> {
    fn fault(&mut self, field: &str, message: &str) {
        self.faults.push(Fault::of(field, message));
    }

    fn or_fault<T, E: std::fmt::Display>(&mut self, field: &str, read: Result<T, E>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(why) => {
                self.fault(field, &why.to_string());
                None
            }
        }
    }

    fn number(&mut self, field: &str, usual: u32, unit: &str) -> u32 {
        let text = self.asked.text(field);
        let digits = text.trim_end_matches(['%', 's', ' ']);
        match (text, digits.parse()) {
            ("", _) => usual,
            (_, Ok(number)) => number,
            (_, Err(_)) => {
                self.fault(field, &format!("write a whole number of {unit}"));
                usual
            }
        }
    }

    fn stages(&mut self, usual: &str) -> Vec<Stage> {
        let text = match self.asked.text("stages") {
            "" => usual,
            text => text,
        };
        if text.is_empty() {
            return Vec::new();
        }
        let read = text.parse::<Stages>();
        self.or_fault("stages", read)
            .map_or_else(Vec::new, |stages| stages.0)
    }

    fn approval(&mut self) -> Option<Gate> {
        let text = self.asked.text("approve");
        if text.is_empty() {
            return None;
        }
        let share = |part: &str| {
            let digits = part.trim().trim_end_matches('%').trim_end();
            digits.parse().ok().filter(|share| *share <= 100)
        };
        let shares: Option<Vec<u8>> = text.split(',').map(share).collect();
        let message = "write shares of users from 0 to 100, such as 0,10";
        let at = self.or_fault("approve", shares.ok_or(message))?;
        Some(Gate::Approval(ApprovalGate {
            at,
            ..ApprovalGate::default()
        }))
    }

    fn strategy(&mut self, kind: StrategyKind, gates: &[Gate]) -> Strategy {
        match kind {
            StrategyKind::InstanceRefresh => {
                let usual = InstanceRefresh::default();
                Strategy::InstanceRefresh(InstanceRefresh {
                    surge_percent: self.number("surge", usual.surge_percent, "percent"),
                    bake_seconds: self.number("bake", usual.bake_seconds, "seconds"),
                    ..usual
                })
            }
            StrategyKind::BlueGreen => Strategy::BlueGreen(self.two_slices("", gates)),
            StrategyKind::Canary => Strategy::Canary(self.two_slices(CANARY, gates)),
            StrategyKind::ScaleUp | StrategyKind::Switch => {
                let usual = ScaleUp::default();
                Strategy::ScaleUp(ScaleUp {
                    surge_percent: self.number("surge", usual.surge_percent, "percent"),
                    bake_seconds: self.number("bake", usual.bake_seconds, "seconds"),
                    ..usual
                })
            }
        }
    }

    fn two_slices(&mut self, stages: &str, gates: &[Gate]) -> TwoSlices {
        let usual = TwoSlices::default();
        let approval = self.approval();
        let gates = match (self.asked.is_on("gates"), approval) {
            (true, None) => Some(Vec::new()),
            (true, Some(approval)) => Some(vec![approval]),
            (false, None) => None,
            (false, Some(approval)) => Some(gates.iter().cloned().chain([approval]).collect()),
        };
        TwoSlices {
            stages: self.stages(stages),
            gates,
            warm_seconds: self.number("warm", usual.warm_seconds, "seconds"),
            keep_old: self.asked.is_on("keep"),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Service {
        serde_json::from_value(json!({ "name": "shop", "owner": "a" })).expect("a service")
    }

    fn asked(query: &str) -> Asked {
        let place = "service=shop&environment=staging&version=1.0.0&";
        Asked(Query::of(format!("{place}{query}").as_bytes()))
    }

    #[test]
    fn the_line_and_the_wish_say_the_same() {
        for (query, line, strategy) in [
            ("", "", json!({"kind": "scale-up", "surge_percent": 100})),
            (
                "strategy=scale-up&surge=50&bake=30&warm=9&force=on",
                " --surge 50% --bake 30s --force",
                json!({"surge_percent": 50, "bake_seconds": 30}),
            ),
            (
                "strategy=canary&stages=10%25:1m, 50%25:2m&warm=60&gates=none",
                " --strategy canary --steps 10%:1m,50%:2m --warm 60s --no-gates",
                json!({"kind": "canary", "stages": [{"percent": 10, "seconds": 60}, {"percent": 50, "seconds": 120}], "warm_seconds": 60, "gates": []}),
            ),
            (
                "strategy=blue-green&keep=on&approve=0,10&surge=50",
                " --strategy blue-green --approve-at 0,10 --keep-old",
                json!({"kind": "blue-green", "keep_old": true, "stages": []}),
            ),
        ] {
            let asked = asked(query);
            let usual = "pointsman deploy shop 1.0.0 -e staging";
            assert_eq!(asked.line(&shop()), format!("{usual}{line}"));
            let wish = asked.wish(&shop(), &[]).expect(query);
            let body = serde_json::to_value(&wish.strategy).expect("JSON");
            for (field, value) in strategy.as_object().expect("fields") {
                assert_eq!(body[field], *value, "{query}: {field}");
            }
        }
    }

    #[test]
    fn every_field_that_cannot_be_read_is_named() {
        let query = "strategy=canary&stages=50,10&approve=101&warm=long&image=disk";
        let faults = asked(query).wish(&shop(), &[]).expect_err("faults");
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["approve", "stages", "warm", "image"]);
    }

    #[test]
    fn an_approval_is_added_to_the_gates_of_the_group() {
        let usual = [Gate::Approval(ApprovalGate::default())];
        let wish = asked("strategy=canary&approve=10").wish(&shop(), &usual);
        let strategy = wish.expect("a wish").strategy;
        let gates = strategy.two_slices().and_then(|it| it.gates.clone());
        assert_eq!(gates.map(|gates| gates.len()), Some(2));
    }

    #[test]
    fn the_request_cannot_leave_its_quotes() {
        let mut wish = asked("").wish(&shop(), &[]).expect("a wish");
        let tcp = domain::gate::TcpGate::new("it's:1".to_owned());
        wish.strategy = Strategy::Canary(TwoSlices {
            gates: Some(vec![Gate::Tcp(tcp)]),
            ..TwoSlices::default()
        });
        assert!(request(&wish, "http://a").contains(r"it'\''s:1"));
    }
}
