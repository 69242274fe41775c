//! What lists can be asked for, as the query of a GET. Fields that are left out do not narrow it.

use serde::{Deserialize, Serialize};
use taskloom_model::{ScheduleType, State, Status, TickOutcome, Timestamp};
use utoipa::IntoParams;
use uuid::Uuid;

// serde's `flatten` would read every value as text and lose both types and unknown fields; hence one macro for the
// fields that listing and counting share.
macro_rules! query_with_filters {
    ($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
        #[serde(deny_unknown_fields, default)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            /// Only tasks that are `pending`, `running`, `succeeded`, `failed` or `revoked`.
            #[param(value_type = Option<StatusName>, inline)]
            pub status: Option<Status>,
            /// Only tasks in this exact state.
            #[param(value_type = Option<StateName>, inline)]
            pub state: Option<State>,
            /// Only tasks of this handler.
            #[serde(alias = "celery_task_name")]
            #[param(max_length = 200)]
            pub task: Option<String>,
            /// Only tasks with this label.
            #[param(max_length = 100)]
            pub task_type: Option<String>,
            /// Only tasks of this queue.
            #[param(max_length = 100)]
            pub queue: Option<String>,
            /// Only tasks with this tag.
            #[param(max_length = 50)]
            pub tag: Option<String>,
            /// Only tasks of this user.
            pub user_id: Option<Uuid>,
            /// Only tasks that this schedule made.
            pub schedule_id: Option<Uuid>,
            /// Only tasks of this workflow.
            pub workflow_id: Option<Uuid>,
            /// Only tasks that run this model.
            #[param(max_length = 200)]
            pub model_id: Option<String>,
            /// Only tasks submitted at or after this time.
            #[param(value_type = Option<String>, format = DateTime)]
            pub created_after: Option<Timestamp>,
            /// Only tasks submitted before this time.
            #[param(value_type = Option<String>, format = DateTime)]
            pub created_before: Option<Timestamp>,
            /// Only tasks that ended at or after this time.
            #[param(value_type = Option<String>, format = DateTime)]
            pub finished_after: Option<Timestamp>,
            /// Only tasks that ended before this time.
            #[param(value_type = Option<String>, format = DateTime)]
            pub finished_before: Option<Timestamp>,
            /// Only tasks with these words in their name or handler.
            #[param(max_length = 200)]
            pub q: Option<String>,
            $($(#[$meta])* pub $field: $type,)*
        }
    };
}

query_with_filters! {
    /// Which tasks to count.
    CountTasks {}
}

query_with_filters! {
    /// Which tasks to list, and how.
    ListTasks {
        /// Tasks on the page.
        #[param(minimum = 1, maximum = 500, default = 50)]
        limit: Option<u32>,
        /// The `next_cursor` of the page before; belongs to the same filters and order.
        #[param(max_length = 500)]
        cursor: Option<String>,
        /// Jumps over so many tasks; a cursor is faster.
        #[param(minimum = 0, maximum = 1_000_000, default = 0)]
        skip: Option<u32>,
        /// `created_at`, `priority` or `completed_at`.
        #[param(value_type = Option<OrderName>, inline)]
        order_by: Option<String>,
        /// Latest, most urgent first; the default.
        #[param(default = true)]
        order_desc: Option<bool>,
    }
}

/// Which schedules to list.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListSchedules {
    /// Only schedules of this type.
    #[param(value_type = Option<TypeName>, inline)]
    pub schedule_type: Option<ScheduleType>,
    /// Only those that fire, or only those that are paused.
    pub enabled: Option<bool>,
    /// Only schedules of this handler.
    #[serde(alias = "celery_task_name")]
    #[param(max_length = 200)]
    pub task: Option<String>,
    /// Only schedules of this name.
    #[param(max_length = 200)]
    pub name: Option<String>,
    /// Only schedules of this user.
    pub user_id: Option<Uuid>,
    /// Schedules on the page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 500)]
    pub cursor: Option<String>,
}

/// Which ticks to list.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListTicks {
    /// Only those that `fired`, or only those that were `skipped`.
    #[param(value_type = Option<OutcomeName>, inline)]
    pub outcome: Option<TickOutcome>,
    /// Ticks on the page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 500)]
    pub cursor: Option<String>,
}

/// Which part of the list.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListWorkflows {
    /// Workflows on the page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<u32>,
    /// A page's `next_cursor`, for the page behind it.
    pub cursor: Option<String>,
}

/// Which calls to list.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListCache {
    /// Only of this handler.
    #[param(max_length = 200)]
    pub handler: Option<String>,
    /// Only the call with this signature: 64 hexadecimal digits.
    #[param(min_length = 64, max_length = 64, pattern = "^[0-9A-Fa-f]{64}$")]
    pub signature: Option<String>,
    /// Everybody's, for operators and admins.
    #[param(default = false)]
    pub all: bool,
    /// Calls on the page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 500)]
    pub cursor: Option<String>,
}

/// Which calls to forget.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct PurgeCache {
    /// Only of this handler.
    #[param(max_length = 200)]
    pub handler: Option<String>,
    /// Only the call with this signature: 64 hexadecimal digits.
    #[param(min_length = 64, max_length = 64, pattern = "^[0-9A-Fa-f]{64}$")]
    pub signature: Option<String>,
    /// Everybody's, for operators and admins.
    #[param(default = false)]
    pub all: bool,
}

/// Which users to list.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListUsers {
    /// Users on the page.
    #[param(minimum = 1, maximum = 500, default = 100)]
    pub limit: Option<u32>,
    /// Only users whose names sort after this one: the `next_after` of the page before.
    #[param(max_length = 64)]
    pub after: Option<String>,
}

/// The names of a status, for the document.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes Status, never built")]
enum StatusName {
    Pending,
    Running,
    Succeeded,
    Failed,
    Revoked,
}

/// The names of a state, for the document.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes State, never built")]
enum StateName {
    Blocked,
    Scheduled,
    Limited,
    Ready,
    Running,
    Succeeded,
    Failed,
    Revoked,
}

/// The names of an order, for the document.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes OrderBy, never built")]
enum OrderName {
    CreatedAt,
    Priority,
    CompletedAt,
}

/// The names of a type, for the document.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes ScheduleType, never built")]
enum TypeName {
    Cron,
    Interval,
    Daily,
    Weekly,
    Monthly,
    Scheduled,
    Immediate,
    Manual,
}

/// The names of an outcome, for the document.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes TickOutcome, never built")]
enum OutcomeName {
    Fired,
    Skipped,
}
