//! How long something is kept, as people write it.

use std::time::Duration;

const RULE: &str =
    "a whole number of m, h, d or w such as \"12h\" or \"30d\", from \"1m\" to \"36500d\", or \"forever\"";

/// The longest in seconds: a hundred years.
const MOST: u64 = 36_500 * 86_400;

/// Reads an age; [`Duration::MAX`] stands for ever.
pub(crate) fn parse_age(text: &str) -> Result<Duration, String> {
    if text == "forever" {
        return Ok(Duration::MAX);
    }
    let refused = || format!("{text:?} is not {RULE}");
    let unit = match text.chars().next_back() {
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        Some('w') => 604_800,
        _ => return Err(refused()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| refused())?;
    let seconds = number.checked_mul(unit).filter(|seconds| (60..=MOST).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [("1m", 60), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600)] {
            assert_eq!(parse_age(text), Ok(Duration::from_secs(seconds)));
        }
        assert_eq!(parse_age("forever"), Ok(Duration::MAX));
        for text in ["", "d", "30", "-1d", "0d", "1.5d", "30 days", "36501d", "99999999999999999999d", "日"]
        {
            assert!(parse_age(text).unwrap_err().contains("from \"1m\""), "{text}");
        }
    }
}
