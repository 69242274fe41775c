//! Text as one segment of a URL's path.

use std::fmt::Write;

/// Escapes everything but unreserved characters.
pub(crate) fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => escaped.push(char::from(byte)),
            // A lone dot would be taken for the directory above.
            _ => _ = write!(escaped, "%{byte:02X}"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_segment() {
        assert_eq!(segment("../x?y#z 任"), "%2E%2E%2Fx%3Fy%23z%20%E4%BB%BB");
    }
}
