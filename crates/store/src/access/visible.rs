//! What a principal may see, as conditions of a query. Who belongs to whom is read from the references of
//! the catalogue: a service refers to its team, an environment to its type.

use domain::{
    access::{Scope, Visible},
    catalogue::Kind,
};

use crate::query::Select;

/// How a table leads to the team and to the environment type of its rows.
pub(crate) struct Ways {
    /// Ends with the name of a team.
    team: &'static str,
    /// Ends with the name of an environment type.
    environment_type: &'static str,
}

pub(crate) const DEPLOYMENTS: Ways = Ways {
    team: "exists (select 1 from catalogue_references
        where from_kind = 'service' and from_name = deployments.service
          and to_kind = 'team' and to_name =",
    environment_type: "exists (select 1 from catalogue_references
        where from_kind = 'environment' and from_name = deployments.environment
          and to_kind = 'environment-type' and to_name =",
};
pub(crate) const SERVICES: Ways = Ways {
    team: "exists (select 1 from catalogue_references as owned
        where owned.from_kind = 'service' and owned.from_name = catalogue.name
          and owned.to_kind = 'team' and owned.to_name =",
    environment_type: "",
};
const ENVIRONMENTS: Ways = Ways {
    team: "",
    environment_type: "exists (select 1 from catalogue_references as typed
        where typed.from_kind = 'environment' and typed.from_name = catalogue.name
          and typed.to_kind = 'environment-type' and typed.to_name =",
};
pub(crate) const SERVER_GROUPS: Ways = Ways {
    team: "exists (select 1 from catalogue_references as of_service
          join catalogue_references as owned
            on owned.from_kind = 'service' and owned.from_name = of_service.to_name
        where of_service.from_kind = 'server-group' and of_service.from_name = catalogue.name
          and of_service.to_kind = 'service'
          and owned.to_kind = 'team' and owned.to_name =",
    environment_type: "exists (select 1 from catalogue_references as typed
        where typed.from_kind = 'environment' and typed.from_name = catalogue.environment
          and typed.to_kind = 'environment-type' and typed.to_name =",
};
const TEAMS: Ways = Ways {
    team: "(catalogue.name =",
    environment_type: "",
};
const ENVIRONMENT_TYPES: Ways = Ways {
    team: "",
    environment_type: "(catalogue.name =",
};

impl Ways {
    /// Those of a kind of entries; `None` where everybody who sees anything sees all of them.
    pub(crate) fn of(kind: Kind) -> Option<&'static Self> {
        match kind {
            Kind::Prometheus | Kind::Account | Kind::Freeze => None,
            Kind::Team => Some(&TEAMS),
            Kind::EnvironmentType => Some(&ENVIRONMENT_TYPES),
            Kind::Service => Some(&SERVICES),
            Kind::Environment => Some(&ENVIRONMENTS),
            Kind::ServerGroup => Some(&SERVER_GROUPS),
        }
    }

    /// Whether a scope says nothing that counts here.
    fn is_free(&self, scope: &Scope) -> bool {
        let team = self.team.is_empty() || scope.team.is_none();
        team && (self.environment_type.is_empty() || scope.environment_type.is_none())
    }
}

impl Select {
    /// Adds that only what is visible is found; begins with `and`. What is nothing must not be asked for.
    pub(crate) fn visible(&mut self, ways: &'static Ways, visible: &Visible) -> &mut Self {
        if visible.scopes().any(|scope| ways.is_free(scope)) {
            return self;
        }
        self.push("and (");
        for (number, scope) in visible.scopes().enumerate() {
            self.push(if number == 0 { "(" } else { "or (" });
            let mut parts = 0;
            let halves = [
                (ways.team, scope.team.as_ref().map(|name| name.as_str())),
                (
                    ways.environment_type,
                    scope.environment_type.as_ref().map(|name| name.as_str()),
                ),
            ];
            for (way, name) in halves {
                let Some(name) = name.filter(|_| !way.is_empty()) else {
                    continue;
                };
                self.push(if parts == 0 { "" } else { "and" }).push(way);
                self.bind(name).push(")");
                parts += 1;
            }
            self.push(")");
        }
        self.push(")")
    }
}
