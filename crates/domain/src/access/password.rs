//! Which passwords are taken. Length counts most; composition is nobody's business.

use std::{collections::BTreeSet, sync::LazyLock};

/// Shortest password, in characters.
pub const PASSWORD_LEN_MIN: usize = 12;
/// Longest password, in bytes.
pub const PASSWORD_LEN_MAX: usize = 256;
/// Fewest different characters.
const DIFFERENT_MIN: usize = 5;

/// The commonest passwords that are long enough to pass, a line each; those that begin with `#` are notes.
static COMMONEST: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("common-passwords.txt").lines();
    lines.filter(|line| !line.starts_with('#')).collect()
});

/// What common passwords are built from. A password that is nothing but these words and digits is one of
/// them.
const COMMON: [&str; 42] = [
    "password",
    "passwort",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "pass",
    "word",
    "admin",
    "administrator",
    "letmein",
    "welcome",
    "qwertyuiop",
    "qwerty",
    "qwertz",
    "asdfghjkl",
    "asdfgh",
    "zxcvbnm",
    "zxcvbn",
    "1q2w3e4r5t6y",
    "1q2w3e4r5t",
    "1q2w3e4r",
    "1qaz2wsx3edc",
    "1qaz2wsx",
    "q1w2e3r4t5y6",
    "iloveyou",
    "loveyou",
    "trustno1",
    "changeme",
    "change",
    "secret",
    "default",
    "login",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "sunshine",
    "princess",
    "superman",
    "correcthorsebatterystaple",
    "abcdefghijkl",
    "abcdef",
];

/// What is wrong with a new password, as a sentence; `None`: it is taken. `own` are words that others would
/// guess first: the names of the person and of the teams.
#[must_use]
pub fn password_fault(password: &str, own: &[&str]) -> Option<String> {
    if password.chars().count() < PASSWORD_LEN_MIN {
        return Some(format!(
            "use at least {PASSWORD_LEN_MIN} characters; a few words are easy to remember"
        ));
    }
    if password.len() > PASSWORD_LEN_MAX {
        return Some(format!("use at most {PASSWORD_LEN_MAX} bytes"));
    }
    let plain = password.to_lowercase();
    let different: BTreeSet<char> = plain.chars().collect();
    if different.len() < DIFFERENT_MIN || is_sequence(&plain) {
        return Some("it is too regular; use a few words instead".to_owned());
    }
    let is_common = COMMONEST.contains(plain.as_str());
    let own = own.iter().copied().chain(["pointsman"]);
    let mut rest = plain;
    for word in own.filter(|word| word.len() > 2).chain(COMMON) {
        rest = rest.replace(word, "");
    }
    let left = rest.chars().filter(|c| c.is_alphabetic()).count();
    (is_common || left < 4).then(|| {
        "it is easy to guess: it is one of the commonest passwords, or made of your name, the name of a team, or that of this product".to_owned()
    })
}

/// Each character follows the one before it by the same distance.
fn is_sequence(text: &str) -> bool {
    let codes: Vec<i64> = text.chars().map(|c| i64::from(u32::from(c))).collect();
    let steps: BTreeSet<i64> = codes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.len() <= 2 && steps.iter().all(|step| step.abs() <= 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [&str; 2] = ["alice", "checkout"];

    #[test]
    fn the_commonest_passwords_are_refused() {
        assert!(COMMONEST.len() > 400, "{}", COMMONEST.len());
        let taken = COMMONEST
            .iter()
            .filter(|password| password_fault(password, &[]).is_none());
        assert_eq!(taken.count(), 0);
        assert!(password_fault("FinalFantasy", &[]).is_some());
        assert_eq!(password_fault("my finalfantasy of trains", &[]), None);
    }

    #[test]
    fn what_can_be_guessed_is_refused() {
        for weak in [
            "",
            "short",
            "elevenchars",
            "aaaaaaaaaaaaaaaa",
            "123456789012",
            "password1234",
            "Password12345!",
            "P@ssw0rd2026!!",
            "alice.alice.2026",
            "pointsman2026",
            "Checkout-Alice-1",
            "admin-admin-123",
            "qwertyuiop123",
            "1q2w3e4r5t6y",
            "letmeinletmein",
            "correcthorsebatterystaple",
            "abcdefghijklmnop",
        ] {
            assert!(password_fault(weak, &OWN).is_some(), "{weak}");
        }
        let long = "ä".repeat(PASSWORD_LEN_MAX);
        assert!(password_fault(&long, &OWN).is_some());
    }

    #[test]
    fn any_characters_are_taken() {
        for good in [
            "signal box at dawn",
            "Weiche 17 klemmt im Winter",
            "转辙器冬天常常卡住了要上油",
            "xK9$mQ2!vR7#",
            "   spaces count too ",
        ] {
            assert_eq!(password_fault(good, &OWN), None, "{good}");
        }
    }
}
