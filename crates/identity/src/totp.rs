//! Time-based one-time passwords: RFC 6238 with HMAC-SHA-1, six digits and steps of 30 seconds.
//!
//! **Invariants.** A code is compared in constant time, and so are all codes of a window: how long
//! a search takes does not tell which step was right.
//!
//! **Must not know:** whose device it is, which codes were used.

use hmac::{Hmac, Mac};
use model::{Secret, Timestamp};
use sha1::Sha1;

/// The length of a step.
const STEP_SECS: u64 = 30;
/// One more than the greatest code of six digits.
const CODES: u32 = 1_000_000;

/// The step that a time is in.
pub(crate) fn step_at(now: Timestamp) -> u64 {
    now.secs() / STEP_SECS
}

/// The code of a step. RFC 4226, 5.3.
pub(crate) fn code(seed: &Secret<Vec<u8>>, step: u64) -> Secret<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(seed.expose()).expect("a key of any length");
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let offset = hash.last().map_or(0, |byte| usize::from(byte & 0xf));
    let four = hash.iter().skip(offset).take(4);
    let number = four.fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) & 0x7fff_ffff;
    Secret::new(format!("{:06}", number % CODES))
}

/// The first step of these whose code, followed by those of the next steps, is given.
pub(crate) fn find_step(
    seed: &Secret<Vec<u8>>,
    steps: impl Iterator<Item = u64>,
    codes: &[&Secret<String>],
) -> Option<u64> {
    let is_right = |step: &u64| {
        let given = codes.iter().zip(*step..);
        given.fold(true, |right, (given, step)| right & (**given == code(seed, step)))
    };
    steps.fold(None, |found, step| {
        let right = is_right(&step);
        found.or(right.then_some(step))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> Secret<Vec<u8>> {
        Secret::new(b"12345678901234567890".to_vec())
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        let vectors = [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ];
        for (secs, expected) in vectors {
            let step = step_at(Timestamp::from_secs(secs));
            assert_eq!(code(&seed(), step).expose(), expected, "{secs}");
        }
    }

    #[test]
    fn codes_in_a_row_tell_their_step() {
        let codes = [7, 8].map(|step| code(&seed(), step));
        let [first, second] = &codes;
        assert_eq!(find_step(&seed(), 0..20, &[first, second]), Some(7));
        assert_eq!(find_step(&seed(), 0..20, &[second]), Some(8));
        assert_eq!(find_step(&seed(), 0..7, &[first, second]), None);
        assert_eq!(find_step(&seed(), 0..20, &[second, first]), None);
        assert_eq!(find_step(&seed(), 0..20, &[first, first]), None);
        let blank = Secret::new(format!(" {}", first.expose()));
        assert_eq!(find_step(&seed(), 0..20, &[&blank]), None);
    }
}
