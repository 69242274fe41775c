//! Text that has to fit.

/// Cuts `text` to at most `most` bytes at a character's border; what is cut says so at its end, with the bytes that are
/// left out. NULs, which databases refuse in text, are replaced. `most` has to leave room for the note, some 50 bytes.
pub fn shorten(mut text: String, most: usize) -> String {
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}");
    }
    if text.len() > most {
        let note = |bytes: usize| format!("… truncated, {bytes} bytes left out");
        // No number of bytes left out is longer than all of them.
        let kept = text.floor_char_boundary(most.saturating_sub(note(text.len()).len()));
        let note = note(text.len() - kept);
        text.truncate(kept);
        text.push_str(&note);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_a_character_and_says_how_much() {
        assert_eq!(shorten("short".into(), 100), "short");
        assert_eq!(shorten("a\0b".into(), 100), "a\u{fffd}b");
        let cut = shorten("任".repeat(100), 100);
        assert_eq!(cut, format!("{}… truncated, 234 bytes left out", "任".repeat(22)));
        assert!(cut.len() <= 100);
    }
}
