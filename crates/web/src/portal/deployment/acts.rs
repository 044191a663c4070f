//! What one can do with a deployment that runs: each button says its consequence, and one that somebody may
//! not press says which right is missing.

use domain::{
    access::{Resource, Right},
    deployment::{Course, Deployment},
    plan::Step,
};
use maud::{Markup, html};
use operations::{Desk, Error, deployments::plan_hash};

use super::Seen;
use crate::portal::parts::capital;

/// What somebody may do with a deployment. Few differ, so what they see is rendered once for all of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(in crate::portal) struct Powers {
    drive: bool,
    roll_back: bool,
    approve: bool,
    /// They asked for the deployment.
    is_requester: bool,
}

impl Powers {
    /// What the one at this desk may do.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(in crate::portal) async fn of(desk: &Desk, deployment: &Deployment) -> Result<Self, Error> {
        let resource = Resource::Deployment(&deployment.id);
        Ok(Self {
            drive: desk.can(Right::Drive, resource).await?,
            roll_back: desk.can(Right::RollBack, resource).await?,
            approve: desk.can(Right::Approve, resource).await?,
            is_requester: desk.principal().name() == deployment.requested_by,
        })
    }

    fn has(self, right: Right) -> bool {
        match right {
            Right::Drive => self.drive,
            Right::RollBack => self.roll_back,
            Right::Approve => self.approve,
            _ => false,
        }
    }
}

/// One thing that can be done.
struct Act {
    path: &'static str,
    label: &'static str,
    consequence: String,
    right: Right,
    /// It asks for a reason.
    asks_why: bool,
    class: &'static str,
    /// Why it is not possible, whatever somebody may.
    against: Option<&'static str>,
}

/// The buttons.
pub(super) fn acts(seen: &Seen, powers: Powers) -> Markup {
    let deployment = &seen.deployment;
    let all = match deployment.ending {
        Some(_) => Vec::new(),
        None => possible(deployment, powers),
    };
    let hash = plan_hash(deployment);
    html! {
        div #d-acts {
            @if !all.is_empty() {
                section.card aria-labelledby="acts-title" {
                    h2 #acts-title { "What you can do" }
                    div.acts { @for act in &all { (button(deployment, act, powers, &hash)) } }
                }
            }
        }
    }
}

fn button(deployment: &Deployment, act: &Act, powers: Powers, hash: &str) -> Markup {
    let place = &deployment.target.place;
    let missing = !powers.has(act.right);
    let against = act.against.filter(|_| !missing);
    let hint = format!("why-{}", act.path);
    html! {
        form.act method="post" action={ "/deployments/" (deployment.id) "/" (act.path) } {
            input type="hidden" name="plan" value=(hash);
            div.press {
                button class=(act.class) type="submit" disabled[missing || against.is_some()] aria-describedby=(hint) { (act.label) }
                @if act.asks_why && !missing && against.is_none() {
                    input name="reason" aria-label={ "Why: " (act.label) } placeholder="why, in a few words" maxlength="1000" autocomplete="off" required;
                }
            }
            p.small.soft id=(hint) {
                (act.consequence)
                @if missing {
                    " " b { "You lack the right " code { (act.right) } " for " (place.service) " in " (place.environment) "." }
                    " Someone with the right " code { "administer" } " can grant it."
                }
                @if let Some(against) = against { " " b { (against) } }
            }
        }
    }
}

impl Act {
    fn new(path: &'static str, label: &'static str, right: Right, consequence: String) -> Self {
        Self {
            path,
            label,
            consequence,
            right,
            asks_why: false,
            class: "",
            against: None,
        }
    }

    /// What people usually come for.
    fn usual(self) -> Self {
        Self {
            class: "main-button",
            ..self
        }
    }

    /// What ends it, with a reason.
    fn ending(self) -> Self {
        Self {
            asks_why: true,
            class: "danger",
            ..self
        }
    }
}

/// What can be done now, the usual first, what ends it last.
fn possible(deployment: &Deployment, powers: Powers) -> Vec<Act> {
    let mut acts = Vec::new();
    let forward = deployment.progress.course == Course::Forward;
    if let Some((_, by_another)) = deployment.open_approval() {
        acts.extend(answers(deployment, by_another && powers.is_requester));
    } else if forward && matches!(deployment.step(), Some(Step::Bake(_))) {
        let consequence = format!(
            "Ends the bake now, and skips what its gates still want to see: {}.",
            after(deployment)
        );
        acts.push(Act::new("promote", "Promote", Right::Drive, consequence));
    }
    if deployment.paused.is_some() {
        let consequence = "Goes on from where it is.".to_owned();
        acts.push(Act::new("resume", "Resume", Right::Drive, consequence).usual());
    } else {
        let consequence =
            "Holds it where it is: users stay where they are, and its deadlines stand still.";
        let pause = Act::new("pause", "Pause", Right::Drive, consequence.to_owned());
        acts.push(pause);
    }
    if forward {
        let consequence = format!("{}. Ends as rolled back.", capital(&back(deployment)));
        let roll_back = Act::new("roll-back", "Roll back", Right::RollBack, consequence);
        let consequence = "Takes the same way back. Ends as aborted: the release is not blamed.";
        let abort = Act::new("abort", "Abort", Right::Drive, consequence.to_owned());
        acts.extend([roll_back.ending(), abort.ending()]);
    }
    acts
}

/// Yes and no to the gate that asks people.
fn answers(deployment: &Deployment, own: bool) -> [Act; 2] {
    let yes = format!(
        "Says yes to the plan as it is shown here: {}.",
        after(deployment)
    );
    let no = format!("Says no: {}.", back(deployment));
    let against =
        own.then_some("You asked for this deployment, so another person must approve it.");
    let approve = Act {
        against,
        ..Act::new("approve", "Approve", Right::Approve, yes)
    };
    let reject = Act::new("reject", "Reject", Right::Approve, no);
    [approve.usual(), reject.ending()]
}

/// What follows the present step.
fn after(deployment: &Deployment) -> String {
    let next = deployment.progress.steps.get(deployment.progress.at + 1);
    match next {
        Some(Step::Shift(split)) => {
            let share = split.weights.share(deployment.roles.next);
            format!("{share} % of users get {} next", deployment.launch.version)
        }
        Some(Step::Retire(_)) => match &deployment.stable {
            Some(stable) => format!("instances of {} go next", stable.version),
            None => "instances go next".to_owned(),
        },
        Some(step) => step.sentence(&deployment.versions()),
        None => "it is restored and ends".to_owned(),
    }
}

/// What the way back brings, and how quickly.
fn back(deployment: &Deployment) -> String {
    let Some(stable) = &deployment.stable else {
        return "nothing was live before, so what was started is stopped".to_owned();
    };
    let at = deployment.progress.at;
    let done = deployment.progress.steps.iter().take(at + 1);
    let gone = done
        .filter(|step| matches!(step, Step::Retire(_) | Step::Refresh(_)))
        .count()
        > 0;
    let (version, count) = (&stable.version, deployment.capacity().asked);
    match (gone, deployment.roles.are_apart()) {
        (false, true) => format!(
            "users are back on {version} within seconds, by one change of weights; its {count} instances are still there"
        ),
        (false, false) => format!(
            "the {count} instances of {version} are still there; what was started is stopped"
        ),
        (true, _) => format!(
            "instances of {version} have been stopped already, so new ones must start before users are back in full"
        ),
    }
}
