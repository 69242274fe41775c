//! Schedules: created, listed, changed, run by hand, looked at.

mod list;
mod steer;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(steer::create, list::list))
        .routes(routes!(list::preview))
        .routes(routes!(steer::get, steer::change, steer::delete))
        .routes(routes!(steer::run))
        .routes(routes!(steer::pause))
        .routes(routes!(steer::resume))
        .routes(routes!(list::ticks))
        .routes(routes!(list::preview_of))
}
