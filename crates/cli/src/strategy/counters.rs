//! `--gate-compare`: counters of a Prometheus, in a line.

use std::str::FromStr;

use domain::gate::CompareGate;

/// What `--gate-compare` expects.
const FORM: &str = "write the name of a Prometheus in the catalogue and two queries with $version or $slice, \
                    such as 'main: sum(failed{v=\"$version\"}) of sum(all{v=\"$version\"})'";

/// How many went wrong of how many there were, written `NAME: BAD of ALL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counters(pub(super) CompareGate);

impl FromStr for Counters {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = || {
            let (name, queries) = text.split_once(':')?;
            let (bad, all) = queries.split_once(" of ")?;
            let name = name.trim().parse().ok()?;
            let [bad, all] = [bad, all].map(|query| query.trim().to_owned());
            let both = !bad.is_empty() && !all.is_empty();
            both.then(|| CompareGate::new(name, bad, all))
        };
        let gate = parts().filter(CompareGate::tells_releases_apart);
        gate.map(Self).ok_or_else(|| FORM.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_a_name_and_two_queries() {
        let typed = r#"main: sum(a:failed{v="$version"}) of sum(all{v="$version"} offset 1m)"#;
        let Counters(gate) = typed.parse().expect("a name and two queries");
        assert_eq!(gate.prometheus.to_string(), "main");
        assert_eq!(gate.bad, r#"sum(a:failed{v="$version"})"#);
        assert_eq!(gate.all, r#"sum(all{v="$version"} offset 1m)"#);
        for wrong in [
            "",
            "main",
            "main: a{v='$version'}",
            "a{v='$version'} of b{v='$version'}",
            "main: a of b",
            "main: a{v='$version'} of b",
            "main:  of b{v='$version'}",
            "Not A Name: a{v='$version'} of b{v='$version'}",
        ] {
            let refused = wrong.parse::<Counters>().expect_err(wrong);
            assert_eq!(refused, FORM, "{wrong}");
        }
    }
}
