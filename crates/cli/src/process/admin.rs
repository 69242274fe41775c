//! The first user.

use rand::RngExt;
use taskloom_model::Role;
use taskloom_server::hash_password;
use taskloom_store::{NewUser, Store, StoreError};
use uuid::Uuid;

use crate::commands::now;
use crate::config::{Environment, Secret};
use crate::error::CliError;

/// The first user's name.
pub(crate) const NAME: &str = "admin";

/// How the first user came to its password.
#[derive(Debug)]
pub(crate) enum FirstPassword {
    /// There were users already.
    NotNeeded,
    /// `TASKLOOM_ADMIN_PASSWORD` set it.
    FromEnvironment,
    /// We made it up; it must be shown, once.
    Generated(Secret),
}

/// Creates `admin` if there is no user at all.
pub(crate) async fn create_if_first(
    store: &Store,
    environment: &Environment,
) -> Result<FirstPassword, CliError> {
    let failed = |e: StoreError| CliError::failed(format!("cannot create the first user: {e}"));
    if store.user_count().await.map_err(failed)? > 0 {
        return Ok(FirstPassword::NotNeeded);
    }
    let (password, first) = match environment.get("TASKLOOM_ADMIN_PASSWORD") {
        Some(text) if !(8..=256).contains(&text.chars().count()) => {
            return Err(CliError::usage("TASKLOOM_ADMIN_PASSWORD must have 8 to 256 characters"));
        }
        Some(text) => (Secret::new(text), FirstPassword::FromEnvironment),
        None => {
            let password = generate();
            (password.clone(), FirstPassword::Generated(password))
        }
    };
    let password_hash = hash_password(password.expose())
        .map_err(|e| CliError::failed(format!("cannot create the first user: {e}")))?;
    let user = NewUser {
        id: Uuid::now_v7(),
        username: NAME.into(),
        email: None,
        password_hash,
        role: Role::Admin,
        created_at: now(),
    };
    match store.user_create(user).await {
        // Another process that started at the same time was first.
        Err(StoreError::Duplicate) => Ok(FirstPassword::NotNeeded),
        created => created.map(|()| first).map_err(failed),
    }
}

/// 20 characters that cannot be mistaken for each other: about 113 bits.
pub(crate) fn generate() -> Secret {
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut rng = rand::rng();
    let password: String =
        (0..20).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect();
    Secret::new(password)
}
