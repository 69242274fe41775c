//! Users and API keys.

use taskloom_client::{
    Client, Code, CountTasks, CreateApiKey, CreateUser, ListUsers, Role, Scope, UpdateUser,
};

use crate::server::{PASSWORD, Server};

#[tokio::test]
async fn users_are_made_listed_and_changed() {
    let server = Server::start().await;
    let (ann, ada) = (server.client("ann").await, server.client("ada").await);
    let users = ada.users();
    let new = CreateUser {
        username: "eve".into(),
        email: Some("eve@example.org".into()),
        password: "battery staple".into(),
        role: Some(Role::Viewer),
    };
    let eve = users.create(&new).await.unwrap();
    assert_eq!((eve.username.as_str(), eve.role, eve.is_active), ("eve", Role::Viewer, true));
    assert_eq!(users.create(&new).await.unwrap_err().code(), Some(Code::Conflict));
    assert_eq!(users.get(eve.id).await.unwrap(), eve);
    let in_pages = ListUsers { limit: Some(2), ..ListUsers::default() };
    let all = users.list(&in_pages).unwrap().all().await.unwrap();
    let names: Vec<_> = all.iter().map(|user| user.username.as_str()).collect();
    assert_eq!(names, ["ada", "ann", "eve", "olga"]);
    let behind = ListUsers { after: Some("eve".into()), ..ListUsers::default() };
    assert_eq!(users.list(&behind).unwrap().next().await.unwrap().unwrap().username, "olga");

    // The password with which these tests log in.
    let change =
        UpdateUser { role: Some(Role::User), password: Some(PASSWORD.into()), ..UpdateUser::default() };
    let changed = users.change(eve.id, &change).await.unwrap();
    assert_eq!((changed.role, &changed.email, changed.is_active), (Role::User, &eve.email, true));
    let hers = server.client("eve").await;
    hers.task("demo.echo").submit().await.unwrap();
    let shut_out = UpdateUser { is_active: Some(false), ..UpdateUser::default() };
    assert!(!users.change(eve.id, &shut_out).await.unwrap().is_active);
    assert_eq!(hers.users().me().await.unwrap_err().code(), Some(Code::Unauthorized));

    let own = users.me().await.unwrap().id;
    assert_eq!(users.change(own, &shut_out).await.unwrap_err().code(), Some(Code::Conflict));
    let nothing = UpdateUser::default();
    assert_eq!(users.change(own, &nothing).await.unwrap_err().code(), Some(Code::Validation));
    assert_eq!(ann.users().me().await.unwrap().role, Role::User);
    assert_eq!(ann.users().get(own).await.unwrap_err().code(), Some(Code::Forbidden));
}

#[tokio::test]
async fn api_keys_are_made_used_and_revoked() {
    let server = Server::start().await;
    let (ann, olga) = server.clients().await;
    let asked = CreateApiKey {
        name: "nightly".into(),
        scopes: vec![Scope::TasksRead],
        expires_at: Some("2100-01-01T00:00:00Z".parse().unwrap()),
    };
    let made = ann.api_keys().create(&asked).await.unwrap();
    let id = made.api_key.id;
    assert_eq!((made.api_key.name.as_str(), &made.api_key.scopes), ("nightly", &asked.scopes));
    assert_eq!(made.api_key.expires_at, asked.expires_at);
    assert_eq!(ann.api_keys().list().await.unwrap(), [made.api_key]);

    let program = Client::new(&server.url, &made.key).unwrap();
    let everything = CountTasks::default();
    assert_eq!(program.tasks().count(&everything).await.unwrap().total, 0);
    assert_eq!(program.task("demo.echo").submit().await.unwrap_err().code(), Some(Code::Forbidden));
    assert_eq!(program.api_keys().list().await.unwrap_err().code(), Some(Code::Forbidden));

    assert_eq!(olga.api_keys().revoke(id).await.unwrap_err().code(), Some(Code::NotFound));
    // Twice is no more than once, so that this call may be repeated.
    for _ in 0..2 {
        ann.api_keys().revoke(id).await.unwrap();
    }
    assert_eq!(program.tasks().count(&everything).await.unwrap_err().code(), Some(Code::Unauthorized));
    assert!(ann.api_keys().list().await.unwrap()[0].revoked_at.is_some());
    let workers = CreateApiKey { scopes: vec![Scope::Worker], ..asked };
    assert_eq!(ann.api_keys().create(&workers).await.unwrap_err().code(), Some(Code::Forbidden));
    olga.api_keys().create(&workers).await.unwrap();
}
