//! Spans of time as users write them.

/// Seconds from `90`, `1.5`, `500ms`, `30s`, `5m`, `2h` or `1d`.
///
/// # Errors
/// What is expected, in words.
pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (number, factor) = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)]
        .into_iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, factor)))
        .unwrap_or((text, 1.0));
    let seconds =
        number.trim().parse::<f64>().ok().map(|n| n * factor).filter(|s| s.is_finite() && *s >= 0.0);
    seconds.ok_or_else(|| "expected seconds or a span such as 90, 500ms, 30s, 5m, 2h or 1d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (text, seconds) in
            [("90", 90.0), ("1.5", 1.5), ("500ms", 0.5), ("5m", 300.0), ("2h", 7200.0), ("1d", 86_400.0)]
        {
            assert_eq!(parse_seconds(text), Ok(seconds));
        }
        for text in ["", "soon", "-1", "inf", "1w", "NaN"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }
}
