//! Deployments in the order in which they were asked for.

use domain::{
    access::Right,
    deployment::{Deployment, Outcome},
    names::{DeploymentId, EnvironmentName, ServiceName},
};
use store::deployments::Filter;

use crate::{Desk, Error, Page};

/// Which deployments are listed.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Only of this service.
    pub service: Option<ServiceName>,
    /// Only in this environment.
    pub environment: Option<EnvironmentName>,
    /// Only those that have not ended.
    pub unfinished: bool,
    /// Only those that ended in this way.
    pub outcome: Option<Outcome>,
    /// Only those that this person asked for.
    pub requested_by: Option<String>,
}

impl Desk {
    /// Deployments, newest first, older than `before`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn deployments(
        &self,
        listed: &Listed,
        before: Option<&DeploymentId>,
        limit: u32,
    ) -> Result<Page<Deployment>, Error> {
        let seeing = self.may_see(Right::View).await?;
        let filter = Filter {
            service: listed.service.clone(),
            environment: listed.environment.clone(),
            unfinished: listed.unfinished,
            outcome: listed.outcome,
            requested_by: listed.requested_by.clone(),
        };
        let fetch = Page::<Deployment>::fetch(limit);
        let visible = seeing.visible();
        let deployments = seeing.store().deployments(&filter, visible, before, fetch);
        let deployments = deployments.await?;
        let deployments = seeing.all_shown(deployments).await?;
        Ok(Page::of(deployments, limit, |deployment| {
            deployment.id.to_string()
        }))
    }
}
