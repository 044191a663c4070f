//! The caller's identity in the account, and the time there.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityOutput;
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{
    config_bag::ConfigBag,
    date_time::{DateTime, Format},
};
use domain::{
    checkup::{Check, CheckStatus},
    time::{UnixMs, human_ms},
};
use engine::ports::ErrorKind;

use super::{TIMEOUT, Unanswered};
use crate::{
    account::AwsAccount,
    calls::{call::GET_CALLER_IDENTITY, clients::Clients, errors::Failed},
};

/// AWS refuses signatures that are older than five minutes ("Troubleshoot AWS Signature Version 4",
/// read 2026-11).
const CLOCK_FAILED_MS: u64 = 300_000;
const CLOCK_WARNING_MS: u64 = 60_000;
const CREDENTIALS: &str = "give the server credentials: an instance profile, AWS_PROFILE, or \
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; if the account names a role, allow them to assume it";

/// What AWS says about the caller.
pub struct Identity {
    /// Whether there are credentials.
    pub has_credentials: bool,
    /// The check of the credentials.
    pub credentials: Check,
    /// The check of this machine's clock.
    pub clock: Check,
}

/// Asks AWS for the caller's identity, and reads the time in its answer.
pub async fn check(account: &AwsAccount) -> Identity {
    let clients = &account.clients;
    let date = Date::default();
    let request = clients.sts.get_caller_identity().customize();
    let request = request.interceptor(date.clone());
    let answer = clients.make(&GET_CALLER_IDENTITY, request.send());
    let answer = tokio::time::timeout(TIMEOUT, answer).await;
    let now = account.now();
    let clock = match date.seen() {
        Some(theirs) => clock(now, theirs),
        None => Check::new("clock", CheckStatus::Unchecked, "AWS did not send its time"),
    };
    let lacks = |failed: &Failed| failed.lacks_credentials();
    Identity {
        has_credentials: !matches!(&answer, Ok(Err(failed)) if lacks(failed)),
        credentials: match answer {
            Ok(answer) => credentials(clients, answer),
            Err(_) => Unanswered::TimedOut("credentials".to_owned(), TIMEOUT).into_check(true),
        },
        clock,
    }
}

fn credentials(clients: &Clients, answer: Result<GetCallerIdentityOutput, Failed>) -> Check {
    let name = "credentials";
    match answer {
        Ok(answer) => {
            let arn = answer.arn().unwrap_or("an unnamed caller");
            let number = answer.account().unwrap_or("unknown");
            let region = clients.account.region.as_deref().unwrap_or_default();
            let text = format!("{arn} in account {number}, region {region}");
            Check::new(name, CheckStatus::Ok, text)
        }
        Err(failed) if failed.lacks_credentials() || failed.error.kind == ErrorKind::Denied => {
            Check::new(name, CheckStatus::Failed, failed.error.message).with(CREDENTIALS)
        }
        Err(failed) => Unanswered::Failed(name.to_owned(), failed.error).into_check(true),
    }
}

fn clock(ours: UnixMs, theirs: UnixMs) -> Check {
    let apart_ms = ours.since_ms(theirs).max(theirs.since_ms(ours));
    let text = format!(
        "the clocks of this machine and AWS are {} apart",
        human_ms(apart_ms)
    );
    let remedy = "set this machine's clock, and keep it in sync with NTP";
    if apart_ms >= CLOCK_FAILED_MS {
        Check::new("clock", CheckStatus::Failed, text).with(remedy)
    } else if apart_ms >= CLOCK_WARNING_MS {
        Check::new("clock", CheckStatus::Warning, text).with(remedy)
    } else {
        // The header is in whole seconds.
        Check::new(
            "clock",
            CheckStatus::Ok,
            "the clocks of this machine and AWS agree",
        )
    }
}

/// Remembers the `Date` of an answer.
#[derive(Debug, Clone, Default)]
struct Date(Arc<Mutex<Option<UnixMs>>>);

impl Date {
    fn seen(&self) -> Option<UnixMs> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        let seen = date.and_then(|date| date.to_millis().ok()).map(UnixMs);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }
}
