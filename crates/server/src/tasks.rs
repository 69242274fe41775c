//! Tasks: submitted, read, listed, steered, watched.

mod artifacts;
mod events;
mod list;
mod read;
mod steer;
mod submit;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(crate) use artifacts::is_artifact_name;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(submit::submit, list::list))
        .routes(routes!(submit::batch))
        .routes(routes!(list::count))
        .routes(routes!(read::get, steer::change, steer::delete))
        .routes(routes!(steer::cancel))
        .routes(routes!(steer::retry))
        .routes(routes!(events::events))
        .routes(routes!(read::attempts))
        .routes(routes!(read::logs))
        .routes(routes!(read::explain))
        .routes(routes!(artifacts::list))
        .routes(routes!(artifacts::get))
}
