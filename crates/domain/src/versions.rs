//! Which version a launch is of. Programs count by launch; sentences speak of versions.

use std::collections::BTreeMap;

use crate::{
    names::Version,
    observation::Observation,
    release::{Launch, LaunchId},
};

/// The versions of the launches that a sentence may speak of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions(BTreeMap<LaunchId, Version>);

impl Versions {
    /// The versions of `launches`.
    pub fn of<'a>(launches: impl IntoIterator<Item = &'a Launch>) -> Self {
        let launches = launches.into_iter();
        Self(
            launches
                .map(|launch| (launch.id.clone(), launch.version.clone()))
                .collect(),
        )
    }

    /// The same, and what a provider sees: the launch of each slice and of each instance.
    #[must_use]
    pub fn and_seen(mut self, seen: &Observation) -> Self {
        for slice in seen.slices.values() {
            let instances = slice.instances.iter();
            let of_instances = instances.map(|it| (it.launch.clone(), it.version.clone()));
            let of_slice = slice.launches.iter();
            let of_slice = of_slice.map(|it| (it.id.clone(), it.version.clone()));
            self.0.extend(of_instances.chain(of_slice));
        }
        self
    }

    /// The version of `launch`, if it is known.
    #[must_use]
    pub fn get(&self, launch: &LaunchId) -> Option<&Version> {
        self.0.get(launch)
    }

    /// What people call `launch`: its version, or its id where nobody knows the version.
    #[must_use]
    pub fn name<'a>(&'a self, launch: &'a LaunchId) -> &'a str {
        self.get(launch).map_or(&*launch.0, Version::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observation::{Instance, InstanceId, InstanceState, SliceSeen},
        release::{Content, Digest},
        slice::Slice,
        time::UnixMs,
    };

    #[test]
    fn launches_are_called_by_their_versions() {
        let id = |text: &str| LaunchId(text.to_owned());
        let launch = |version: &str| Launch {
            id: id(&format!("{version}-7a334c26")),
            version: version.parse().unwrap(),
            content: Content::package(Digest::from_bytes([0; 32])),
        };
        let left_over = Instance {
            id: InstanceId("a1".into()),
            launch: id("0.9.0-11111111"),
            version: "0.9.0".parse().unwrap(),
            zone: "a".into(),
            state: InstanceState::Healthy,
            protected: false,
            started_at: UnixMs(0),
        };
        let blue = SliceSeen {
            launches: Some(launch("1.0.0")),
            instances: vec![left_over],
            ..SliceSeen::default()
        };
        let seen = Observation {
            slices: [(Slice::Blue, blue)].into(),
            ..Observation::default()
        };
        let versions = Versions::of([&launch("1.1.0")]).and_seen(&seen);
        for (id, name) in [
            ("1.1.0-7a334c26", "1.1.0"),
            ("1.0.0-7a334c26", "1.0.0"),
            ("0.9.0-11111111", "0.9.0"),
            ("lt-1:7", "lt-1:7"),
        ] {
            assert_eq!(versions.name(&LaunchId(id.to_owned())), name);
        }
    }
}
