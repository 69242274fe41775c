//! API keys: created, listed, revoked.

use taskloom_protocol::{ApiKey, ApiKeyList, CreateApiKey, NewApiKey};
use uuid::Uuid;

use crate::transport::Call;
use crate::{Client, Error};

/// What can be done with one's own API keys: see [`Client::api_keys`].
#[derive(Debug, Clone, Copy)]
pub struct ApiKeys<'a>(pub(crate) &'a Client);

impl ApiKeys<'_> {
    /// Creates a key. Only this answer has its secret: if it gets lost, revoke the key and create another.
    ///
    /// # Errors
    /// Those of a call; [`Code::Forbidden`](crate::Code::Forbidden) without a login, and if the role does not allow a
    /// scope; [`Code::Conflict`](crate::Code::Conflict) if there are 200 already that are not revoked.
    pub async fn create(&self, key: &CreateApiKey) -> Result<NewApiKey, Error> {
        self.0.call(Call::post("/api-keys").body(key)?).await
    }

    /// Up to 1,000 keys, without their secrets, the newest first and revoked ones too.
    ///
    /// # Errors
    /// Those of a call; [`Code::Forbidden`](crate::Code::Forbidden) without a login.
    pub async fn list(&self) -> Result<Vec<ApiKey>, Error> {
        let answer: ApiKeyList = self.0.call(Call::get("/api-keys")).await?;
        Ok(answer.items)
    }

    /// Revokes a key, at once and for good; an admin can do so to anybody's.
    ///
    /// # Errors
    /// Those of [`ApiKeys::list`]; [`Code::NotFound`](crate::Code::NotFound) also for keys of others.
    pub async fn revoke(&self, id: Uuid) -> Result<(), Error> {
        self.0.tell(Call::delete(format!("/api-keys/{id}")).repeatable()).await
    }
}
