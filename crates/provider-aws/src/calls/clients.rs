//! The clients of one account in one region.
//!
//! Invariant: credentials come from the SDK's usual chain (environment, profile, web identity,
//! container, instance role) and are never stored; a role is assumed on top where the account names
//! one.

use std::{sync::Arc, time::Duration};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, retry::RetryConfig, sts::AssumeRoleProvider,
    timeout::TimeoutConfig,
};
use aws_credential_types::Credentials;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use domain::catalogue::Account;
use engine::ports::ProviderError;

use crate::{
    calls::{errors::invalid, rate_limiter::Calls},
    settings::Settings,
};

/// How long one call may take: far below an engine's lease.
const CALL: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);

/// The clients of one account. Cheap to share.
#[derive(Debug)]
pub struct Clients {
    /// The account as it was described.
    pub account: Account,
    /// What calls cost.
    pub calls: Calls,
    /// Auto Scaling.
    pub scaling: aws_sdk_autoscaling::Client,
    /// EC2.
    pub ec2: aws_sdk_ec2::Client,
    /// Application and Network Load Balancers.
    pub elb: aws_sdk_elasticloadbalancingv2::Client,
    /// Route 53.
    pub dns: aws_sdk_route53::Client,
    /// S3.
    pub s3: aws_sdk_s3::Client,
    /// Who am I.
    pub sts: aws_sdk_sts::Client,
    /// Metrics and alarms.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
}

impl Clients {
    /// Clients for `account`. No call is made yet.
    ///
    /// # Errors
    /// When the account is not on AWS, or names no region.
    pub async fn connect(
        account: &Account,
        settings: &Settings,
    ) -> Result<Arc<Self>, ProviderError> {
        let name = &account.name;
        if !account.is_aws() {
            return Err(invalid(format!("the account {name} is not on AWS")));
        }
        let region = account.region.clone();
        let region =
            region.ok_or_else(|| invalid(format!("the account {name} names no region")))?;
        let config = config(account, region, settings.credentials.clone()).await;
        let mut s3 = aws_sdk_s3::config::Builder::from(&config);
        // An emulator has no host name per bucket.
        s3.set_force_path_style(Some(account.endpoint_url.is_some()));
        Ok(Arc::new(Self {
            calls: Calls::new(settings.paced),
            scaling: aws_sdk_autoscaling::Client::new(&config),
            ec2: aws_sdk_ec2::Client::new(&config),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(&config),
            dns: aws_sdk_route53::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sts: aws_sdk_sts::Client::new(&config),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&config),
            account: account.clone(),
        }))
    }
}

/// The SDK's own retries are off: each call is counted and paced here, and the engine's next turn is
/// the retry, after it looked again.
async fn config(account: &Account, region: String, given: Option<Credentials>) -> SdkConfig {
    let tls = Provider::Rustls(CryptoMode::Ring);
    let http = Builder::new().tls_provider(tls).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_timeout(CALL)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new(region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(endpoint) = &account.endpoint_url {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(credentials) = given {
        loader = loader.credentials_provider(credentials);
    }
    let own = loader.load().await;
    let Some(role) = &account.role_arn else {
        return own;
    };
    let mut assumed = AssumeRoleProvider::builder(role)
        .session_name("pointsman")
        .region(Region::new(region))
        .configure(&own);
    if let Some(external_id) = &account.external_id {
        assumed = assumed.external_id(external_id);
    }
    let credentials = aws_sdk_sts::config::SharedCredentialsProvider::new(assumed.build().await);
    own.into_builder().credentials_provider(credentials).build()
}
