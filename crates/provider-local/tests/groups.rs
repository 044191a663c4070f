//! Two slices of one group as values: what is asked of one never touches the other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use domain::{
    catalogue::ServerGroup,
    effect::{Effect, Token},
    names::DeploymentId,
    observation::{InstanceId, InstanceState, Sizes},
    release::{Content, Digest, Launch, LaunchId},
    slice::Slice,
    time::UnixMs,
    users::Weights,
};
use provider_local::group::{Group, Member, Next, Refusal};

const NOW: UnixMs = UnixMs(1_000);

/// A group, and the number of the next request.
struct Asked {
    group: Group,
    settings: ServerGroup,
    version: u64,
}

impl Asked {
    /// Blue serves everybody with two healthy instances of `l1`.
    fn serving_blue() -> Self {
        let text =
            r#"{"service":"cart","environment":"live","size":2,"slices":2,"zones":["a","b"]}"#;
        let settings: ServerGroup = serde_json::from_str(text).unwrap();
        let mut asked = Self {
            group: Group::new(settings.place(), settings.clone()),
            settings,
            version: 0,
        };
        asked.fill(Slice::Blue, "l1", 2);
        asked.all_healthy(Slice::Blue);
        asked.weights(&[(Slice::Blue, 100)]).unwrap();
        asked
    }

    fn ask(&mut self, effect: &Effect) -> Result<Option<InstanceId>, Refusal> {
        self.version += 1;
        let deployment = DeploymentId("d".to_owned());
        let version = self.version;
        let token = Token {
            deployment,
            version,
        };
        self.group.apply(&self.settings, effect, &token)
    }

    fn sizes(&mut self, slice: Slice, desired: u32) {
        let sizes = Sizes {
            min: desired,
            desired,
            max: desired,
        };
        self.ask(&Effect::SetSizes { slice, sizes }).unwrap();
    }

    fn weights(&mut self, weights: &[(Slice, u8)]) -> Result<Option<InstanceId>, Refusal> {
        let weights: Weights = weights.iter().copied().collect();
        let mirror = None;
        self.ask(&Effect::SetTraffic { weights, mirror })
    }

    fn fill(&mut self, slice: Slice, id: &str, many: u32) {
        let launch = Some(launch(id));
        self.ask(&Effect::SetLaunch { slice, launch }).unwrap();
        self.sizes(slice, many);
    }

    fn next(&self, slice: Slice) -> Next {
        let slot = self.group.slices.get(&slice);
        slot.map_or(Next::Rest, |slot| slot.next(&self.settings.zones, NOW))
    }

    /// Does what the supervisor does until there is nothing to do; says how many steps it took.
    fn settle(&mut self, slice: Slice) -> usize {
        for step in 0..100 {
            match self.next(slice) {
                Next::Rest | Next::WaitUntil(_) => return step,
                Next::Start(launch, zone) => {
                    let slot = self.group.slices.get_mut(&slice).unwrap();
                    let id = format!("{slice}-{}", slot.members.len());
                    slot.members.push(member(&id, &launch, &zone));
                }
                Next::Stop(id) => {
                    let slot = self.group.slices.get_mut(&slice).unwrap();
                    slot.members.retain(|member| member.id != id);
                }
            }
        }
        panic!("{slice} never rests");
    }

    fn all_healthy(&mut self, slice: Slice) {
        self.settle(slice);
        for member in &mut self.group.slices.get_mut(&slice).unwrap().members {
            member.state = InstanceState::Healthy;
        }
    }
}

fn launch(id: &str) -> Launch {
    Launch {
        id: LaunchId(id.to_owned()),
        version: "1.0.0".parse().unwrap(),
        content: Content::package(Digest::from_bytes([0; 32])),
    }
}

fn member(id: &str, launch: &Launch, zone: &str) -> Member {
    Member {
        id: InstanceId(id.to_owned()),
        launch: launch.id.clone(),
        version: launch.version.clone(),
        digest: launch.content.digest().unwrap().clone(),
        zone: zone.to_owned(),
        state: InstanceState::Pending,
        protected: false,
        started_at: NOW,
        port: 1,
        process: None,
        folder: None,
        answers: false,
    }
}

#[test]
fn green_is_filled_beside_blue_and_blue_is_retired_beside_green() {
    let mut asked = Asked::serving_blue();
    let blue = asked.group.slices[&Slice::Blue].clone();
    asked.fill(Slice::Green, "l2", 3);
    assert_eq!(asked.settle(Slice::Green), 3);
    assert_eq!(asked.next(Slice::Blue), Next::Rest);
    assert_eq!(
        asked.group.slices[&Slice::Blue],
        blue,
        "blue was not touched"
    );
    asked.all_healthy(Slice::Green);
    let green = asked.group.slices[&Slice::Green].clone();

    asked
        .weights(&[(Slice::Blue, 50), (Slice::Green, 50)])
        .unwrap();
    asked.weights(&[(Slice::Green, 100)]).unwrap();
    asked.sizes(Slice::Blue, 0);
    assert_eq!(asked.settle(Slice::Blue), 2);
    assert_eq!(asked.next(Slice::Green), Next::Rest);
    assert_eq!(
        asked.group.slices[&Slice::Green],
        green,
        "green was not touched"
    );
    let seen = asked.group.look(NOW);
    assert_eq!(seen.slice(Slice::Blue).instances.len(), 0);
    assert_eq!(
        seen.slice(Slice::Green)
            .staying_of(&LaunchId("l2".to_owned())),
        3
    );
    assert_eq!(seen.weights, Weights::from([(Slice::Green, 100)]));

    let nothing = Effect::SetLaunch {
        slice: Slice::Blue,
        launch: None,
    };
    asked.ask(&nothing).unwrap();
    assert_eq!(asked.group.look(NOW).slice(Slice::Blue).launches, None);
}

#[test]
fn names_of_instances_count_only_in_their_own_slice() {
    let mut asked = Asked::serving_blue();
    asked.fill(Slice::Green, "l2", 2);
    asked.all_healthy(Slice::Green);
    let of_blue = InstanceId("blue-0".to_owned());
    let replace = |slice| Effect::Replace {
        slice,
        instance: of_blue.clone(),
    };
    assert_eq!(asked.ask(&replace(Slice::Green)), Ok(None));
    assert_eq!(asked.ask(&replace(Slice::Blue)), Ok(Some(of_blue.clone())));
    let protect = |slice| Effect::SetProtection {
        slice,
        instances: vec![of_blue.clone()],
        protected: true,
    };
    let protected = |asked: &Asked| {
        let slots = asked.group.slices.values();
        slots
            .flat_map(|slot| &slot.members)
            .filter(|member| member.protected)
            .count()
    };
    asked.ask(&protect(Slice::Green)).unwrap();
    assert_eq!(protected(&asked), 0);
    asked.ask(&protect(Slice::Blue)).unwrap();
    assert_eq!(protected(&asked), 1);
    asked.sizes(Slice::Blue, 0);
    assert_eq!(asked.settle(Slice::Blue), 1, "the protected one stays");
    asked.sizes(Slice::Green, 0);
    assert_eq!(asked.settle(Slice::Green), 2);
}

#[test]
fn a_release_that_keeps_dying_in_green_does_not_slow_blue_down() {
    let mut asked = Asked::serving_blue();
    asked.fill(Slice::Green, "l2", 1);
    let green = asked.group.slices.get_mut(&Slice::Green).unwrap();
    green.died_early(&LaunchId("l2".to_owned()), NOW);
    assert_eq!(asked.next(Slice::Green), Next::WaitUntil(NOW.plus_ms(200)));
    asked.sizes(Slice::Blue, 3);
    assert!(matches!(asked.next(Slice::Blue), Next::Start(launch, _) if launch.id.0 == "l1"));
}

#[test]
fn weights_are_of_both_slices_or_refused_as_a_whole() {
    let mut asked = Asked::serving_blue();
    let before = asked.group.weights.clone();
    for senseless in [
        &[(Slice::Blue, 50)][..],
        &[(Slice::Blue, 60), (Slice::Green, 60)],
        &[(Slice::Blue, 255), (Slice::Green, 101)],
    ] {
        let refused = asked.weights(senseless);
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{senseless:?}");
    }
    assert_eq!(asked.group.weights, before);
    asked
        .weights(&[(Slice::Blue, 0), (Slice::Green, 100)])
        .unwrap();
    asked.weights(&[]).unwrap();
    assert!(asked.group.weights.is_empty(), "nobody is served");
}

#[test]
fn both_slices_survive_being_saved() {
    let mut asked = Asked::serving_blue();
    asked.fill(Slice::Green, "l2", 2);
    asked.settle(Slice::Green);
    asked
        .weights(&[(Slice::Blue, 95), (Slice::Green, 5)])
        .unwrap();
    let saved = serde_json::to_vec(&asked.group).unwrap();
    assert_eq!(
        serde_json::from_slice::<Group>(&saved).unwrap(),
        asked.group
    );
}
