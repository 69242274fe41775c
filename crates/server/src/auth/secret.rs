//! Opaque secrets with the id of their row in front: refresh tokens and API keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Starts an API key.
pub(crate) const API_KEY: &str = "tlk_";
/// Starts a refresh token.
pub(crate) const REFRESH: &str = "tlr_";

/// A secret as its holder sends it: `<prefix><id, 32 hex digits>_<secret, 43 characters>`.
pub(crate) struct Secret {
    pub(crate) id: Uuid,
    /// The SHA-256 of the secret part. It needs no slow hash: 256 random bits cannot be guessed.
    pub(crate) hash: [u8; 32],
}

impl Secret {
    /// A fresh secret for the row `id`, as text for its holder and as hash for the store.
    pub(crate) fn mint(prefix: &str, id: Uuid) -> (String, [u8; 32]) {
        let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        (format!("{prefix}{}_{secret}", id.as_simple()), sha256(secret.as_bytes()))
    }

    /// Reads what a client sent; none if it has another shape.
    pub(crate) fn read(prefix: &str, text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(prefix)?.split_once('_')?;
        if id.len() != 32 || secret.len() != 43 {
            return None;
        }
        Some(Self { id: Uuid::try_parse(id).ok()?, hash: sha256(secret.as_bytes()) })
    }

    /// Whether this is the secret of that hash; takes the same time either way.
    pub(crate) fn matches(&self, hash: &[u8; 32]) -> bool {
        self.hash.ct_eq(hash).into()
    }
}

/// The SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_minted_and_nothing_else() {
        let id = Uuid::from_u128(7);
        let (text, hash) = Secret::mint(API_KEY, id);
        let read = Secret::read(API_KEY, &text).unwrap();
        assert_eq!(read.id, id);
        assert!(read.matches(&hash) && !read.matches(&[0; 32]));
        let last = if text.ends_with('A') { "B" } else { "A" };
        let other = format!("{}{last}", &text[..text.len() - 1]);
        assert!(!Secret::read(API_KEY, &other).unwrap().matches(&hash));
        for bad in ["", "tlk_", "tlk_x_y", &text[..text.len() - 1], &text.replace("tlk_", "tlr_"), "tlk_ä_ö"]
        {
            assert!(Secret::read(API_KEY, bad).is_none(), "{bad}");
        }
    }
}
