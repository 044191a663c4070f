//! Deployments as they are shown: a wait that nobody can have looked at since is not told as if it
//! were true now.

use domain::{deployment::Deployment, reason::Waiting};

use crate::{Error, Operations};

/// A driven deployment is attended to every few seconds; one that was not for so long, in
/// milliseconds, has no server that drives it.
const UNATTENDED_MS: i64 = 12_000;

impl Operations {
    /// A deployment as it is shown.
    pub(crate) async fn shown(&self, deployment: Deployment) -> Result<Deployment, Error> {
        let mut shown = self.all_shown(vec![deployment.clone()]).await?;
        Ok(shown.pop().unwrap_or(deployment))
    }

    /// Deployments as they are shown, in the same order.
    pub(crate) async fn all_shown(
        &self,
        mut deployments: Vec<Deployment>,
    ) -> Result<Vec<Deployment>, Error> {
        if deployments.iter().all(|it| it.ending.is_some()) {
            return Ok(deployments);
        }
        let unfinished = |it: &&mut Deployment| it.ending.is_none();
        if let Some(why) = self.store().write_trouble() {
            for deployment in deployments.iter_mut().filter(unfinished) {
                deployment.waiting = Some(Waiting::Database { why: why.clone() });
            }
            return Ok(deployments);
        }
        let before = domain::time::UnixMs(self.now().0 - UNATTENDED_MS);
        let unattended = self.store().unattended(before).await?;
        for deployment in deployments.iter_mut().filter(unfinished) {
            if let Some(since) = unattended.get(&deployment.id) {
                deployment.waiting = Some(Waiting::Unattended { since: *since });
            }
        }
        Ok(deployments)
    }
}
