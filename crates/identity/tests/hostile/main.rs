//! An issuer that lies in every way: none of its words counts, and each refusal says which lie it was.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod issuer;

use identity::{OpenId, Settings};
use issuer::{Issuer, Lie};
use operations::sign_in::{
    ProviderRefused,
    provider::{Arrival, Identity, IdentityProvider},
};

const BACK: &str = "http://pointsman.localhost:7080/sign-in/back/corp";

fn settings(issuer: &str) -> Settings {
    Settings {
        name: "corp".to_owned(),
        title: "Example Corp".to_owned(),
        issuer: issuer.to_owned(),
        client_id: "pointsman".to_owned(),
        client_secret_file: None,
        scopes: vec!["profile".to_owned()],
        groups_claim: Some("groups".to_owned()),
        require: Default::default(),
        hosts: Default::default(),
    }
}

/// Goes there and comes back, with what the issuer says of itself.
async fn sign_in(issuer: &Issuer, provider: &OpenId) -> Result<Identity, ProviderRefused> {
    let departure = provider.begin(BACK).await?;
    let asked: Vec<&str> = departure.url.split(['?', '&']).collect();
    for part in [
        "response_type=code",
        "client_id=pointsman",
        "code_challenge_method=S256",
        "scope=openid+profile",
        &format!("state={}", departure.state),
        &format!("nonce={}", departure.nonce),
    ] {
        assert!(asked.contains(&part), "{part} in {asked:?}");
    }
    issuer.asked(&departure.nonce);
    let arrival = Arrival {
        code: Some("code".to_owned()),
        issuer: issuer.says_it_is(),
        nonce: departure.nonce,
        verifier: departure.verifier,
    };
    provider.finish(BACK, &arrival).await
}

async fn lied_to(lie: Lie) -> Result<Identity, ProviderRefused> {
    let issuer = Issuer::start(lie).await;
    let provider = OpenId::new(settings(&issuer.url())).unwrap();
    sign_in(&issuer, &provider).await
}

#[tokio::test]
async fn an_honest_issuer_says_who_somebody_is() {
    let identity = lied_to(Lie::None).await.unwrap();
    assert_eq!(identity.subject, "4711");
    assert_eq!(identity.names, ["ann", "ann@example.com"]);
    let groups = identity.groups.unwrap();
    assert_eq!(groups, ["Web People", "ops"]);
    assert_eq!(identity.renewal.as_deref(), Some("refresh"));
}

#[tokio::test]
async fn no_lie_counts() {
    for (lie, why) in [
        (Lie::OtherIssuerInMetadata, ProviderRefused::WrongIssuer),
        (Lie::OtherIssuerInToken, ProviderRefused::WrongIssuer),
        (Lie::OtherIssuerInAnswer, ProviderRefused::WrongIssuer),
        (Lie::NoIssuerInAnswer, ProviderRefused::WrongIssuer),
        (Lie::OtherNonce, ProviderRefused::WrongNonce),
        (Lie::NoNonce, ProviderRefused::WrongNonce),
        (Lie::OtherAudience, ProviderRefused::WrongAudience),
        (Lie::MoreAudiences, ProviderRefused::WrongAudience),
        (Lie::OtherKey, ProviderRefused::BadSignature),
        (Lie::UnknownKey, ProviderRefused::UnknownKey),
        (Lie::NoSignature, ProviderRefused::BadSignature),
        (Lie::SharedSecret, ProviderRefused::BadSignature),
        (Lie::Ended, ProviderRefused::Expired),
        (Lie::NotYet, ProviderRefused::Expired),
        (Lie::GroupsElsewhere, ProviderRefused::TooManyGroups),
        (Lie::Huge, ProviderRefused::TooLarge),
        (Lie::HugeKeys, ProviderRefused::TooLarge),
        (Lie::KeysElsewhere, ProviderRefused::OtherHost),
        (Lie::Redirects, ProviderRefused::Malformed),
        (Lie::RefusesTheCode, ProviderRefused::Declined),
        (Lie::NoToken, ProviderRefused::Malformed),
    ] {
        let said = lied_to(lie).await;
        let refused = said.expect_err(&format!("{lie:?} was believed"));
        assert_eq!(refused, why, "{lie:?}");
    }
}

#[tokio::test]
async fn a_slow_issuer_is_not_waited_for() {
    let began = std::time::Instant::now();
    let refused = lied_to(Lie::Slow).await.unwrap_err();
    assert_eq!(refused, ProviderRefused::Unreachable);
    let took = began.elapsed().as_secs();
    assert!((4..9).contains(&took), "{took} s");
}

#[tokio::test]
async fn clocks_may_differ_by_less_than_a_minute() {
    assert!(lied_to(Lie::EndedJustNow).await.is_ok());
    assert!(lied_to(Lie::IssuedSoon).await.is_ok());
}

#[tokio::test]
async fn keys_are_asked_for_once_however_often_one_is_unknown() {
    let issuer = Issuer::start(Lie::None).await;
    let provider = OpenId::new(settings(&issuer.url())).unwrap();
    sign_in(&issuer, &provider).await.unwrap();
    assert_eq!(issuer.keys_given(), 1);
    issuer.now(Lie::UnknownKey);
    for _ in 0..5 {
        let refused = sign_in(&issuer, &provider).await.unwrap_err();
        assert_eq!(refused, ProviderRefused::UnknownKey);
    }
    assert_eq!(issuer.keys_given(), 1, "at most every 30 seconds");
}

#[tokio::test]
async fn who_is_asked_about_again_has_to_be_the_same() {
    let issuer = Issuer::start(Lie::None).await;
    let provider = OpenId::new(settings(&issuer.url())).unwrap();
    let identity = provider.confirm("4711", "refresh").await.unwrap();
    assert_eq!(identity.groups.unwrap().len(), 2);
    let other = provider.confirm("4712", "refresh").await.unwrap_err();
    assert_eq!(other, ProviderRefused::WrongSubject);
    issuer.now(Lie::RefusesTheCode);
    let ended = provider.confirm("4711", "refresh").await.unwrap_err();
    assert_eq!(ended, ProviderRefused::Declined);
    assert!(!ended.is_for_now(), "the session ends");
}

#[tokio::test]
async fn only_those_come_in_who_have_the_claims_that_are_required() {
    let issuer = Issuer::start(Lie::None).await;
    for (claim, value, admitted) in [
        ("groups", "ops", true),
        ("preferred_username", "ann", true),
        ("groups", "op", false),
        ("hd", "example.com", false),
    ] {
        let mut settings = settings(&issuer.url());
        settings.require.insert(claim.to_owned(), value.to_owned());
        let provider = OpenId::new(settings).unwrap();
        let said = sign_in(&issuer, &provider).await;
        assert_eq!(said.is_ok(), admitted, "{claim} {value}");
    }
}
