//! Times as HAProxy writes them: a number and a unit.

use std::time::Duration;

/// HAProxy keeps timers in 32 bits of milliseconds.
const MAX_MILLIS: u64 = 2_147_483_647;

/// What a number without a unit counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    Milliseconds,
    Seconds,
}

/// Why a word is no time; the text completes `expected a time like 10s, `.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wrong {
    NoNumber,
    Unit,
    /// Longer than 24.8 days.
    Overflow,
}

/// Reads `10s`, `2000`, `500us`: the time, and what stands behind the unit.
///
/// HAProxy looks at the first letters only: `10sec` and `5min` mean what they say, with a warning.
pub(crate) fn parse(text: &str, unit: Unit) -> Result<(Duration, &str), Wrong> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    if number.is_empty() {
        return Err(Wrong::NoNumber);
    }
    let (micros, length): (u128, usize) = match (suffix.as_bytes(), unit) {
        ([b'u', b's', ..], _) => (1, 2),
        ([b'm', b's', ..], _) => (1_000, 2),
        ([], Unit::Milliseconds) => (1_000, 0),
        ([], Unit::Seconds) => (1_000_000, 0),
        ([b's', ..], _) => (1_000_000, 1),
        ([b'm', ..], _) => (60_000_000, 1),
        ([b'h', ..], _) => (3_600_000_000, 1),
        ([b'd', ..], _) => (86_400_000_000, 1),
        _ => return Err(Wrong::Unit),
    };
    let number: u128 = number.parse().map_err(|_| Wrong::Overflow)?;
    let micros = number.checked_mul(micros).ok_or(Wrong::Overflow)?;
    // Less than a millisecond counts as one, as HAProxy has it.
    let millis = u64::try_from(micros.div_ceil(1_000)).map_err(|_| Wrong::Overflow)?;
    if millis > MAX_MILLIS {
        return Err(Wrong::Overflow);
    }
    Ok((Duration::from_millis(millis), &suffix[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_counts_in_the_unit_of_the_keyword() {
        assert_eq!(parse("2000", Unit::Milliseconds), Ok((Duration::from_secs(2), "")));
        assert_eq!(parse("15", Unit::Seconds), Ok((Duration::from_secs(15), "")));
    }

    #[test]
    fn twenty_five_days_are_too_long() {
        assert_eq!(parse("25d", Unit::Milliseconds), Err(Wrong::Overflow));
        assert_eq!(parse("24d", Unit::Milliseconds), Ok((Duration::from_secs(24 * 86_400), "")));
        assert_eq!(parse("10sec", Unit::Milliseconds), Ok((Duration::from_secs(10), "ec")));
    }

    #[test]
    fn a_wrong_unit_is_not_taken_for_a_number() {
        assert_eq!(parse("10x", Unit::Milliseconds), Err(Wrong::Unit));
        assert_eq!(parse("10u", Unit::Milliseconds), Err(Wrong::Unit));
        assert_eq!(parse("s", Unit::Milliseconds), Err(Wrong::NoNumber));
    }
}
