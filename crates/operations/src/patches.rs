//! Patching: which server groups would go to which machine image, with the release that they run.

use std::collections::BTreeMap;

use domain::{
    access::{Resource, Right},
    catalogue::{Kind, Service},
    effect::Target,
    governance::Wish,
    image::{self, NotPatched, PatchTo, Ranked, Running, patch_step},
    names::{AccountName, EnvironmentName, Place, ServiceName, Version},
    plan::Strategy,
    preview::Preview,
    release::ImageId,
};
use futures_util::{StreamExt, stream};

use super::{Desk, Error, Operations, deployments::usual_strategy, desk::Permit, images::RunsOn};

/// Deployments that are rehearsed at once.
const AT_ONCE: usize = 8;

/// Which server groups, and which image.
#[derive(Debug, Clone)]
pub struct PatchWish {
    /// Where they shall go.
    pub to: PatchTo,
    /// Only in this environment.
    pub environment: Option<EnvironmentName>,
    /// Only of this service.
    pub service: Option<ServiceName>,
}

/// One server group in the scope of a patch.
#[derive(Debug, Clone)]
pub struct PatchGroup {
    /// Which.
    pub place: Place,
    /// What is live there, and stays live.
    pub version: Option<Version>,
    /// What it runs on.
    pub from: Option<ImageId>,
    /// Name of that image.
    pub from_name: Option<String>,
    /// For how many days a newer stable image of its kind has been out.
    pub days_behind: Option<u64>,
    /// What becomes of it.
    pub verdict: PatchVerdict,
}

/// What becomes of a server group.
#[derive(Debug, Clone)]
pub enum PatchVerdict {
    /// It would be patched.
    Eligible(Box<Eligible>),
    /// It would not be, for each of these reasons.
    Ignored(Vec<String>),
}

/// How a server group would be patched.
#[derive(Debug, Clone)]
pub struct Eligible {
    /// The target.
    pub to: ImageId,
    /// Name of the target.
    pub to_name: String,
    /// How.
    pub strategy: Strategy,
    /// What the deployment would do.
    pub preview: Preview,
    /// What a person should know first.
    pub warning: Option<String>,
}

/// What is known of an account for a patch: its images, and what its groups run on.
struct AccountFacts {
    images: Vec<Ranked>,
    standings: BTreeMap<Place, Result<Running, String>>,
}

impl Desk {
    /// Says for each server group in scope whether and how it would be patched; changes nothing.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when too many groups are in scope; [`Error::Unknown`] service or
    /// environment.
    pub async fn plan_patch(&self, wish: &PatchWish) -> Result<Vec<PatchGroup>, Error> {
        let seeing = self.may_see(Right::Operate).await?;
        let (service, environment) = (wish.service.as_ref(), wish.environment.as_ref());
        if let Some(service) = service {
            self.entry(Kind::Service, service.as_str()).await?;
        }
        if let Some(environment) = environment {
            self.entry(Kind::Environment, environment.as_str()).await?;
        }
        let targets = seeing
            .targets(
                seeing.visible(),
                service.map(ServiceName::as_str),
                environment.map(EnvironmentName::as_str),
            )
            .await?;
        let known = seeing.known_images(&targets).await?;
        let known = &known;
        let groups = stream::iter(targets)
            .map(|target| async move {
                let place = Resource::Place(&target.place);
                let permit = self.may(Right::Operate, place).await?;
                permit.plan_group(wish, target, known).await
            })
            .buffered(AT_ONCE);
        let groups: Vec<Result<PatchGroup, Error>> = groups.collect().await;
        groups.into_iter().collect()
    }
}

impl Operations {
    /// What is known of each account that these groups are in, or why it is not.
    async fn known_images(
        &self,
        targets: &[Target],
    ) -> Result<BTreeMap<AccountName, Result<AccountFacts, String>>, Error> {
        let mut by_account: BTreeMap<AccountName, Vec<Target>> = BTreeMap::new();
        for target in targets {
            if let Some(account) = &target.account {
                let targets = by_account.entry(account.name.clone()).or_default();
                targets.push(target.clone());
            }
        }
        let mut all = BTreeMap::new();
        for (name, targets) in by_account {
            let known = self.known_of(targets).await;
            all.insert(name, known.map_err(|error| error.to_string()));
        }
        Ok(all)
    }

    async fn known_of(&self, targets: Vec<Target>) -> Result<AccountFacts, Error> {
        let account = targets.first().and_then(|target| target.account.clone());
        let account = account.ok_or(Error::Internal {
            doing: "reading an account of the catalogue",
        })?;
        let listed = self.listed_images(&account).await?;
        let standings = self.standings(&account, targets).await?;
        let standings = standings
            .into_iter()
            .map(|RunsOn { place, running }| (place, running));
        Ok(AccountFacts {
            images: image::rank(&account.name, listed.images, self.now()),
            standings: standings.collect(),
        })
    }
}

impl Permit {
    async fn plan_group(
        &self,
        wish: &PatchWish,
        target: Target,
        known: &BTreeMap<AccountName, Result<AccountFacts, String>>,
    ) -> Result<PatchGroup, Error> {
        let place = target.place.clone();
        let live = self.store().live(&place).await?;
        let mut group = PatchGroup {
            place: place.clone(),
            version: live.map(|live| live.launch.version),
            from: None,
            from_name: None,
            days_behind: None,
            verdict: PatchVerdict::Ignored(Vec::new()),
        };
        let step = match step_of(&mut group, &wish.to, &target, known) {
            Ok(step) => step,
            Err(why) => {
                group.verdict = PatchVerdict::Ignored(vec![why]);
                return Ok(group);
            }
        };
        let strategy = self.patch_strategy(&place).await?;
        let wish = Wish {
            place,
            version: step.version,
            strategy: strategy.clone(),
            force: false,
            image: Some(step.to.clone()),
        };
        group.verdict = match self.rehearse(wish).await {
            Ok(rehearsal) => match rehearsal.planned {
                Some(planned) => PatchVerdict::Eligible(Box::new(Eligible {
                    to: step.to,
                    to_name: step.to_name,
                    strategy,
                    preview: planned.preview,
                    warning: step.warning,
                })),
                None => {
                    let objections = rehearsal.objections.iter();
                    PatchVerdict::Ignored(objections.map(ToString::to_string).collect())
                }
            },
            Err(error @ Error::Provider(_)) => PatchVerdict::Ignored(vec![error.to_string()]),
            Err(error) => return Err(error),
        };
        Ok(group)
    }

    /// The gentlest strategy that the service may be deployed with.
    async fn patch_strategy(&self, place: &Place) -> Result<Strategy, Error> {
        let entry = self.entry(Kind::Service, place.service.as_str()).await?;
        let service: Service = serde_json::from_value(entry.body).map_err(|_| Error::Internal {
            doing: "reading a service of the catalogue",
        })?;
        Ok(usual_strategy(&service))
    }
}

/// A step that the images allow.
struct Step {
    version: Version,
    to: ImageId,
    to_name: String,
    warning: Option<String>,
}

/// The step of one group; fills in what is known of the image that it runs on.
fn step_of(
    group: &mut PatchGroup,
    to: &PatchTo,
    target: &Target,
    known: &BTreeMap<AccountName, Result<AccountFacts, String>>,
) -> Result<Step, String> {
    let home = target.group.home();
    let Some(account) = home.account().filter(|_| home.abilities().has_images) else {
        return Err("it is not on AWS".to_owned());
    };
    let version = group.version.clone();
    let version = version.ok_or_else(|| "nothing was deployed there yet".to_owned())?;
    let known = known
        .get(account)
        .ok_or_else(|| format!("its account {account} is not in the catalogue"))?
        .as_ref()
        .map_err(Clone::clone)?;
    let running = known
        .standings
        .get(&group.place)
        .ok_or_else(|| "nobody can tell which image it runs on".to_owned())?
        .as_ref()
        .map_err(Clone::clone)?;
    let from = running.single().ok_or_else(|| image_trouble(running))?;
    group.from = Some(from.clone());
    if let Some(ranked) = known.images.iter().find(|it| it.image.id == *from) {
        group.from_name = Some(ranked.image.name.clone());
        group.days_behind = Some(ranked.days_behind);
    }
    let step = patch_step(account, &known.images, from, to);
    let step = step.map_err(|why: NotPatched| why.to_string())?;
    let name = &step.to.image.name;
    Ok(Step {
        version,
        to: step.to.image.id.clone(),
        to_name: name.clone(),
        warning: step
            .is_backwards()
            .then(|| format!("{name} is older than what runs")),
    })
}

/// Why there is not one image that a group runs on.
fn image_trouble(running: &Running) -> String {
    let ids: Vec<&str> = running.images.iter().map(ImageId::as_str).collect();
    match (ids.len(), running.unknown) {
        (0, _) => "nobody can tell which image it runs on".to_owned(),
        (_, true) => "nobody can tell which image some of its instances run on".to_owned(),
        (_, false) => format!("its instances run on different images: {}", ids.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_and_unknown_images_are_told_apart() {
        let id = |text: &str| text.parse::<ImageId>().expect("an id");
        let two = [id("ami-00000001"), id("ami-00000002")];
        for (images, unknown, expected) in [
            (&two[..0], false, "nobody can tell which image it runs on"),
            (&two[..0], true, "nobody can tell which image it runs on"),
            (
                &two[..1],
                true,
                "nobody can tell which image some of its instances run on",
            ),
            (
                &two[..],
                false,
                "its instances run on different images: ami-00000001, ami-00000002",
            ),
        ] {
            let running = Running {
                images: images.iter().cloned().collect(),
                unknown,
            };
            assert_eq!(running.single(), None);
            assert_eq!(image_trouble(&running), expected);
        }
    }
}
