//! The frame around every page.

use maud::{DOCTYPE, Markup, html};
use operations::preferences::Theme;

use super::{
    assets::{ICONS, MARK, SCRIPT, STYLE},
    parts::icon,
    visitor::Visitor,
};

/// A part of the portal, as the navigation names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Overview,
    Environments,
    Deployments,
    Catalogue,
    Audit,
    People,
    Api,
    /// What is one's own; it stands below the others.
    Profile,
}

const PARTS: [(Part, &str, &str); 7] = [
    (Part::Overview, "/", "Overview"),
    (Part::Environments, "/environments", "Environments"),
    (Part::Deployments, "/deployments", "Deployments"),
    (Part::Catalogue, "/catalogue", "Catalogue"),
    (Part::Audit, "/audit", "Audit"),
    (Part::People, "/people", "People"),
    (Part::Api, "/api", "API"),
];

/// What stands above the content of a page.
pub(super) struct Head<'a> {
    /// The part of the portal that it belongs to.
    pub(super) part: Part,
    /// What, and where: "shop 1.3.0", "production". Becomes the title of the window.
    pub(super) title: &'a [&'a str],
    /// The way here: where, and its name.
    pub(super) trail: &'a [(&'a str, &'a str)],
    /// What the page follows live, as the stream names it.
    pub(super) topic: Option<&'a str>,
}

/// A whole page for somebody who is signed in.
pub(super) fn page(visitor: &Visitor, head: &Head<'_>, body: &Markup) -> Markup {
    let theme = match visitor.prefers.theme {
        Theme::Auto => None,
        chosen => Some(chosen.as_str()),
    };
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[theme] {
            (metadata(head.title))
            body data-topic=[head.topic] data-zone=[visitor.prefers.zone.as_deref()] {
                a.skip href="#content" { "Skip to the content" }
                (side(visitor, head.part))
                main #content tabindex="-1" {
                    @if !head.trail.is_empty() {
                        nav aria-label="Breadcrumbs" {
                            ol.trail {
                                @for (path, name) in head.trail { li { a href=(path) { (name) } } }
                            }
                        }
                    }
                    (body)
                }
                (palette())
            }
        }
    }
}

/// A page for somebody who is not signed in, or who cannot get another one.
pub(super) fn bare(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (metadata(&[title]))
            body.bare {
                main #content {
                    a.brand href="/" { (mark()) "Pointsman" }
                    (body)
                }
            }
        }
    }
}

fn metadata(title: &[&str]) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { @for part in title { (part) " · " } "Pointsman" }
            link rel="icon" type="image/svg+xml" href=(MARK.path);
            link rel="stylesheet" href=(STYLE.path);
            script src=(SCRIPT.path) data-icons=(ICONS.path) defer {}
        }
    }
}

/// The mark: points set to the turnout.
fn mark() -> Markup {
    html! {
        svg viewBox="0 0 32 32" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" {
            path d="M3 22h26M8 22c8 0 7-11 15-11h6" {}
            circle.ok cx="8" cy="22" r="3.2" fill="currentColor" stroke="none" {}
        }
    }
}

fn side(visitor: &Visitor, part: Part) -> Markup {
    html! {
        header.side {
            a.brand href="/" { (mark()) "Pointsman" }
            button.opener type="button" popovertarget="nav" aria-label="Menu" { (icon("menu")) }
            div.nav #nav popover {
                form.find action="/search" role="search" {
                    (icon("search"))
                    input #find name="q" type="search" placeholder="Find  /" aria-label="Find a service or an environment" autocomplete="off";
                }
                nav aria-label="Portal" {
                    ul.stops {
                        @for (this, path, name) in PARTS {
                            li { a href=(path) aria-current=[(this == part).then_some("true")] { (name) } }
                        }
                    }
                }
                div.me {
                    a href="/profile" aria-current=[(part == Part::Profile).then_some("true")] { (icon("person")) " " (visitor.name()) }
                    form method="post" action="/sign-out" { button.link-button type="submit" { "Sign out" } }
                }
            }
        }
    }
}

/// What `/` opens, for browsers with the script.
fn palette() -> Markup {
    html! {
        dialog #palette aria-label="Find" {
            form action="/search" role="search" {
                input name="q" type="search" placeholder="Find a service, an environment, a page" aria-label="Find" autocomplete="off" autofocus;
            }
            div #found {}
        }
    }
}
