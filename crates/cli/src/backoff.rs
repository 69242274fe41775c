//! The wait between attempts as users write it.

use taskloom_model::{Backoff, BackoffKind};

use crate::duration::parse_seconds;

const RULE: &str = "expected KIND:FIRST or KIND:FIRST..LONGEST, such as fixed:5s, linear:5s..1m or \
    exponential:2s..10m; the kinds are fixed, linear and exponential";

/// A wait from `fixed:5s`, `linear:5s` or `exponential:2s..10m`. One that grows and names no longest wait grows to the
/// default one, or not at all if it begins above that.
///
/// # Errors
/// The rule that it breaks, in words.
pub(crate) fn parse_backoff(text: &str) -> Result<Backoff, String> {
    let (kind, spans) = text.split_once(':').ok_or(RULE)?;
    let kind = match kind.trim() {
        "fixed" => BackoffKind::Fixed,
        "linear" => BackoffKind::Linear,
        "exponential" => BackoffKind::Exponential,
        _ => return Err(RULE.into()),
    };
    let (first, longest) =
        spans.split_once("..").map_or((spans, None), |(first, longest)| (first, Some(longest)));
    let seconds = parse_seconds(first).map_err(|_| RULE)?;
    let longest = longest.map(parse_seconds).transpose().map_err(|_| RULE)?;
    let max_seconds = match (kind, longest) {
        (BackoffKind::Fixed, Some(_)) => {
            return Err("a fixed wait does not grow: expected fixed:TIME, such as fixed:5s".into());
        }
        (BackoffKind::Fixed, None) => seconds,
        (_, Some(longest)) if longest < seconds => {
            return Err("the longest wait must not be below the first, as in exponential:2s..10m".into());
        }
        (_, Some(longest)) => longest,
        (_, None) => Backoff::default().max_seconds.max(seconds),
    };
    Ok(Backoff { kind, seconds, max_seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_spans_are_read() {
        for (text, kind, seconds, max_seconds) in [
            ("fixed:5s", BackoffKind::Fixed, 5.0, 5.0),
            ("fixed:1h", BackoffKind::Fixed, 3600.0, 3600.0),
            ("linear:500ms", BackoffKind::Linear, 0.5, 600.0),
            ("linear:1h", BackoffKind::Linear, 3600.0, 3600.0),
            ("exponential:2s..10m", BackoffKind::Exponential, 2.0, 600.0),
            ("exponential:1.5..1.5", BackoffKind::Exponential, 1.5, 1.5),
        ] {
            assert_eq!(parse_backoff(text), Ok(Backoff { kind, seconds, max_seconds }), "{text}");
        }
    }

    #[test]
    fn mistakes_name_the_rule() {
        for text in ["", "5s", "fixed", "fixed:", "random:5s", "linear:soon", "linear:1s..", "linear:1..2..3"]
        {
            assert!(parse_backoff(text).unwrap_err().contains("linear:5s..1m"), "{text}");
        }
        assert!(parse_backoff("fixed:5s..1m").unwrap_err().contains("does not grow"));
        assert!(parse_backoff("linear:1m..5s").unwrap_err().contains("below the first"));
    }
}
