//! What is one's own: grants, sessions, the password, preferences and favourites.

use axum::{
    body::Bytes,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{access::SessionId, names::ServiceName};
use maud::{Markup, html};
use operations::{
    Error,
    about::About,
    preferences::{Preferences, Theme},
    sign_in::{Password, SignInRefused},
};

use super::{
    failed::Failed,
    forms::{chosen, options, required},
    grants,
    parts::{Query, icon},
    people::session_table,
    shell::{Head, Part, page},
    times, tokens,
    visitor::{self, Visitor},
    way_in::{path_here, see},
};
use crate::rows::Pages;

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/profile", read)
        .form("/profile/password", change_password)
        .form("/profile/preferences", prefer)
        .form("/favourites", favour)
        .form("/profile/sessions/{id}/end", end_session)
        .form("/profile/sessions/end", end_sessions)
}

async fn read(visitor: Visitor) -> Result<Markup, Failed> {
    whole(&visitor, None).await
}

/// The page; with what was wrong with a new password.
async fn whole(visitor: &Visitor, because: Option<&str>) -> Result<Markup, Failed> {
    let me = visitor.desk.about_me().await?;
    let name = me.person.name().clone();
    let body = html! {
        div.top { h1 { (name) } }
        div.two { (preferences(&visitor.prefers)) (password(&me, because)) }
        (sessions(&me))
        (granted(&me))
        (own_tokens(&me))
    };
    let head = Head {
        part: Part::Profile,
        title: &[name.as_str(), "Profile"],
        trail: &[],
        topic: None,
    };
    Ok(page(visitor, &head, &body))
}

fn preferences(prefers: &Preferences) -> Markup {
    let zone = prefers.zone.as_deref().unwrap_or_default();
    let themes = Theme::ALL.map(|theme| {
        let word = match theme {
            Theme::Auto => "as the browser says",
            Theme::Light => "light",
            Theme::Dark => "dark",
        };
        (theme.as_str(), word)
    });
    html! {
        section.card.stack aria-labelledby="prefers-title" {
            h2 #prefers-title { "Preferences" }
            form.stack method="post" action="/profile/preferences" {
                label { "Time zone"
                    input name="zone" value=(zone) maxlength="64" placeholder="Europe/Berlin" autocomplete="off" spellcheck="false" aria-describedby="zone-hint";
                }
                p.hint #zone-hint { "Empty: that of the browser, and UTC where scripts are off." }
                label { "Theme" select name="theme" { (options("", themes, prefers.theme.as_str())) } }
                div.flow { button.main-button type="submit" { "Keep" } }
            }
            h3 { "Favourites" }
            @if prefers.favourites.is_empty() {
                p.soft { "None. A star on the " a href="/" { "overview" } " puts a service on top of it." }
            }
            ul.people {
                @for service in &prefers.favourites {
                    li { a href={ "/services/" (service) } { (service) } (star(service, true, "/profile")) }
                }
            }
        }
    }
}

/// The button that makes a service a favourite, or no longer one. It leads back to `back`.
pub(super) fn star(service: &ServiceName, is_one: bool, back: &str) -> Markup {
    let (value, word, shape) = match is_one {
        true => ("no", "Take out of the favourites: ", "star-on"),
        false => ("yes", "Make a favourite: ", "star"),
    };
    html! {
        form.star method="post" action="/favourites" {
            input type="hidden" name="service" value=(service);
            input type="hidden" name="next" value=(back);
            button type="submit" name="favourite" value=(value) title={ (word) (service) } {
                (icon(shape)) span.hide { (word) (service) }
            }
        }
    }
}

fn password(me: &About, because: Option<&str>) -> Markup {
    let is_local = me.person.provider == "local";
    html! {
        section.card.stack aria-labelledby="password-title" {
            h2 #password-title { "Password" }
            @if let Some(because) = because { p.note.stop #because role="alert" { (because) } }
            @if is_local {
                form.stack method="post" action="/profile/password" {
                    input type="hidden" name="username" value=(me.person.name()) autocomplete="username";
                    @if me.person.has_password {
                        label { "Present password"
                            input name="current" type="password" autocomplete="current-password" required aria-describedby=[because.map(|_| "because")];
                        }
                    } @else { p.soft { "You have none yet: you sign in by a link." } }
                    label { "New password"
                        input name="new" type="password" autocomplete="new-password" minlength="12" required;
                    }
                    p.hint { "At least 12 characters, whichever you like. All your other sessions end." }
                    div.flow { button type="submit" { @if me.person.has_password { "Change it" } @else { "Set it" } } }
                }
            } @else {
                p.soft { "It is kept by the directory " (me.person.provider) ". Change it there." }
            }
        }
    }
}

fn sessions(me: &About) -> Markup {
    html! {
        section.card.stack aria-labelledby="sessions-title" {
            h2 #sessions-title { "Where you are signed in" }
            (session_table(&me.sessions, me.at, true))
            form method="post" action="/profile/sessions/end" {
                button.danger type="submit" { "Sign out everywhere" }
            }
        }
    }
}

fn granted(me: &About) -> Markup {
    html! {
        section.card.stack aria-labelledby="grants-title" {
            div.head {
                h2 #grants-title { "What you may do" }
                a href="/may" { "Ask about a right and a place" }
            }
            @if me.grants.is_empty() {
                p { "Nothing yet. Somebody with the right " code { "administer" } " can grant you a role." }
            } @else { (grants::table(&me.grants, me.at, None)) }
            @if !me.groups.is_empty() {
                p.soft { "In the groups "
                    @for (number, group) in me.groups.iter().enumerate() { @if number > 0 { ", " } (group) }
                    "."
                }
            }
        }
    }
}

fn own_tokens(me: &About) -> Markup {
    html! {
        section.card.stack aria-labelledby="tokens-title" {
            div.head { h2 #tokens-title { "Your tokens" } a href="/tokens" { "Make a token" } }
            @if me.tokens.is_empty() { p.soft { "None. Programs that act in your name need one." } }
            @else { (tokens::table(&me.tokens, me.at, false)) }
        }
    }
}

async fn change_password(visitor: Visitor, form: Bytes) -> Result<Response, Failed> {
    let form = Query::of(&form);
    let typed = |name| Password::typed(form.raw(name).to_owned());
    let changed = visitor.desk.change_password(typed("current"), typed("new"));
    let because = match changed.await {
        Ok(()) => return Ok(see("/profile")),
        Err(Error::SignIn(SignInRefused::Wrong)) => {
            "The present password did not match.".to_owned()
        }
        Err(Error::Invalid { faults, .. }) => {
            let sentences = faults.iter().map(|fault| fault.sentence());
            sentences.collect::<Vec<_>>().join("; ")
        }
        Err(error) => return Err(error.into()),
    };
    let again = whole(&visitor, Some(&because)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, again).into_response())
}

async fn prefer(visitor: Visitor, form: Bytes) -> Result<Response, Failed> {
    let form = Query::of(&form);
    let zone = Some(form.text("zone").to_owned()).filter(|zone| !zone.is_empty());
    if zone
        .as_deref()
        .is_some_and(|zone| times::zone(zone).is_none())
    {
        let rule = "this server knows no such time zone; write one such as Europe/Berlin";
        return Err(Failed::bad_field("zone", rule));
    }
    let theme = chosen(&Theme::ALL, Theme::as_str, form.text("theme"));
    let wanted = Preferences {
        zone,
        theme: theme.unwrap_or_default(),
        favourites: visitor.prefers.favourites.clone(),
    };
    visitor.desk.set_my_preferences(wanted).await?;
    Ok(see("/profile"))
}

async fn favour(visitor: Visitor, form: Bytes) -> Result<Response, Failed> {
    let form = Query::of(&form);
    let service = required(&form, "service")?;
    let is_one = form.text("favourite") != "no";
    visitor.desk.set_favourite(service, is_one).await?;
    Ok(see(path_here(form.text("next"))))
}

async fn end_session(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Failed> {
    visitor.desk.end_my_session(&SessionId(id)).await?;
    Ok(see("/profile"))
}

async fn end_sessions(visitor: Visitor) -> Result<Response, Failed> {
    visitor.desk.sign_out_everywhere().await?;
    let mut response = see("/sign-in");
    let headers = response.headers_mut();
    headers.insert(header::SET_COOKIE, visitor::forget());
    Ok(response)
}
