//! Users, their logins and their API keys.

mod api_key;
mod login;
mod user;

pub use api_key::ApiKeyRow;
pub use login::LoginRow;
pub use user::{NewUser, UserChange, UserRow};
