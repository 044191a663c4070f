//! What stands in an account before Pointsman comes: networks, images, load balancers, groups.

use std::sync::Arc;

use aws_sdk_autoscaling::types::LaunchTemplateSpecification;
use aws_sdk_ec2::types::RequestLaunchTemplateData;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, ForwardActionConfig, ProtocolEnum, TargetGroupTuple, TargetTypeEnum,
};
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
};
use domain::{catalogue::Account, release::ImageId};
use provider_aws::Clients;

use crate::emulator::{Emulator, settings};

/// An account with networks.
pub struct Fixture {
    /// Clients of its own.
    pub clients: Arc<Clients>,
    /// One subnet per zone.
    pub subnets: Vec<String>,
    vpc: String,
}

/// An Auto Scaling group that somebody made.
pub struct Made<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its image.
    pub image: &'a ImageId,
    /// Its subnets.
    pub subnets: &'a [String],
    /// Where it registers its instances.
    pub target_groups: &'a [String],
    /// Whom it kills first.
    pub policies: &'a [&'a str],
    /// Min, desired, max.
    pub sizes: [u32; 3],
}

impl Fixture {
    /// The usual account, with so many zones.
    pub async fn new(emulator: &Emulator, zones: usize) -> Self {
        Self::of(&emulator.account(), zones).await
    }

    /// An account with so many zones.
    pub async fn of(account: &Account, zones: usize) -> Self {
        let clients = Clients::connect(account, &settings()).await.unwrap();
        let answer = clients.ec2.describe_subnets().send().await.unwrap();
        let mut found: Vec<_> = answer
            .subnets()
            .iter()
            .map(|it| {
                let zone = it.availability_zone().unwrap().to_owned();
                (
                    zone,
                    it.subnet_id().unwrap().to_owned(),
                    it.vpc_id().unwrap().to_owned(),
                )
            })
            .collect();
        found.sort();
        found.dedup_by(|one, next| one.0 == next.0);
        assert!(found.len() >= zones, "there are {} zones", found.len());
        let vpc = found[0].2.clone();
        let subnets = found.into_iter().take(zones).map(|it| it.1).collect();
        Self {
            clients,
            subnets,
            vpc,
        }
    }

    /// An image.
    pub async fn image(&self, name: &str) -> ImageId {
        let request = self
            .clients
            .ec2
            .register_image()
            .name(name)
            .architecture("x86_64".into());
        let answer = request.root_device_name("/dev/xvda").send().await.unwrap();
        answer.image_id().unwrap().parse().unwrap()
    }

    /// A target group for instances.
    pub async fn target_group(&self, name: &str) -> String {
        let request = self
            .clients
            .elb
            .create_target_group()
            .name(name)
            .vpc_id(&self.vpc);
        let request = request.protocol(ProtocolEnum::Http).port(8080);
        let answer = request
            .target_type(TargetTypeEnum::Instance)
            .send()
            .await
            .unwrap();
        answer.target_groups()[0]
            .target_group_arn()
            .unwrap()
            .to_owned()
    }

    /// A load balancer whose one listener forwards to these target groups with these weights.
    pub async fn listener(&self, name: &str, to: &[(&str, i32)]) -> String {
        let elb = &self.clients.elb;
        let request = elb.create_load_balancer().name(name);
        let answer = request
            .set_subnets(Some(self.subnets.clone()))
            .send()
            .await
            .unwrap();
        let balancer = answer.load_balancers()[0]
            .load_balancer_arn()
            .unwrap()
            .to_owned();
        let tuples = to.iter().map(|(arn, weight)| {
            TargetGroupTuple::builder()
                .target_group_arn(*arn)
                .weight(*weight)
                .build()
        });
        let config = ForwardActionConfig::builder().set_target_groups(Some(tuples.collect()));
        let action = Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .forward_config(config.build());
        let request = elb.create_listener().load_balancer_arn(balancer).port(80);
        let request = request
            .protocol(ProtocolEnum::Http)
            .default_actions(action.build());
        let answer = request.send().await.unwrap();
        answer.listeners()[0].listener_arn().unwrap().to_owned()
    }

    /// A hosted zone with two weighted records of one name; their `SetIdentifier`s are `blue` and
    /// `green`.
    pub async fn records(&self, domain: &str, name: &str, weights: [i64; 2]) -> String {
        let dns = &self.clients.dns;
        let request = dns
            .create_hosted_zone()
            .name(domain)
            .caller_reference(domain);
        let answer = request.send().await.unwrap();
        let zone = answer
            .hosted_zone()
            .unwrap()
            .id()
            .trim_start_matches("/hostedzone/");
        let records = ["blue", "green"]
            .into_iter()
            .zip(weights)
            .map(|(identifier, weight)| {
                let address = ResourceRecord::builder()
                    .value("192.0.2.1")
                    .build()
                    .unwrap();
                let record = ResourceRecordSet::builder()
                    .name(name)
                    .r#type(RrType::A)
                    .ttl(30);
                let record = record
                    .set_identifier(identifier)
                    .weight(weight)
                    .resource_records(address);
                let change = Change::builder().action(ChangeAction::Create);
                change
                    .resource_record_set(record.build().unwrap())
                    .build()
                    .unwrap()
            });
        let batch = ChangeBatch::builder()
            .set_changes(Some(records.collect()))
            .build()
            .unwrap();
        let request = dns
            .change_resource_record_sets()
            .hosted_zone_id(zone)
            .change_batch(batch);
        request.send().await.unwrap();
        zone.to_owned()
    }

    /// The weights of the two records.
    pub async fn weights(&self, zone: &str) -> [i64; 2] {
        let request = self
            .clients
            .dns
            .list_resource_record_sets()
            .hosted_zone_id(zone);
        let answer = request.send().await.unwrap();
        ["blue", "green"].map(|identifier| {
            let mut records = answer.resource_record_sets().iter();
            let record = records
                .find(|it| it.set_identifier() == Some(identifier))
                .unwrap();
            record.weight().unwrap()
        })
    }

    /// A group with a launch template of its own, filled as fast as the emulator's clock lets it.
    pub async fn group(&self, made: &Made<'_>) {
        let data = RequestLaunchTemplateData::builder()
            .image_id(made.image.as_str())
            .instance_type("t3.small".into())
            .build();
        let request = self
            .clients
            .ec2
            .create_launch_template()
            .launch_template_name(made.name);
        let answer = request.launch_template_data(data).send().await.unwrap();
        let template = answer
            .launch_template()
            .unwrap()
            .launch_template_id()
            .unwrap()
            .to_owned();
        let specification = LaunchTemplateSpecification::builder()
            .launch_template_id(template)
            .version("1")
            .build();
        let [min, desired, max] = made.sizes.map(|size| i32::try_from(size).unwrap());
        let policies = made.policies.iter().map(|it| (*it).to_owned()).collect();
        let mut request = self
            .clients
            .scaling
            .create_auto_scaling_group()
            .auto_scaling_group_name(made.name)
            .launch_template(specification)
            .min_size(min)
            .desired_capacity(desired)
            .max_size(max)
            .vpc_zone_identifier(made.subnets.join(","))
            .set_termination_policies(Some(policies));
        if !made.target_groups.is_empty() {
            request = request
                .set_target_group_arns(Some(made.target_groups.to_vec()))
                .health_check_type("ELB")
                .health_check_grace_period(600);
        }
        request.send().await.unwrap();
    }
}
