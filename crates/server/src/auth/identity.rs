//! Who sends a request: the credential checked, and remembered for a moment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderMap, header};
use taskloom_model::{Role, Timestamp};
use taskloom_protocol::Scope;
use uuid::Uuid;

use crate::auth::secret::{API_KEY, Secret, sha256};
use crate::problem::{ApiError, ApiResult};
use crate::state::AppState;

/// A change made by another process counts here after this time at the latest; one made here counts at once.
const FRESH: Duration = Duration::from_secs(2);
/// Credentials remembered at once.
const CAPACITY: usize = 10_000;

/// A user behind a valid credential.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) user_id: Uuid,
    pub(crate) role: Role,
    pub(crate) credential: Credential,
    /// When the credential ends.
    expires_at: Option<Timestamp>,
}

/// What the user showed.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    /// An access token of this login.
    Login(Uuid),
    /// This API key, with its scopes.
    ApiKey(Uuid, Vec<Scope>),
}

/// Identities by the hash of their credential.
#[derive(Default)]
pub(crate) struct Identities {
    known: RwLock<HashMap<[u8; 32], Known>>,
    /// Rises with every `forget`: what was read from the store before is not remembered after.
    generation: AtomicU64,
}

#[derive(Clone)]
struct Known {
    identity: Arc<Identity>,
    checked_at: Timestamp,
}

impl Identities {
    fn get(&self, key: &[u8; 32], now: Timestamp) -> Option<Arc<Identity>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(key)?;
        let holds = now.since(found.checked_at) < FRESH
            && now >= found.checked_at
            && found.identity.expires_at.is_none_or(|end| end > now);
        holds.then(|| Arc::clone(&found.identity))
    }

    fn put(&self, key: [u8; 32], identity: &Arc<Identity>, now: Timestamp, generation: u64) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if self.generation.load(Ordering::SeqCst) != generation {
            return;
        }
        if known.len() >= CAPACITY {
            known.retain(|_, k| now.since(k.checked_at) < FRESH);
            if known.len() >= CAPACITY {
                known.clear();
            }
        }
        known.insert(key, Known { identity: Arc::clone(identity), checked_at: now });
    }

    fn forget(&self, is_gone: impl Fn(&Identity) -> bool) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::SeqCst);
        known.retain(|_, k| !is_gone(&k.identity));
    }

    /// Call after a user's role, password or activity has changed.
    pub(crate) fn forget_user(&self, user: Uuid) {
        self.forget(|identity| identity.user_id == user);
    }

    /// Call after a login has been revoked.
    pub(crate) fn forget_login(&self, login: Uuid) {
        self.forget(|identity| matches!(identity.credential, Credential::Login(id) if id == login));
    }

    /// Call after an API key has been revoked.
    pub(crate) fn forget_api_key(&self, key: Uuid) {
        self.forget(|identity| matches!(identity.credential, Credential::ApiKey(id, _) if id == key));
    }
}

impl AppState {
    /// Who sends these headers.
    pub(crate) async fn identify(&self, headers: &HeaderMap) -> ApiResult<Arc<Identity>> {
        let text = credential(headers)?;
        let key = sha256(text.as_bytes());
        let now = self.now();
        if let Some(identity) = self.identities.get(&key, now) {
            return Ok(identity);
        }
        let generation = self.identities.generation.load(Ordering::SeqCst);
        let identity = if text.starts_with(API_KEY) {
            self.identify_api_key(text, now).await?
        } else {
            self.identify_login(text, now).await?
        };
        let identity = Arc::new(identity);
        self.identities.put(key, &identity, now, generation);
        Ok(identity)
    }

    async fn identify_login(&self, token: &str, now: Timestamp) -> ApiResult<Identity> {
        let claims = self.signer.verify(token, now).ok_or_else(invalid)?;
        let login = self.store().login_by_id(claims.sid).await?.ok_or_else(invalid)?;
        if login.revoked_at.is_some() || login.user_id != claims.sub {
            return Err(invalid());
        }
        let row = self.store().user_by_id(claims.sub).await?.ok_or_else(invalid)?;
        if !row.user.is_active || row.token_version != claims.ver {
            return Err(invalid());
        }
        Ok(Identity {
            user_id: row.user.id,
            role: row.user.role,
            credential: Credential::Login(claims.sid),
            expires_at: Some(claims.expires_at()),
        })
    }

    async fn identify_api_key(&self, text: &str, now: Timestamp) -> ApiResult<Identity> {
        let secret = Secret::read(API_KEY, text).ok_or_else(invalid)?;
        let row = self.store().api_key_by_id(secret.id).await?.ok_or_else(invalid)?;
        let key = row.api_key;
        let is_over = key.revoked_at.is_some() || key.expires_at.is_some_and(|end| end <= now);
        if !secret.matches(&row.secret_hash) || is_over {
            return Err(invalid());
        }
        let owner = self.store().user_by_id(key.user_id).await?.ok_or_else(invalid)?.user;
        if !owner.is_active {
            return Err(invalid());
        }
        Ok(Identity {
            user_id: owner.id,
            role: owner.role,
            credential: Credential::ApiKey(key.id, key.scopes),
            expires_at: key.expires_at,
        })
    }
}

fn invalid() -> ApiError {
    ApiError::unauthorized("the token or key is wrong, expired or revoked")
}

/// The credential of a request: `Authorization: Bearer`, else `X-API-Key`.
fn credential(headers: &HeaderMap) -> ApiResult<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or_else(invalid)?;
        return if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(invalid()) };
    }
    match headers.get("x-api-key") {
        // Only an API key counts here: a token in this header is a mistake worth hearing about.
        Some(key) => key.to_str().ok().filter(|k| k.starts_with(API_KEY)).ok_or_else(invalid),
        None => Err(ApiError::unauthorized("send Authorization: Bearer <token>, or X-API-Key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(expires_at: Option<Timestamp>) -> Arc<Identity> {
        let credential = Credential::Login(Uuid::from_u128(2));
        Arc::new(Identity { user_id: Uuid::from_u128(1), role: Role::User, credential, expires_at })
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).plus(Duration::from_millis(millis))
    }

    #[test]
    fn remembers_for_a_moment_and_never_past_the_end() {
        let known = Identities::default();
        known.put([0; 32], &identity(None), at(0), 0);
        known.put([1; 32], &identity(Some(at(500))), at(0), 0);
        assert!(known.get(&[0; 32], at(1_999)).is_some());
        assert!(known.get(&[0; 32], at(2_000)).is_none());
        assert!(known.get(&[1; 32], at(499)).is_some());
        assert!(known.get(&[1; 32], at(500)).is_none());
    }

    #[test]
    fn forgets_at_once_and_does_not_remember_what_was_read_before() {
        let known = Identities::default();
        let old = known.generation.load(Ordering::SeqCst);
        known.put([0; 32], &identity(None), at(0), old);
        known.forget_user(Uuid::from_u128(9));
        assert!(known.get(&[0; 32], at(0)).is_some(), "another user");
        known.forget_login(Uuid::from_u128(2));
        assert!(known.get(&[0; 32], at(0)).is_none());
        known.put([0; 32], &identity(None), at(0), old);
        assert!(known.get(&[0; 32], at(0)).is_none(), "read before the revocation");
    }

    #[test]
    fn stays_within_its_capacity() {
        let known = Identities::default();
        for n in 0..CAPACITY as u64 + 10 {
            known.put(sha256(&n.to_be_bytes()), &identity(None), at(0), 0);
        }
        assert!(known.known.read().unwrap().len() <= CAPACITY);
    }

    #[test]
    fn finds_the_credential() {
        let read = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            credential(&headers).ok().map(str::to_owned)
        };
        assert_eq!(read("authorization", "Bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("authorization", "bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(read("x-api-key", "tlk_1_2").as_deref(), Some("tlk_1_2"));
        for (name, value) in
            [("authorization", "Basic abc"), ("authorization", "abc"), ("x-api-key", "abc"), ("cookie", "a")]
        {
            assert_eq!(read(name, value), None, "{name}: {value}");
        }
    }
}
