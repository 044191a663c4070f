//! Where a deployment on AWS takes place, and what people should know of that place before the click.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{AwsTraffic, Stickiness},
    deployment::Deployment,
    names::AccountName,
    observation::{Observation, Slice},
    plan::{Step, Strategy},
    release::{Digest, ImageId},
    time::human_ms,
};

/// Where a deployment on AWS takes place, and what is started there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsPreview {
    /// The account.
    pub account: AccountName,
    /// Its region, where the account is in the catalogue.
    pub region: Option<String>,
    /// The Auto Scaling group of each slice.
    pub groups: BTreeMap<Slice, String>,
    /// SHA-256 of the package; `None` for a machine image that holds everything.
    pub digest: Option<Digest>,
    /// The machine image; `None` for a package on whatever image the group's launch template has.
    pub image: Option<ImageId>,
    /// What is different there, one sentence each.
    pub notes: Vec<String>,
}

/// So many targets a target group takes, and so many an Application Load Balancer, unless AWS gave
/// more ("Quotas for your Application Load Balancers", read 2026-11).
const TARGETS_MAX: u32 = 1000;

/// What there is to say of a deployment on AWS with at most `peak` instances at once; `None` of one on
/// this machine.
pub(super) fn of(deployment: &Deployment, seen: &Observation, peak: u32) -> Option<AwsPreview> {
    let target = &deployment.target;
    let aws = target.group.aws.as_ref()?;
    let slices = [Slice::Blue, Slice::Green].into_iter();
    let groups = slices
        .take(usize::from(target.group.slices))
        .map(|slice| (slice, aws.group_name(&target.place, slice)));
    let content = &deployment.launch.content;
    let made_on = aws.create.as_ref().map(|create| &create.image);
    Some(AwsPreview {
        account: aws.account.clone(),
        region: target.account.as_ref().and_then(|it| it.region.clone()),
        groups: groups.collect(),
        digest: content.digest().cloned(),
        image: content.image().or(made_on).cloned(),
        notes: notes(deployment, &aws.traffic)
            .into_iter()
            .chain(warnings(deployment, seen, peak))
            .collect(),
    })
}

fn crowd(peak: u32) -> Option<String> {
    (peak > TARGETS_MAX).then(|| {
        format!(
            "up to {peak} instances run at once; a target group takes {TARGETS_MAX} targets, and so \
             does a load balancer, unless AWS gave more"
        )
    })
}

/// What may keep instances from being started, where the deployment starts some.
fn warnings(deployment: &Deployment, seen: &Observation, peak: u32) -> Vec<String> {
    if deployment.strategy == Strategy::Switch {
        return Vec::new();
    }
    let warnings = seen.slices.values().flat_map(|slice| &slice.warnings);
    warnings.cloned().chain(crowd(peak)).collect()
}

fn notes(deployment: &Deployment, traffic: &AwsTraffic) -> Vec<String> {
    let shifts = deployment.plan.steps.iter().filter_map(|step| match step {
        Step::Shift(split) => Some(&split.weights),
        _ => None,
    });
    let shares: Vec<usize> = shifts.map(|weights| weights.served().count()).collect();
    let (moves, splits) = (!shares.is_empty(), shares.iter().any(|sides| *sides > 1));
    let refreshes = matches!(deployment.strategy, Strategy::InstanceRefresh(_));
    if refreshes && deployment.stable.is_none() {
        return vec![
            "nothing runs yet that AWS could refresh: Pointsman starts the first instances itself"
                .to_owned(),
        ];
    }
    if deployment
        .plan
        .steps
        .iter()
        .any(|step| matches!(step, Step::Refresh(_)))
    {
        return vec![
            "AWS replaces the instances by its own rules: it cannot be paused, and goes on while \
             Pointsman is down"
                .to_owned(),
        ];
    }
    match (traffic, &deployment.target.group.stickiness) {
        (AwsTraffic::Dns { .. }, _) if moves => vec![
            "the shares are of DNS answers, not of requests".to_owned(),
            "a change of shares takes until Route 53 reports INSYNC, plus the TTL of the records"
                .to_owned(),
        ],
        (AwsTraffic::Listener { .. }, Some(Stickiness::Cookie { seconds })) if splits => {
            let time = human_ms(u64::from(*seconds) * 1000);
            vec![format!(
                "users who are on a side already stay there by the cookie AWSALBTG, for {time}"
            )]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::ServerGroup,
        deployment::Request,
        effect::Target,
        names::DeploymentId,
        observation::{Observation, Sizes, SliceSeen},
        plan::{Strategy, two_slices::TwoSlices},
        release::{Content, Launch, LaunchId},
        time::UnixMs,
    };

    fn launch(version: &str, content: Content) -> Launch {
        Launch {
            id: LaunchId(version.to_owned()),
            version: version.parse().unwrap(),
            content,
        }
    }

    /// Blue serves v1; v2 is deployed to a group with these settings.
    fn preview_of(settings: &str, stages: &str, content: Content) -> Option<AwsPreview> {
        preview_with(settings, stages, content, &[])
    }

    /// The same, with warnings about blue.
    fn preview_with(
        settings: &str,
        stages: &str,
        content: Content,
        warnings: &[&str],
    ) -> Option<AwsPreview> {
        let text = format!(r#"{{"service": "cart", "environment": "live", "size": 2{settings}}}"#);
        let group: ServerGroup = serde_json::from_str(&text).unwrap();
        let stages: crate::plan::two_slices::Stages = stages.parse().unwrap();
        let strategy = Strategy::Canary(TwoSlices {
            stages: stages.0,
            ..TwoSlices::default()
        });
        let stable = launch("v1", Content::package(Digest::from_bytes([1; 32])));
        let seen = SliceSeen {
            sizes: Sizes {
                min: 2,
                desired: 2,
                max: 2,
            },
            launches: Some(stable.clone()),
            warnings: warnings.iter().map(ToString::to_string).collect(),
            ..SliceSeen::default()
        };
        let seen = Observation {
            slices: [(Slice::Blue, seen)].into(),
            weights: [(Slice::Blue, 100)].into(),
            ..Observation::default()
        };
        let request = Request {
            id: DeploymentId("d1".to_owned()),
            target: Target::local(group.place(), group),
            strategy,
            launch: launch("v2", content),
            stable: Some(stable),
            requested_by: "ann".to_owned(),
            requested_at: UnixMs(0),
        };
        of(&Deployment::new(request, &seen), &seen, TARGETS_MAX)
    }

    fn image() -> ImageId {
        "ami-0123456789abcdef0".parse().unwrap()
    }

    const DNS: &str = r#", "slices": 2, "aws": {"account": "eu", "traffic": {"by": "dns",
        "zone": "Z1", "name": "cart.example.com", "identifiers": ["blue", "green"]}}"#;
    const STICKY: &str = r#", "slices": 2, "stickiness": {"by": "cookie", "seconds": 3600},
        "aws": {"account": "eu", "groups": ["one", "two"],
                "traffic": {"by": "listener", "listener": "arn"}}"#;

    #[test]
    fn says_what_is_different_there() {
        let notes = |settings: &str, stages: &str| {
            let content = Content::Image { image: image() };
            preview_of(settings, stages, content).unwrap().notes
        };
        let dns = [
            "the shares are of DNS answers, not of requests",
            "a change of shares takes until Route 53 reports INSYNC, plus the TTL of the records",
        ];
        assert_eq!(notes(DNS, "AllAtOnce"), dns);
        let cookie =
            "users who are on a side already stay there by the cookie AWSALBTG, for 60 min";
        assert_eq!(notes(STICKY, "10,100"), [cookie]);
        let nothing: [&str; 0] = [];
        assert_eq!(notes(STICKY, "AllAtOnce"), nothing);
        let content = Content::Image { image: image() };
        let scarce = ["2 of 64 vCPUs are left"];
        let warned = preview_with(STICKY, "AllAtOnce", content, &scarce).unwrap();
        assert_eq!(warned.notes, scarce);
        let free = STICKY.replace(r#""stickiness": {"by": "cookie", "seconds": 3600},"#, "");
        assert_eq!(notes(&free, "10,100"), nothing);
    }

    #[test]
    fn says_that_load_balancers_have_bounds() {
        assert_eq!(crowd(TARGETS_MAX), None);
        let told = crowd(TARGETS_MAX + 1).unwrap();
        assert!(
            told.starts_with("up to 1001 instances run at once"),
            "{told}"
        );
    }

    #[test]
    fn says_where_and_what() {
        let package = Content::package(Digest::from_bytes([2; 32]));
        assert_eq!(preview_of("", "AllAtOnce", package.clone()), None);
        let found = preview_of(STICKY, "AllAtOnce", package.clone()).unwrap();
        let names: Vec<&str> = found.groups.values().map(String::as_str).collect();
        assert_eq!((names, found.image), (vec!["one", "two"], None));
        assert_eq!(found.digest, Some(Digest::from_bytes([2; 32])));
        let patched = preview_of(DNS, "AllAtOnce", package.on(image())).unwrap();
        assert_eq!(patched.groups[&Slice::Green], "cart-live-green");
        assert_eq!(patched.image, Some(image()));
    }
}
