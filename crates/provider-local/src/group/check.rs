//! Which requests are invalid.
//!
//! Invariant: a request that is accepted here can be carried out, now or later.

use domain::{
    effect::Effect,
    observation::Sizes,
    traffic::{Compare, Mirror},
};
use http::{HeaderName, Method};

use super::{refusal::Refusal, slot::SLICE_SIZE_MAX};

/// Maximum number of methods, headers and ignored fields in one mirror.
const NAMES_MAX: usize = 100;

fn check_count(instances: u32) -> Result<(), Refusal> {
    match instances > SLICE_SIZE_MAX {
        true => Err(Refusal::Invalid(format!(
            "{instances} instances are too many for one machine; at most {SLICE_SIZE_MAX} are"
        ))),
        false => Ok(()),
    }
}

/// Refuses an invalid request.
pub(super) fn check(effect: &Effect) -> Result<(), Refusal> {
    let invalid = |text: String| Err(Refusal::Invalid(text));
    match effect {
        Effect::SetSizes {
            sizes: Sizes { min, desired, max },
            ..
        } => match min > desired || desired > max {
            true => invalid(format!(
                "min {min} <= desired {desired} <= max {max} does not hold"
            )),
            false => check_count(*desired),
        },
        Effect::SetBounds { min, max, .. } => match min > max {
            true => invalid(format!("min {min} <= max {max} does not hold")),
            false => check_count(*min),
        },
        Effect::SetTraffic { weights, mirror } => {
            let sum = weights.sum();
            if !weights.is_empty() && sum != 100 {
                return invalid(format!("weights sum to {sum}, not to 100"));
            }
            mirror.as_ref().map_or(Ok(()), check_mirror)
        }
        Effect::StartRefresh { .. } => invalid(
            "an instance refresh is AWS's own way to replace instances; there is none on this machine"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

fn check_mirror(mirror: &Mirror) -> Result<(), Refusal> {
    let invalid = |text: String| Err(Refusal::Invalid(text));
    let Mirror {
        from,
        to,
        percent,
        methods,
        compare,
    } = mirror;
    let none = Compare::default();
    let Compare { headers, ignore } = compare.as_ref().unwrap_or(&none);
    if from == to {
        return invalid(format!("{from} cannot get copies of its own requests"));
    }
    if !(1..=100).contains(percent) {
        return invalid(format!("{percent} % cannot be copied; 1 to 100 % can"));
    }
    // `HeaderName` also takes upper case, but the headers of answers are found by lower case.
    let is_header = |name: &&String| HeaderName::from_lowercase(name.as_bytes()).is_ok();
    if let Some(method) = methods
        .iter()
        .find(|method| Method::from_bytes(method.as_bytes()).is_err())
    {
        return invalid(format!("{method:?} is not an HTTP method"));
    }
    if let Some(name) = headers.iter().find(|name| !is_header(name)) {
        return invalid(format!("{name:?} is not a header's name in lower case"));
    }
    if methods.len() + headers.len() + ignore.len() > NAMES_MAX {
        return invalid(format!(
            "a mirror names at most {NAMES_MAX} methods, headers and fields"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::{slice::Slice, users::Weights};

    use super::*;

    fn refusal(change: impl FnOnce(&mut Mirror)) -> Option<String> {
        let mut mirror = Mirror {
            from: Slice::Blue,
            to: Slice::Green,
            percent: 5,
            methods: vec!["POST".to_owned()],
            compare: Some(Compare {
                headers: vec!["etag".to_owned()],
                ignore: vec!["$.at".to_owned()],
            }),
        };
        change(&mut mirror);
        let effect = Effect::SetTraffic {
            weights: Weights::all_on(Slice::Blue),
            mirror: Some(mirror),
        };
        check(&effect).err().map(|refusal| refusal.to_string())
    }

    #[test]
    fn senseless_mirrors_are_refused_and_say_why() {
        assert_eq!(refusal(|_| {}), None);
        assert_eq!(refusal(|mirror| mirror.percent = 100), None);
        let says = |part: &str, change: fn(&mut Mirror)| {
            let text = refusal(change).expect(part);
            assert!(text.contains(part), "{text}");
        };
        says("its own", |mirror| mirror.to = Slice::Blue);
        says("0 %", |mirror| mirror.percent = 0);
        says("101 %", |mirror| mirror.percent = 101);
        says("HTTP method", |mirror| mirror.methods.push("A B".into()));
        let header = |mirror: &mut Mirror| {
            let compare = mirror.compare.as_mut().expect("it compares");
            compare.headers.push("ETag".into());
        };
        says("lower case", header);
        let many = |mirror: &mut Mirror| {
            let compare = mirror.compare.as_mut().expect("it compares");
            compare.ignore = vec!["$.at".into(); NAMES_MAX];
        };
        says("at most 100", many);
    }
}
