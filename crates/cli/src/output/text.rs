//! Text that others wrote, made safe and short for a terminal.

use serde_json::Value;
use unicode_width::UnicodeWidthChar;

/// Replaces control characters, so that a task's text cannot steer the terminal. Line ends and tabs stay.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// At most `columns` wide, on one line; what is cut ends in `…`. Wide characters count as two columns.
pub(crate) fn clip(text: &str, columns: usize) -> String {
    let one_line: String = plain(text).chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    if unicode_width::UnicodeWidthStr::width(one_line.as_str()) <= columns {
        return one_line;
    }
    let mut clipped = String::new();
    let mut used = 1;
    for c in one_line.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        clipped.push(c);
    }
    clipped.push('…');
    clipped
}

/// JSON in few words: `step 3, steps 10` for a flat object (by key), text without its quotes, else the JSON itself.
pub(crate) fn brief(json: &str) -> String {
    match serde_json::from_str(json) {
        Ok(Value::String(text)) => text,
        Ok(Value::Null) => String::new(),
        Ok(Value::Object(fields)) if fields.values().all(|v| !v.is_object() && !v.is_array()) => {
            let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            fields.iter().map(|(key, value)| format!("{key} {}", word(value))).collect::<Vec<_>>().join(", ")
        }
        _ => json.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_do_not_reach_the_terminal() {
        assert_eq!(plain("a\x1b[31mb\tc\n\u{9b}"), "a\u{fffd}[31mb\tc\n\u{fffd}");
    }

    #[test]
    fn details_are_brief() {
        for (json, text) in [
            (r#"{"step":3,"of":"ten"}"#, "of ten, step 3"),
            (r#""half way""#, "half way"),
            ("null", ""),
            (r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            ("not json", "not json"),
        ] {
            assert_eq!(brief(json), text);
        }
    }

    #[test]
    fn clips_by_columns_not_by_characters() {
        assert_eq!(clip("数据处理任务", 12), "数据处理任务");
        assert_eq!(clip("数据处理任务", 8), "数据处…");
        assert_eq!(clip("two\nlines", 20), "two lines");
        assert_eq!(clip("abc", 0), "…");
    }
}
