//! What tokens look like, so that scanners find one that leaked, and a mistyped one is recognised.
//!
//! ```text
//! pm_ + 32 random bytes in base 62 (43 characters) + their CRC-32 in base 62 (6 characters)
//! ```

/// Random bytes of a secret.
pub const SECRET_BYTES: usize = 32;
const PREFIX: &str = "pm_";
const BODY_LEN: usize = 43;
const CHECK_LEN: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The token that these random bytes make.
#[must_use]
pub fn token_of(random: &[u8; SECRET_BYTES]) -> String {
    let body = base62(random, BODY_LEN);
    let check = base62(&crc32(body.as_bytes()).to_be_bytes(), CHECK_LEN);
    format!("{PREFIX}{body}{check}")
}

/// Whether `text` has the form of a token, its checksum included.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let Some((body, check)) = text
        .strip_prefix(PREFIX)
        .filter(|rest| rest.is_ascii() && rest.len() == BODY_LEN + CHECK_LEN)
        .and_then(|rest| rest.split_at_checked(BODY_LEN))
    else {
        return false;
    };
    check == base62(&crc32(body.as_bytes()).to_be_bytes(), CHECK_LEN)
}

/// A number in base 62, with leading zeros to `len` digits.
fn base62(number: &[u8], len: usize) -> String {
    let mut rest = number.to_vec();
    let mut digits = Vec::with_capacity(len);
    for _ in 0..len {
        let mut remainder = 0_u32;
        for byte in &mut rest {
            let value = remainder * 256 + u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        let digit = usize::try_from(remainder).unwrap_or_default();
        digits.push(char::from(DIGITS[digit]));
    }
    digits.iter().rev().collect()
}

/// CRC-32 as zip and Ethernet use it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| match crc & 1 {
        1 => (crc >> 1) ^ 0xEDB8_8320,
        _ => crc >> 1,
    };
    let sum = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), step)
    });
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_token_is_recognised_and_a_mistyped_one_is_not() {
        for random in [[0; SECRET_BYTES], [255; SECRET_BYTES], [7; SECRET_BYTES]] {
            let token = token_of(&random);
            assert_eq!(token.len(), 52, "{token}");
            assert!(is_token(&token), "{token}");
            for at in 3..token.len() {
                let mut typed: Vec<char> = token.chars().collect();
                typed[at] = if typed[at] == 'x' { 'y' } else { 'x' };
                let typed: String = typed.into_iter().collect();
                assert!(!is_token(&typed), "{typed}");
            }
        }
        for wrong in ["", "pm_", "pm_é", "gh_00000000000000000000"] {
            assert!(!is_token(wrong), "{wrong}");
        }
    }

    #[test]
    fn different_bytes_make_different_tokens() {
        let (mut one, mut other) = ([0; SECRET_BYTES], [0; SECRET_BYTES]);
        (one[0], other[31]) = (1, 1);
        assert_ne!(token_of(&one), token_of(&other));
        assert_ne!(token_of(&one), token_of(&[0; SECRET_BYTES]));
    }
}
