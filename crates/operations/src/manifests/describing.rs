//! Who may describe what: the right of the kind, on the entry as it is stored and as it will be.

use std::collections::BTreeMap;

use domain::{
    access::{Facts, Resource, Right, Target},
    catalogue::{Environment, Kind, Manifest, Service},
    names::Place,
};

use crate::{
    Desk, Error,
    catalogue::{Named, unknown},
    desk::{Permit, Seeing},
};

/// What services and environments belong to.
type Targets = BTreeMap<(Kind, String), Target>;

impl Desk {
    /// Checks that the principal may describe all of these: each as it is stored, if it is, and as it is
    /// described. So nobody gives away, or takes, what they may not describe.
    pub(super) async fn may_describe(&self, manifests: &[&Manifest]) -> Result<Permit, Error> {
        let seeing = self.may_see(Right::View).await?;
        let stored = seeing.stored_targets(manifests).await?;
        let described: Targets = manifests.iter().filter_map(|it| described(it)).collect();
        let mut permit = None;
        for manifest in manifests {
            let (kind, name) = (manifest.kind(), manifest.name());
            let named = Named::of(kind, &name).ok_or_else(|| unknown(kind, &name))?;
            for targets in [&stored, &described] {
                let Some(target) = target_of(&named, targets, &stored) else {
                    continue;
                };
                let right = kind.words().right;
                let facts = Facts {
                    target,
                    ..seeing.facts().clone()
                };
                permit = Some(self.decided(right, named.resource(), facts)?);
            }
        }
        match permit {
            Some(permit) => Ok(permit),
            None => self.may(Right::View, Resource::Everything).await,
        }
    }
}

impl Seeing {
    /// What the services and environments that are named belong to now.
    async fn stored_targets(&self, manifests: &[&Manifest]) -> Result<Targets, Error> {
        let mut names = [(Kind::Service, Vec::new()), (Kind::Environment, Vec::new())];
        for manifest in manifests {
            match manifest {
                Manifest::Service(it) => names[0].1.push(it.name.to_string()),
                Manifest::Environment(it) => names[1].1.push(it.name.to_string()),
                Manifest::ServerGroup(it) => {
                    let Place {
                        service,
                        environment,
                    } = it.place();
                    names[0].1.push(service.to_string());
                    names[1].1.push(environment.to_string());
                }
                _ => {}
            }
        }
        let mut targets = Targets::new();
        for (kind, mut names) in names {
            names.sort();
            names.dedup();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            for entry in self.store().entries_named(kind, &names).await? {
                let target = match kind {
                    Kind::Service => of_service(&parsed(entry.body)?),
                    _ => of_environment(&parsed(entry.body)?),
                };
                targets.insert((kind, entry.name), target);
            }
        }
        Ok(targets)
    }
}

fn parsed<T: serde::de::DeserializeOwned>(body: serde_json::Value) -> Result<T, Error> {
    serde_json::from_value(body).map_err(|_| Error::Internal {
        doing: "reading an entry of the catalogue",
    })
}

fn of_service(service: &Service) -> Target {
    Target {
        team: Some(service.owner.clone()),
        environment_type: None,
    }
}

fn of_environment(environment: &Environment) -> Target {
    Target {
        team: environment.owner.clone(),
        environment_type: Some(environment.environment_type.clone()),
    }
}

/// What a manifest says that its entry belongs to.
fn described(manifest: &Manifest) -> Option<((Kind, String), Target)> {
    let target = match manifest {
        Manifest::Service(service) => of_service(service),
        Manifest::Environment(environment) => of_environment(environment),
        _ => return None,
    };
    Some(((manifest.kind(), manifest.name()), target))
}

/// What an entry belongs to by `targets`; a server group belongs to the team of its service, in the type of
/// its environment, each of which may be `stored` only. `None` when these say nothing.
fn target_of(named: &Named, targets: &Targets, stored: &Targets) -> Option<Target> {
    let find = |kind, name: &str| targets.get(&(kind, name.to_owned()));
    match named {
        Named::Shared(..) => Some(Target::default()),
        Named::Team(name) => Some(Target {
            team: Some(name.clone()),
            environment_type: None,
        }),
        Named::EnvironmentType(name) => Some(Target {
            team: None,
            environment_type: Some(name.clone()),
        }),
        Named::Service(name) => find(Kind::Service, name.as_str()).cloned(),
        Named::Environment(name) => find(Kind::Environment, name.as_str()).cloned(),
        Named::Place(place) => {
            let both = |kind, name: &str| {
                let stored = || stored.get(&(kind, name.to_owned()));
                find(kind, name)
                    .or_else(stored)
                    .cloned()
                    .unwrap_or_default()
            };
            Some(Target {
                team: both(Kind::Service, place.service.as_str()).team,
                environment_type: both(Kind::Environment, place.environment.as_str())
                    .environment_type,
            })
        }
    }
}
