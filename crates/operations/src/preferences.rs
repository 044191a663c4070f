//! What somebody prefers in the portal. It is kept with the person, so that it is the same in every browser.

use domain::{
    access::{PersonName, Right},
    names::ServiceName,
};
use serde::{Deserialize, Serialize};

use super::{Desk, Error, Operations, sign_in::invalid};

/// Most favourites of a person.
pub const FAVOURITES_MAX: usize = 50;
/// Longest name of a time zone, in characters.
const ZONE_LEN_MAX: usize = 64;

/// Light or dark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the browser says.
    #[default]
    Auto,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl Theme {
    /// Every theme.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    /// The word for it, as JSON writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// What somebody prefers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// The time zone of times on pages, such as `Europe/Berlin`; `None`: that of the browser, and UTC without
    /// its script.
    pub zone: Option<String>,
    /// Light or dark.
    pub theme: Theme,
    /// The services that come first on the overview.
    pub favourites: Vec<ServiceName>,
}

impl Preferences {
    /// The same, as it is stored: sorted and without what is there twice.
    fn checked(mut self) -> Result<Self, Error> {
        self.favourites.sort();
        self.favourites.dedup();
        if self.favourites.len() > FAVOURITES_MAX {
            let rule = format!("at most {FAVOURITES_MAX} services");
            return Err(invalid("favourites", &rule));
        }
        let in_a_zone = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
        let is_zone =
            |zone: &String| (1..=ZONE_LEN_MAX).contains(&zone.len()) && zone.chars().all(in_a_zone);
        match self.zone.as_ref().is_none_or(is_zone) {
            true => Ok(self),
            false => Err(invalid("zone", &"write a time zone such as Europe/Berlin")),
        }
    }
}

impl Operations {
    async fn preferences_of(&self, person: &PersonName) -> Result<Preferences, Error> {
        let stored = self.store().preferences(person).await?;
        // What an older version wrote and this one cannot read is as if it had not been chosen.
        let read = stored.and_then(|text| serde_json::from_str(&text).ok());
        Ok(read.unwrap_or_default())
    }
}

impl Desk {
    /// What the principal prefers.
    ///
    /// # Errors
    /// [`Error::Denied`] when the credential no longer counts.
    pub async fn my_preferences(&self) -> Result<Preferences, Error> {
        let seeing = self.may_see(Right::View).await?;
        seeing.preferences_of(self.principal().person()).await
    }

    /// Keeps what the principal prefers, and returns it as it is kept.
    ///
    /// # Errors
    /// [`Error::Invalid`] zone, or too many favourites.
    pub async fn set_my_preferences(&self, wanted: Preferences) -> Result<Preferences, Error> {
        let seeing = self.may_see(Right::View).await?;
        let person = self.principal().person();
        let wanted = wanted.checked()?;
        let before = seeing.preferences_of(person).await?;
        if before != wanted {
            let body = serde_json::to_value(&wanted);
            let before = serde_json::to_value(&before);
            let (Ok(body), Ok(before)) = (body, before) else {
                let doing = "writing preferences";
                return Err(Error::Internal { doing });
            };
            let now = seeing.now();
            let stored = seeing.store().set_preferences(person, &body, &before, now);
            stored.await?;
        }
        Ok(wanted)
    }

    /// Adds a service to the favourites of the principal, or takes it out of them.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are too many.
    pub async fn set_favourite(&self, service: ServiceName, is_one: bool) -> Result<(), Error> {
        let seeing = self.may_see(Right::View).await?;
        let mut wanted = seeing.preferences_of(self.principal().person()).await?;
        wanted.favourites.retain(|it| *it != service);
        if is_one {
            wanted.favourites.push(service);
        }
        self.set_my_preferences(wanted).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_bounded_and_in_order() {
        let named = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let wanted = Preferences {
            zone: Some("America/Argentina/Buenos_Aires".to_owned()),
            favourites: named(&["shop", "cart", "shop"]),
            ..Preferences::default()
        };
        let kept = wanted.checked().unwrap();
        assert_eq!(kept.favourites, named(&["cart", "shop"]));
        for zone in ["", "Europe Berlin", "<img>", &"x".repeat(65)] {
            let wanted = Preferences {
                zone: Some(zone.to_owned()),
                ..Preferences::default()
            };
            assert!(wanted.checked().is_err(), "{zone}");
        }
        let favourites = (0..51).map(|n| format!("s{n}").parse().unwrap());
        let wanted = Preferences {
            favourites: favourites.collect(),
            ..Preferences::default()
        };
        assert!(wanted.checked().is_err());
    }
}
