//! Whether a file arrived as it was sent.

use sha2::{Digest, Sha256};

/// The SHA-256 of what has come so far.
#[derive(Debug, Default)]
pub struct Checksum(Sha256);

impl Checksum {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Whether it is this one, in hex.
    pub fn equals(self, hex: &str) -> bool {
        let sum = self.0.finalize();
        let byte = |at: usize| hex.get(at * 2..at * 2 + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        sum.len() * 2 == hex.len() && sum.iter().enumerate().all(|(at, expected)| byte(at) == Some(*expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_makes_the_difference() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert!(Checksum::default().equals(empty));
        assert!(Checksum::default().equals(&empty.to_uppercase()));
        for wrong in ["", &empty[1..], &empty.replace("855", "854"), &empty.replace("e3", "任")] {
            assert!(!Checksum::default().equals(wrong), "{wrong}");
        }
        let mut other = Checksum::default();
        other.update(b"x");
        assert!(!other.equals(empty));
    }
}
