//! AWS, as operations know clouds. Inside of these methods, `self.images(..)` and the like are the methods
//! of [`Aws`] itself, whose futures are boxed here.

use domain::{
    catalogue::{Account, Adopted},
    checkup::Check,
    effect::Target,
    gate::{Gate, Said},
    image::{ImageState, Listed, Running},
    names::{DeploymentId, Place},
    release::{Digest, ImageId},
    slice::Slice,
};
use operations::cloud::{Answered, Calls, Cloud, not_offered_for};
use serde_json::Value;

use crate::provider::Aws;

impl Cloud for Aws {
    fn calls(&self, target: &Target, deployment: &DeploymentId) -> Option<Calls> {
        let account = target.account.as_ref()?;
        let spent = self.spent(&account.name, &target.place, deployment)?;
        Some(Calls {
            changes: spent.changes,
            looks: spent.looks,
        })
    }

    fn ask<'a>(&'a self, target: &'a Target, slice: Slice, gate: &'a Gate) -> Answered<'a, Said> {
        Box::pin(async move {
            match gate {
                Gate::CloudWatch(gate) => Ok(self.cloudwatch(target, slice, gate).await),
                _ => Err(not_offered_for(target, "answers to such gates are")),
            }
        })
    }

    fn checkup<'a>(
        &'a self,
        account: &'a Account,
        targets: &'a [Target],
    ) -> Answered<'a, Vec<Check>> {
        Box::pin(async move { Ok(self.checkup(account, targets).await) })
    }

    fn policy<'a>(&'a self, account: &'a Account) -> Answered<'a, Value> {
        Box::pin(async move { Ok(Aws::policy(account)) })
    }

    fn import<'a>(
        &'a self,
        account: &'a Account,
        place: &'a Place,
        groups: &'a [String],
    ) -> Answered<'a, Adopted> {
        Box::pin(self.import(account, place, groups))
    }

    fn bring<'a>(&'a self, account: &'a Account, digest: &'a Digest) -> Answered<'a, ()> {
        Box::pin(self.bring(account, digest))
    }

    fn images<'a>(&'a self, account: &'a Account) -> Answered<'a, Listed> {
        Box::pin(self.images(account))
    }

    fn image_state<'a>(
        &'a self,
        account: &'a Account,
        image: &'a ImageId,
    ) -> Answered<'a, ImageState> {
        Box::pin(self.image_state(account, image))
    }

    fn running_images<'a>(
        &'a self,
        account: &'a Account,
        slices: &'a [(Target, Slice)],
    ) -> Answered<'a, Vec<Running>> {
        Box::pin(self.running_images(account, slices))
    }
}
