//! What is read from the claims about somebody.

use operations::sign_in::{ProviderRefused, provider::Identity};
use serde_json::{Map, Value};

use crate::settings::Settings;

/// Most groups of somebody that are read, and the longest name of one, in bytes.
const GROUPS_MAX: usize = 1_000;
const GROUP_LEN_MAX: usize = 256;
/// Longest subject, in bytes.
const SUBJECT_LEN_MAX: usize = 255;
/// Where the claims are whose value is elsewhere: more groups than fit.
const ELSEWHERE: &str = "_claim_names";
/// What somebody could be called, best first.
const NAMES: [&str; 4] = ["preferred_username", "email", "nickname", "name"];

/// Claims about one person.
pub(crate) type Claims = Map<String, Value>;

/// Whether something is missing that the issuer may tell elsewhere.
pub(crate) fn lack(claims: &Claims, settings: &Settings) -> bool {
    let wanted = settings.groups_claim.iter().chain(settings.require.keys());
    let lacking = wanted.filter(|claim| !claims.contains_key(claim.as_str()));
    lacking.count() > 0 || !NAMES.iter().any(|name| claims.contains_key(*name))
}

/// Who somebody is.
pub(crate) fn identity(
    claims: &Claims,
    settings: &Settings,
    renewal: Option<String>,
) -> Result<Identity, ProviderRefused> {
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    let subject = text("sub").unwrap_or_default();
    if subject.is_empty() || subject.len() > SUBJECT_LEN_MAX {
        return Err(ProviderRefused::Malformed);
    }
    let groups = settings.groups_claim.as_deref();
    let groups = groups.map(|claim| groups_in(claims, claim)).transpose()?;
    let admitted = |(claim, value): (&String, &String)| match claims.get(claim) {
        Some(Value::Array(all)) => all.iter().any(|it| it.as_str() == Some(value)),
        Some(Value::String(one)) => one == value,
        Some(Value::Bool(one)) => one.to_string() == *value,
        _ => false,
    };
    if !settings.require.iter().all(admitted) {
        return Err(ProviderRefused::NotAdmitted);
    }
    Ok(Identity {
        subject: subject.to_owned(),
        names: NAMES
            .iter()
            .filter_map(|claim| text(claim))
            .map(str::to_owned)
            .collect(),
        groups,
        renewal,
    })
}

/// The groups of somebody. Groups that are left out are never taken for none.
fn groups_in(claims: &Claims, claim: &str) -> Result<Vec<String>, ProviderRefused> {
    let elsewhere = claims.get(ELSEWHERE).and_then(Value::as_object);
    if elsewhere.is_some_and(|names| names.contains_key(claim)) {
        return Err(ProviderRefused::TooManyGroups);
    }
    let groups: Vec<&Value> = match claims.get(claim) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one) => vec![one],
    };
    if groups.len() > GROUPS_MAX {
        return Err(ProviderRefused::TooManyGroups);
    }
    let name = |group: &Value| -> Result<String, ProviderRefused> {
        let name = group.as_str().filter(|name| name.len() <= GROUP_LEN_MAX);
        name.map(str::to_owned).ok_or(ProviderRefused::Malformed)
    };
    groups.into_iter().map(name).collect()
}
