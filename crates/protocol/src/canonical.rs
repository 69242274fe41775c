//! JSON in one spelling, so that equal values are equal texts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::value::RawValue;

use crate::JsonError;

/// The value's one spelling: no blanks, keys of objects in the order of their bytes, strings with as few escapes as JSON
/// allows, numbers without needless digits.
///
/// A number with a point or an exponent is a decimal, one without is an integer, and they stay apart: many languages
/// tell `1` from `1.0`, and a handler may answer them differently. Decimals of equal value are spelt alike (`1.50`,
/// `1.5`, `15e-1`), and no digit is lost.
///
/// # Errors
/// The text is no JSON.
pub fn canonical(json: &str) -> Result<String, JsonError> {
    let mut out = String::with_capacity(json.len());
    write(json.trim(), &mut out).map_err(|error| JsonError(error.to_string()))?;
    Ok(out)
}

fn write(json: &str, out: &mut String) -> serde_json::Result<()> {
    match json.as_bytes().first() {
        Some(b'{') => object(&serde_json::from_str(json)?, out),
        Some(b'[') => list(&serde_json::from_str::<Vec<&RawValue>>(json)?, out),
        Some(b'"') => string(&serde_json::from_str::<String>(json)?, out),
        Some(b'-' | b'0'..=b'9') => {
            // Checks its form; its value may be beyond what a float holds.
            serde_json::from_str::<&RawValue>(json)?;
            number(json, out);
            Ok(())
        }
        _ => {
            out.push_str(serde_json::from_str::<&RawValue>(json)?.get());
            Ok(())
        }
    }
}

fn object(members: &BTreeMap<String, &RawValue>, out: &mut String) -> serde_json::Result<()> {
    out.push('{');
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(key, out)?;
        out.push(':');
        write(value.get(), out)?;
    }
    out.push('}');
    Ok(())
}

fn list(items: &[&RawValue], out: &mut String) -> serde_json::Result<()> {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item.get(), out)?;
    }
    out.push(']');
    Ok(())
}

fn string(text: &str, out: &mut String) -> serde_json::Result<()> {
    out.push_str(&serde_json::to_string(text)?);
    Ok(())
}

fn number(text: &str, out: &mut String) {
    if !text.contains(['.', 'e', 'E']) {
        out.push_str(if text == "-0" { "0" } else { text });
        return;
    }
    match decimal(text) {
        Some((digits, power)) => {
            if text.starts_with('-') {
                out.push('-');
            }
            // Writing to a string does not fail.
            let _ = write!(out, "{digits}e{power}");
        }
        None => out.push_str(text),
    }
}

/// The digits of a decimal without zeros at either end, and the power of ten that they are multiplied by. Nothing for a
/// power that no number of ours has.
fn decimal(text: &str) -> Option<(String, i64)> {
    let text = text.trim_start_matches('-');
    let (mantissa, power) = match text.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let shortest = digits.trim_end_matches('0');
    if shortest.is_empty() {
        return Some(("0".to_owned(), 0));
    }
    let power = power.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let power = power.checked_add(i64::try_from(digits.len() - shortest.len()).ok()?)?;
    Some((shortest.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(texts: &[&str]) {
        let all: Vec<String> = texts.iter().map(|text| canonical(text).unwrap()).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}: {all:?}");
    }

    #[test]
    fn equal_values_have_one_spelling() {
        same(&[
            "{\"b\":[1, 2],\"a\":null}",
            " {\"a\" : null, \"b\":[1,2] }\n",
            "{\"\\u0061\":null,\"b\":[1,2]}",
        ]);
        same(&["\"caf\\u00e9\\/\"", "\"café/\""]);
        same(&["1.5", "1.50", "15e-1", "0.15E+1", "150.0e-2"]);
        same(&["0.0", "0e7", "0.000"]);
        same(&["0", "-0"]);
        same(&["100.0", "1e2", "1.0E2"]);
        assert_eq!(
            canonical("{\"z\":{\"y\":1,\"x\":[true,false]},\"a\":\"\"}").unwrap(),
            "{\"a\":\"\",\"z\":{\"x\":[true,false],\"y\":1}}"
        );
    }

    #[test]
    fn other_values_have_other_spellings() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "\"1\""),
            ("0.0", "-0.0"),
            ("1.5", "-1.5"),
            ("[1,2]", "[2,1]"),
            ("null", "false"),
            ("9007199254740993", "9007199254740992"),
            ("0.1", "0.1000000000000000000000001"),
            ("1e400", "1e401"),
            ("{}", "[]"),
            ("{\"a\":{}}", "{\"a\":[]}"),
            ("[\"a\",\"b\"]", "[\"a,b\"]"),
        ] {
            assert_ne!(canonical(one).unwrap(), canonical(other).unwrap(), "{one} and {other}");
        }
    }

    #[test]
    fn rubbish_is_refused() {
        for text in ["", "{", "01", "1.", "nul", "[1,]", "{\"a\"}", "1 2", "\"\u{1}\""] {
            assert!(canonical(text).is_err(), "{text:?}");
        }
    }
}
