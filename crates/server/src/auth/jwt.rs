//! Access tokens: JWT, HS256 and nothing else.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use taskloom_model::Timestamp;
use uuid::Uuid;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const ISSUER: &str = "taskloom";
const ACCESS: &str = "access";

/// What an access token says. The role is not in it: it is read fresh, so that a change counts at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    typ: String,
    /// The user.
    pub(crate) sub: Uuid,
    /// The login.
    pub(crate) sid: Uuid,
    /// The user's token version; an older one is void.
    pub(crate) ver: u32,
    /// Issued at, in seconds since 1970.
    pub(crate) iat: i64,
    /// Void from this second on.
    pub(crate) exp: i64,
}

impl Claims {
    pub(crate) fn new(user: Uuid, login: Uuid, version: u32, now: Timestamp, until: Timestamp) -> Self {
        Self {
            iss: ISSUER.into(),
            typ: ACCESS.into(),
            sub: user,
            sid: login,
            ver: version,
            iat: seconds(now),
            exp: seconds(until),
        }
    }

    /// When the token ends.
    pub(crate) fn expires_at(&self) -> Timestamp {
        Timestamp::from_micros(self.exp.saturating_mul(1_000_000))
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.as_micros() / 1_000_000
}

/// Signs and verifies with one secret.
pub(crate) struct Signer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Signer {
    pub(crate) fn new(secret: &[u8]) -> Self {
        // Fails only if this process has installed one before: then it is this one.
        let _ = HS256_ONLY.install_default();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        // The engine's clock decides, with no leeway; see `verify`.
        validation.validate_exp = false;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
        }
    }

    /// The token, or none if the claims do not serialise, which they always do.
    pub(crate) fn sign(&self, claims: &Claims) -> Option<String> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding).ok()
    }

    /// The claims of a token that is ours and holds at `now`.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        (claims.typ == ACCESS && claims.expires_at() > now).then_some(claims)
    }
}

/// The whole cryptography of this process's JWTs: every other algorithm is refused before a key is looked at.
static HS256_ONLY: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256::new(key.as_bytes())?) as Box<dyn JwtSigner>),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    verifier_factory: |algorithm, key| match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256::new(key.try_get_as_bytes()?)?) as Box<dyn JwtVerifier>),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(key: &[u8]) -> Result<Self, Error> {
        Hmac::new_from_slice(key).map(Self).map_err(|_| ErrorKind::InvalidKeyFormat.into())
    }

    fn over(&self, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(message);
        mac
    }
}

impl signature::Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.over(message).finalize().into_bytes().to_vec())
    }
}

impl signature::Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        self.over(message).verify_slice(signature).map_err(signature::Error::from_source)
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use std::time::Duration;

    use super::*;

    const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

    fn now() -> Timestamp {
        "2026-01-31T08:00:00Z".parse().unwrap()
    }

    fn claims() -> Claims {
        Claims::new(Uuid::from_u128(1), Uuid::from_u128(2), 3, now(), now().plus(Duration::from_mins(1)))
    }

    /// A token with any header and payload, signed with HMAC-SHA-256 under `secret`.
    fn forge(header: &str, payload: &str, secret: &[u8]) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let mac = Hs256::new(secret).unwrap().over(message.as_bytes()).finalize().into_bytes();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    #[test]
    fn reads_its_own_until_the_second_it_ends() {
        let signer = Signer::new(SECRET);
        let token = signer.sign(&claims()).unwrap();
        assert_eq!(signer.verify(&token, now()), Some(claims()));
        assert!(signer.verify(&token, now().plus(Duration::from_secs(59))).is_some());
        assert_eq!(signer.verify(&token, now().plus(Duration::from_mins(1))), None);
    }

    #[test]
    fn agrees_with_rfc_7515_on_hs256() {
        // RFC 7515, appendix A.1: an independent signature over a known message.
        let message = b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let mac = Hs256::new(&URL_SAFE_NO_PAD.decode(key).unwrap()).unwrap().over(message);
        assert_eq!(
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        );
    }

    #[test]
    fn refuses_everything_else() {
        let signer = Signer::new(SECRET);
        let payload = serde_json::to_string(&claims()).unwrap();
        let header = r#"{"alg":"HS256","typ":"JWT"}"#;
        assert!(signer.verify(&forge(header, &payload, SECRET), now()).is_some(), "the forge works");
        let none = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(&payload)
        );
        for token in [
            forge(header, &payload, b"another secret of thirty-two bytes!!"),
            forge(r#"{"alg":"none"}"#, &payload, SECRET),
            forge(r#"{"alg":"HS512"}"#, &payload, SECRET),
            forge(r#"{"alg":"RS256"}"#, &payload, SECRET),
            forge(r#"{"alg":"ES256"}"#, &payload, SECRET),
            forge(header, &payload.replace("access", "refresh"), SECRET),
            forge(header, &payload.replace("taskloom", "elsewhere"), SECRET),
            forge(header, "{}", SECRET),
            forge(header, "[]", SECRET),
            forge("nonsense", &payload, SECRET),
            none,
            String::new(),
            "..".into(),
            "a.b".into(),
            "🦀.🦀.🦀".into(),
        ] {
            assert_eq!(signer.verify(&token, now()), None, "{token}");
        }
    }
}
