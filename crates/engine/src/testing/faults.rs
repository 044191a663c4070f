//! What goes wrong in one simulated story, drawn from its seed.

use fastrand::Rng;

/// Chances are per call or per tick, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// The engine dies at a port call.
    pub crash: u32,
    /// A request to the provider never arrives.
    pub lost_request: u32,
    /// It arrives, and the reply does not.
    pub lost_reply: u32,
    /// The provider says: too often.
    pub throttled: u32,
    /// The provider says no for good.
    pub denied: u32,
    /// The journal fails, before or after it stored.
    pub journal: u32,
    /// An engine is frozen for longer than its lease, in the middle of a turn.
    pub freeze: u32,
    /// An instance is lost, per tick.
    pub instance_lost: u32,
    /// An instance falls ill, per tick.
    pub instance_ill: u32,
    /// An instance leaves by itself, as when its machine is taken back with a warning, per tick.
    pub instance_leaves: u32,
    /// The group's autoscaling moves Desired, per tick.
    pub autoscale: u32,
    /// Somebody else splits the users evenly, per tick.
    pub meddle: u32,
    /// Somebody sets the wall clock, per tick.
    pub clock_set: u32,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        crash: 0,
        lost_request: 0,
        lost_reply: 0,
        throttled: 0,
        denied: 0,
        journal: 0,
        freeze: 0,
        instance_lost: 0,
        instance_ill: 0,
        instance_leaves: 0,
        autoscale: 0,
        meddle: 0,
        clock_set: 0,
    };

    /// Nothing goes wrong, but that somebody may meddle.
    #[must_use]
    pub fn only_meddling(self) -> bool {
        let meddle = 0;
        Self { meddle, ..self } == Self::NONE
    }

    /// A mix: some stories are calm, some have one kind of trouble, some have all of them.
    #[must_use]
    pub fn draw(rng: &mut Rng, autoscaled: bool) -> Self {
        if rng.u32(0..8) == 0 {
            // Nothing but a meddler.
            let meddle = rng.u32(5..=20);
            return Self {
                meddle,
                ..Self::NONE
            };
        }
        let all = rng.u32(0..4) == 0;
        let mut chance = |max: u32| {
            if all || rng.u32(0..4) == 0 {
                rng.u32(1..=max)
            } else {
                0
            }
        };
        Self {
            crash: chance(60),
            lost_request: chance(100),
            lost_reply: chance(100),
            throttled: chance(200),
            denied: chance(4),
            journal: chance(40),
            freeze: chance(20),
            instance_lost: chance(15),
            instance_ill: chance(15),
            instance_leaves: chance(15),
            autoscale: if autoscaled { chance(30) } else { 0 },
            meddle: chance(5),
            clock_set: chance(10),
        }
    }
}

/// True in so many of a thousand cases.
#[must_use]
pub fn happens(rng: &mut Rng, thousandths: u32) -> bool {
    thousandths > 0 && rng.u32(0..1000) < thousandths
}
