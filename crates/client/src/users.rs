//! Users: oneself, and all of them for admins.

use taskloom_protocol::{CreateUser, ListUsers, UpdateUser, User};
use uuid::Uuid;

use crate::transport::Call;
use crate::{Client, Error, Pages};

/// What can be done with users: see [`Client::users`].
#[derive(Debug, Clone, Copy)]
pub struct Users<'a>(pub(crate) &'a Client);

impl Users<'_> {
    /// The user whose token the client sends.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn me(&self) -> Result<User, Error> {
        self.0.call(Call::get("/users/me")).await
    }

    /// Creates a user.
    ///
    /// # Errors
    /// Those of a call; [`Code::Forbidden`](crate::Code::Forbidden) to all but admins with a login;
    /// [`Code::Conflict`](crate::Code::Conflict) if the name is taken.
    pub async fn create(&self, user: &CreateUser) -> Result<User, Error> {
        self.0.call(Call::post("/users").body(user)?).await
    }

    /// One user.
    ///
    /// # Errors
    /// Those of a call; [`Code::Forbidden`](crate::Code::Forbidden) to all but admins with a login.
    pub async fn get(&self, id: Uuid) -> Result<User, Error> {
        self.0.call(Call::get(path(id))).await
    }

    /// All users by name, `limit` at a time; with `after` only those behind that name.
    ///
    /// # Errors
    /// None yet; those of [`Users::get`] come as it is read.
    pub fn list(&self, query: &ListUsers) -> Result<Pages<User>, Error> {
        Ok(Pages::new(self.0, Call::get("/users").queries(query)?))
    }

    /// Changes a user: what is left out stays. Another role, a new password and a deactivation end all logins of the user
    /// at once.
    ///
    /// # Errors
    /// Those of [`Users::get`]; [`Code::Conflict`](crate::Code::Conflict) if admins change their own role or deactivate
    /// themselves.
    pub async fn change(&self, id: Uuid, change: &UpdateUser) -> Result<User, Error> {
        self.0.call(Call::patch(path(id)).body(change)?).await
    }
}

fn path(id: Uuid) -> String {
    format!("/users/{id}")
}
