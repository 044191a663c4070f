//! What names and ids of AWS look like. Only their shape: whether they exist, AWS says.

/// Longest DNS name and longest label of one, in bytes (RFC 1035, section 2.3.4).
const DNS_NAME_LEN_MAX: usize = 253;
const DNS_LABEL_LEN_MAX: usize = 63;

/// `[a-z]{2}(-[a-z]+)+-[0-9]`, such as `eu-west-1` or `us-gov-west-1`.
pub(super) fn is_region(text: &str) -> bool {
    let letters = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase());
    let parts: Vec<&str> = text.split('-').collect();
    match &parts[..] {
        [continent, directions @ .., number] => {
            continent.len() == 2
                && letters(continent)
                && !directions.is_empty()
                && directions.iter().all(letters)
                && number.len() == 1
                && number.chars().all(|c| c.is_ascii_digit())
        }
        _ => false,
    }
}

/// `arn:aws[a-z-]*:iam::[0-9]{12}:role/...`
pub(super) fn is_role(text: &str) -> bool {
    let Some(arn) = Arn::of(text, "iam") else {
        return false;
    };
    let name = arn.resource.strip_prefix("role/");
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@/-".contains(c);
    arn.region.is_empty()
        && name.is_some_and(|name| {
            !name.is_empty() && !name.ends_with('/') && name.chars().all(allowed)
        })
}

/// `arn:aws...:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID`
pub(super) fn is_target_group(text: &str) -> bool {
    balancer(text, "targetgroup/", 2).is_some()
}

/// `arn:aws...:elasticloadbalancing:REGION:ACCOUNT:listener/app/NAME/ID/ID`; others have no weights.
pub(super) fn is_listener(text: &str) -> bool {
    balancer(text, "listener/app/", 3).is_some()
}

/// `arn:aws...:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/NAME/ID/ID/ID`, of that listener.
pub(super) fn is_rule_of(text: &str, listener: &str) -> bool {
    let rule = balancer(text, "listener-rule/app/", 4);
    let listener = balancer(listener, "listener/app/", 3);
    match (rule, listener) {
        (Some(rule), Some(listener)) => rule
            .strip_prefix(listener)
            .is_some_and(|rest| rest.starts_with('/')),
        _ => false,
    }
}

/// The part after `prefix` of an ARN of a load balancer's part, with so many segments.
fn balancer<'a>(text: &'a str, prefix: &str, segments: usize) -> Option<&'a str> {
    let arn = Arn::of(text, "elasticloadbalancing")?;
    let path = arn.resource.strip_prefix(prefix)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let good = path.split('/').count() == segments
        && path
            .split('/')
            .all(|segment| !segment.is_empty() && segment.chars().all(allowed));
    (good && is_region(arn.region)).then_some(path)
}

/// The parts of an Amazon Resource Name of one service that matter here.
struct Arn<'a> {
    region: &'a str,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    fn of(text: &'a str, service: &str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let &[scheme, partition, of, region, account, resource] = parts.as_slice() else {
            return None;
        };
        let rest = partition.strip_prefix("aws")?;
        let is_account = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
        let good = scheme == "arn"
            && rest.chars().all(|c| c.is_ascii_lowercase() || c == '-')
            && of == service
            && is_account;
        good.then_some(Self { region, resource })
    }
}

/// The naming rules of general purpose buckets.
pub(super) fn is_bucket(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let allowed = |c: char| edge(c) || c == '.' || c == '-';
    (3..=63).contains(&text.len())
        && text.chars().all(allowed)
        && text.starts_with(edge)
        && text.ends_with(edge)
        && !text.contains("..")
        && text.parse::<std::net::Ipv4Addr>().is_err()
        && !["xn--", "sthree-", "amzn-s3-demo-"]
            .iter()
            .any(|it| text.starts_with(it))
        && !["-s3alias", "--ol-s3", ".mrap", "--x-s3"]
            .iter()
            .any(|it| text.ends_with(it))
}

/// `[A-Z0-9]{1,32}`
pub(super) fn is_zone(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    (1..=32).contains(&text.len()) && text.chars().all(allowed)
}

/// Labels with dots between, with or without one at the end; the first may be `*`.
pub(super) fn is_dns_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_label = |(index, label): (usize, &str)| {
        (index == 0 && label == "*")
            || ((1..=DNS_LABEL_LEN_MAX).contains(&label.len())
                && label.chars().all(allowed)
                && !label.starts_with('-')
                && !label.ends_with('-'))
    };
    text.len() <= DNS_NAME_LEN_MAX && text != "*" && text.split('.').enumerate().all(is_label)
}

/// Family and size, such as `t3.small` or `u-6tb1.112xlarge`.
pub(super) fn is_instance_type(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let part = |part: &str| !part.is_empty() && part.chars().all(allowed);
    text.len() <= 64
        && text
            .split_once('.')
            .is_some_and(|(family, size)| part(family) && part(size))
}

/// A volume that is not the root volume ("Device names for volumes on Amazon EC2 instances").
pub(super) fn is_device(text: &str) -> bool {
    let letter = text
        .strip_prefix("/dev/sd")
        .or_else(|| text.strip_prefix("/dev/xvd"));
    letter.is_some_and(|it| matches!(it.as_bytes(), [b'b'..=b'z']))
}

/// The prefix, a hyphen, and 8 to 17 hexadecimal digits.
pub(super) fn is_id(prefix: &str, text: &str) -> bool {
    let digits = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'));
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    digits.is_some_and(|digits| (8..=17).contains(&digits.len()) && digits.chars().all(hex))
}
