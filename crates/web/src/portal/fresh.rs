//! What gives others a way in asks again for the password of who signed in long ago.

use maud::{Markup, html};
use operations::{
    Error,
    fresh::Freshness,
    sign_in::{Password, SignInRefused},
};

use super::{failed::Failed, parts::Query, visitor::Visitor};

/// What a form asks for besides; nothing of who signed in lately.
pub(super) async fn field(visitor: &Visitor) -> Result<Markup, Failed> {
    let freshness = visitor.desk.freshness().await?;
    Ok(html! {
        @match freshness {
            Freshness::Fresh => {},
            Freshness::AskPassword => {
                label { "Your own password"
                    input name="again" type="password" autocomplete="current-password" required;
                    span.hint { "You signed in more than 30 minutes ago." }
                }
            },
            Freshness::AskSignIn => {
                p.note.wait { "You signed in more than 30 minutes ago. " a href="/sign-in" { "Sign in again" } " before you do this." }
            },
        }
    })
}

/// Proves who it is by what such a field holds.
pub(super) async fn prove(visitor: &Visitor, form: &Query) -> Result<(), Failed> {
    let typed = form.raw("again");
    if typed.is_empty() {
        return Ok(());
    }
    let password = Password::typed(typed.to_owned());
    match visitor.desk.prove(password).await {
        Err(Error::SignIn(SignInRefused::Wrong)) => {
            let rule = "it did not match, and nothing was changed";
            Err(Failed::bad_field("your own password", rule))
        }
        other => Ok(other?),
    }
}
