//! Passwords: Argon2id, hashed away from the threads that serve requests, and never many at once.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::problem::{ApiError, ApiResult};

/// Hashes at once; each takes 19 MiB and a core for some 20 ms.
const AT_ONCE: usize = 2;
/// Hashes that may wait for their turn; more than that is a flood.
const WAITING: usize = 128;
/// The longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The password cannot be hashed: it is longer than 4 GiB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the password cannot be hashed")]
pub struct HashError;

/// The Argon2id hash of a password, as a PHC string. Takes a core for some 20 ms.
///
/// Parameters: 19 MiB, 2 passes, 1 lane. Source: OWASP Password Storage Cheat Sheet.
pub fn hash_password(password: &str) -> Result<String, HashError> {
    let salt = rand::random::<[u8; 16]>();
    let hash: PasswordHash =
        argon2().hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| HashError)?;
    Ok(hash.to_string())
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn is_right(password: &str, hash: &str) -> bool {
    // The parameters come from the hash, so older ones keep working.
    PasswordHash::new(hash).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Verified for users that do not exist, so that they cost the same time. Of a password nobody has.
const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$XPOOoXy9BgeWb8XVu7rrlA$CycD8L8uorbTBhGvOxeacTvFZunL7reod7zj7vG6h9A";

/// Hashes on threads for blocking work, a few at a time.
pub(crate) struct Hasher {
    turns: Arc<Semaphore>,
    queue: Semaphore,
}

impl Default for Hasher {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), queue: Semaphore::new(WAITING) }
    }
}

impl Hasher {
    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: String) -> ApiResult<String> {
        let hashed = self.turn(move || hash_password(&password)).await?;
        hashed.map_err(|error| ApiError::internal(error.to_string()))
    }

    /// Whether the password belongs to the hash; without one, never, after the same time.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> ApiResult<bool> {
        self.turn(move || {
            let matches = is_right(&password, hash.as_deref().unwrap_or(DUMMY));
            matches && hash.is_some()
        })
        .await
    }

    async fn turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> ApiResult<T> {
        let _queued = self.queue.try_acquire().map_err(|_| busy())?;
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.map_err(|_| busy())?.map_err(|_| busy())?;
        let worked = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, also when the client has gone.
            let _turn = turn;
            work()
        });
        worked.await.map_err(|error| ApiError::internal(error.to_string()))
    }
}

fn busy() -> ApiError {
    ApiError::unavailable("too many passwords to check at once")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn knows_the_right_password() {
        let hasher = Hasher::default();
        let hash = hasher.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hash_password("correct horse").unwrap(), "salted");
        assert!(PasswordHash::new(DUMMY).is_ok(), "or the dummy would cost no time");
        for (password, hash, right) in [
            ("correct horse", Some(hash.clone()), true),
            ("wrong horse", Some(hash), false),
            ("nobody", None, false),
            ("correct horse", Some("rubbish".into()), false),
        ] {
            assert_eq!(hasher.verify(password.into(), hash).await.unwrap(), right);
        }
    }
}
