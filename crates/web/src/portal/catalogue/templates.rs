//! What the form of a new entry begins with.

use domain::catalogue::Kind;

/// A manifest of a kind, to be changed.
pub(super) fn template(kind: Kind) -> &'static str {
    match kind {
        Kind::Prometheus => {
            "kind: Prometheus\nname: main\nurl: http://prometheus.example.com:9090\ndescription: What gates can query\n"
        }
        Kind::Account => {
            "kind: Account\nname: production-eu\nprovider: aws\nregion: eu-west-1\n# The server's own credentials assume this role, where one is named.\n# role_arn: arn:aws:iam::123456789012:role/pointsman\n# Packages are kept here for the instances to fetch.\npackage_bucket: example-packages\n"
        }
        Kind::Team => {
            "kind: Team\nname: shop\ndescription: Sells things\ncontact: shop@example.com\n"
        }
        Kind::EnvironmentType => {
            "kind: EnvironmentType\nname: production\ndescription: Customers come here\n# Who asks for a deployment does not approve it.\napproval_by_another: true\n"
        }
        Kind::Service => {
            "kind: Service\nname: storefront\nowner: shop\ndescription: What customers see\nenvironment_types: [staging, production]\n# Left out: all strategies are allowed.\n# strategies: [scale-up, canary]\n"
        }
        Kind::Environment => {
            "kind: Environment\nname: production\nenvironment_type: production\ndescription: Where the shop is open\n# The most instances in the environment, those of running deployments included.\ncapacity_limit: 24\n"
        }
        Kind::Freeze => {
            "kind: Freeze\nname: year-end\nfrom: 2026-12-20T18:00:00Z\nuntil: 2027-01-04T06:00:00Z\nenvironment_types: [production]\nreason: Few people are there to mend anything\n"
        }
        Kind::ServerGroup => {
            "kind: ServerGroup\nservice: storefront\nenvironment: production\nsize: 4\nzones: [a, b, c]\n# Two slices allow blue-green and canary deployments.\nslices: 2\nhealth:\n  path: /health\ndrain_seconds: 30\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use operations::manifests::from_yaml;

    use super::*;

    #[test]
    fn every_template_is_a_manifest_of_its_kind() {
        for kind in Kind::ALL {
            let read = from_yaml(template(kind)).expect("a manifest");
            let kinds: Vec<Kind> = read.iter().map(|it| it.manifest.kind()).collect();
            assert_eq!(kinds, [kind]);
        }
    }
}
