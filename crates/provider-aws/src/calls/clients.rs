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
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use domain::catalogue::Account;
use engine::ports::ProviderError;

use crate::{
    calls::{
        call::Call,
        errors::{Failed, invalid},
        rate_limiter::RateLimiter,
    },
    settings::Settings,
};

/// How long one call may take: far below an engine's lease.
const CALL: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);

/// The clients of one account. Cheap to share.
#[derive(Debug)]
pub struct Clients {
    /// The account, as its manifest described it.
    pub account: Account,
    /// Counts calls, and delays those that come too fast.
    pub(crate) limiter: RateLimiter,
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
    /// The caller's identity.
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
            return Err(invalid(format!("the account {name} is not an AWS account")));
        }
        let region = account.region.clone();
        let region = region.ok_or_else(|| {
            invalid(format!(
                "the account {name} has no region; set `region` in its manifest"
            ))
        })?;
        let config = config(account, region, settings.credentials.clone()).await;
        let mut s3 = aws_sdk_s3::config::Builder::from(&config);
        // An emulator has no host name per bucket.
        s3.set_force_path_style(Some(account.endpoint_url.is_some()));
        Ok(Arc::new(Self {
            limiter: RateLimiter::new(settings.rate_limited),
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

    /// Makes a call as soon as its rate limit allows, counts it, and reads the answer.
    ///
    /// # Errors
    /// AWS's code for what went wrong, and a sentence for people.
    pub(crate) fn make<T, E>(
        &self,
        call: &Call,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> impl Future<Output = Result<T, Failed>> + Send
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        // The SDK's futures are large, and would be part of every future that waits for one.
        let request = Box::pin(request);
        async move {
            self.limiter.take(call).await;
            request.await.map_err(|error| Failed::new(call, &error))
        }
    }
}

/// The SDK's own retries are off: each call is counted and limited here, and the engine's next turn is
/// the retry, after another observation.
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
